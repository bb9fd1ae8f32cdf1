package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/image"
)

// A snapshot is the image at an index and, behind it, who the quorum's replicas were then: the configuration.
// A log that never was Raft's has no second part. docs/format/metadata.md has the bytes.

// configuration is who takes part.
type configuration struct {
	state    *pb.ConfState
	replicas replicas
}

const (
	configMagic      = "CHRNVOTE"
	configVersion    = 1
	configHeaderSize = 8 + 4 + 4 + 8
	imageHeaderSize  = 24 // of image.EncodeSnapshot; the last eight bytes are the length of what follows
)

// encodeSnapshot is the bytes of a snapshot, in the file and on the wire.
func encodeSnapshot(im *image.Image, c configuration) ([]byte, error) {
	data, err := image.EncodeSnapshot(im)
	if err != nil {
		return nil, err
	}
	state, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.state)
	if err != nil {
		return nil, err
	}
	list := encodeReplicas(c.replicas.sorted())
	at := len(data)
	be := binary.BigEndian
	data = append(data, configMagic...)
	data = be.AppendUint32(data, configVersion)
	data = be.AppendUint32(data, 0)
	data = be.AppendUint64(data, uint64(4+len(state)+len(list)))
	data = be.AppendUint32(data, uint32(len(state)))
	data = append(append(data, state...), list...)
	be.PutUint32(data[at+12:], crc32.Checksum(data[at+16:], castagnoli))
	return data, nil
}

// decodeSnapshot reads a snapshot. Without a second part the configuration is nil.
func decodeSnapshot(clusterID string, data []byte) (*image.Image, *configuration, error) {
	first := len(data)
	if len(data) >= imageHeaderSize {
		if n := binary.BigEndian.Uint64(data[imageHeaderSize-8:]); n < uint64(len(data)-imageHeaderSize) {
			first = imageHeaderSize + int(n)
		}
	}
	im, err := image.DecodeSnapshot(clusterID, data[:first])
	if err != nil || first == len(data) {
		return im, nil, err
	}
	c, err := decodeConfiguration(data[first:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: its configuration: %w", image.ErrSnapshot, err)
	}
	return im, c, nil
}

func decodeConfiguration(data []byte) (*configuration, error) {
	be := binary.BigEndian
	switch {
	case len(data) < configHeaderSize+4 || string(data[:8]) != configMagic:
		return nil, errors.New("it does not begin as one")
	case be.Uint32(data[8:]) != configVersion:
		return nil, fmt.Errorf("its version is %d, this program reads %d", be.Uint32(data[8:]), configVersion)
	case be.Uint64(data[16:]) != uint64(len(data)-configHeaderSize) || be.Uint32(data[12:]) != crc32.Checksum(data[16:], castagnoli):
		return nil, errors.New("its length or its checksum does not match")
	}
	data = data[configHeaderSize:]
	n := be.Uint32(data)
	if uint64(n) > uint64(len(data)-4) {
		return nil, errors.New("it is cut off")
	}
	c := &configuration{state: new(pb.ConfState)}
	if err := proto.Unmarshal(data[4:4+n], c.state); err != nil {
		return nil, err
	}
	list, err := decodeReplicas(data[4+n:])
	if err != nil {
		return nil, err
	}
	c.replicas = replicas(nil).with(list, c.state)
	return c, nil
}
