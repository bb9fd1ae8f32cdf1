package raftlink

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/link"
	"chronik/internal/metadata/image"
)

// Frames of a raft link.
const (
	typeHello    = link.FirstType     // dialer: from, to, purpose, address; once, before all others
	typeMessage  = link.FirstType + 1 // dialer: a raftpb.Message
	typeBegin    = link.FirstType + 2 // dialer: size of a snapshot, the message that it belongs to
	typePiece    = link.FirstType + 3 // dialer: the next bytes of the snapshot
	typeCredit   = link.FirstType + 4 // acceptor: how many more bytes of it may be sent
	typeReceived = link.FirstType + 5 // acceptor: empty if the snapshot has arrived, else why not
)

const (
	forMessages  byte = 1
	forSnapshots byte = 2

	helloSize  = 16 + 16 + 1
	maxAddress = 512
	beginSize  = 8
	creditSize = 4
	maxWhy     = 1 << 10

	// pieceBytes is what a frame carries of a snapshot.
	pieceBytes = 256 << 10
	// window is how much of a snapshot may be under way or wait to be looked at.
	window = 4 << 20
	// maxSnapshot is more than quorum takes.
	maxSnapshot = 1 << 31
)

// hello says what a link is between.
type hello struct {
	from, to image.UUID // directories; the link knows the nodes
	purpose  byte
	address  string // where the sender listens for brokers; may be empty
}

func (h hello) encode() []byte {
	b := make([]byte, 0, helloSize+len(h.address))
	b = append(append(append(b, h.from[:]...), h.to[:]...), h.purpose)
	return append(b, h.address...)
}

func decodeHello(b []byte) (h hello, err error) {
	if len(b) < helloSize || len(b) > helloSize+maxAddress {
		return h, fmt.Errorf("%w: a hello of %d bytes", link.ErrDamaged, len(b))
	}
	copy(h.from[:], b)
	copy(h.to[:], b[16:])
	h.purpose, h.address = b[32], string(b[helloSize:])
	if h.purpose != forMessages && h.purpose != forSnapshots {
		return h, fmt.Errorf("%w: a link for %d, which is neither messages nor a snapshot", link.ErrDamaged, h.purpose)
	}
	return h, nil
}

// decodeMessage reads a message. Fields that are unknown are ignored, as Raft's own transports do.
func decodeMessage(b []byte) (*pb.Message, error) {
	m := new(pb.Message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: not a message of Raft: %w", link.ErrDamaged, err)
	}
	return m, nil
}

// begin is the head of a snapshot.
func encodeBegin(size int64, message []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, beginSize+len(message)), uint64(size)), message...)
}

func decodeBegin(b []byte) (size int64, m *pb.Message, err error) {
	if len(b) < beginSize {
		return 0, nil, fmt.Errorf("%w: the head of a snapshot has %d bytes", link.ErrDamaged, len(b))
	}
	n := binary.BigEndian.Uint64(b)
	if n > maxSnapshot {
		return 0, nil, fmt.Errorf("%w: a snapshot of %d bytes, the most is %d", link.ErrTooLarge, n, maxSnapshot)
	}
	if m, err = decodeMessage(b[beginSize:]); err != nil {
		return 0, nil, err
	}
	if m.GetType() != pb.MsgSnap || m.GetSnapshot() == nil || len(m.GetSnapshot().GetData()) > 0 {
		return 0, nil, fmt.Errorf("%w: a snapshot with a message of type %v", link.ErrDamaged, m.GetType())
	}
	return int64(n), m, nil
}

func encodeCredit(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func decodeCredit(b []byte) (int, error) {
	if len(b) != creditSize || binary.BigEndian.Uint32(b) > window {
		return 0, fmt.Errorf("%w: credit in %d bytes", link.ErrDamaged, len(b))
	}
	return int(binary.BigEndian.Uint32(b)), nil
}
