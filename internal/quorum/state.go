package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"chronik/internal/metadata/image"
	"chronik/internal/vfs"
)

// stateName is the file with what a voter must not forget: its term and its vote.
const stateName = "raft_state"

// voteState is what the file holds.
type voteState struct {
	term, vote uint64
	commit     uint64 // at least this much is committed. It lags, but for changes of the configuration: see Save
	// founder says that the log's first voter is this replica, until an entry says otherwise. Without it a log
	// that names no configuration is that of a replica which waits to be taken in.
	founder   bool
	directory image.UUID
}

// Two slots of one sector each are written in turn: a disk writes a sector whole or not at all, so the slot before
// stays good while the next one is written, and neither is ever torn. That makes an invalid slot damage, which is
// refused: it may have been the newer one, and a voter that forgets a vote may vote twice (M1).
const (
	stateMagic   = "CHRNRAFT"
	stateVersion = 1
	slotBytes    = vfs.SectorSize
	founderFlag  = 1
)

// stateFile is the open file. It has one user at a time.
type stateFile struct {
	file vfs.File
	seq  uint64 // of the newest slot
}

// ErrVoteState says that term and vote cannot be read. The replica must not vote any more.
var ErrVoteState = errors.New("raft_state cannot be trusted")

func encodeSlot(seq uint64, s voteState) []byte {
	b := make([]byte, slotBytes)
	copy(b, stateMagic)
	be := binary.BigEndian
	be.PutUint32(b[8:], stateVersion)
	be.PutUint64(b[16:], seq)
	be.PutUint64(b[24:], s.term)
	be.PutUint64(b[32:], s.vote)
	be.PutUint64(b[40:], s.commit)
	if s.founder {
		b[48] = founderFlag
	}
	copy(b[56:72], s.directory[:])
	be.PutUint32(b[12:], crc32.Checksum(b[16:], castagnoli))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func decodeSlot(b []byte) (seq uint64, s voteState, err error) {
	be := binary.BigEndian
	switch {
	case string(b[:8]) != stateMagic || be.Uint32(b[12:]) != crc32.Checksum(b[16:], castagnoli):
		return 0, s, errors.New("a slot does not match its checksum")
	case be.Uint32(b[8:]) != stateVersion:
		return 0, s, fmt.Errorf("its version is %d, this program knows %d", be.Uint32(b[8:]), stateVersion)
	}
	s = voteState{term: be.Uint64(b[24:]), vote: be.Uint64(b[32:]), commit: be.Uint64(b[40:]), founder: b[48]&founderFlag != 0}
	copy(s.directory[:], b[56:72])
	return be.Uint64(b[16:]), s, nil
}

// createState makes the file, durably, with a first state.
func createState(f vfs.FS, dir string, s voteState) (*stateFile, error) {
	if err := vfs.ReplaceFile(f, path.Join(dir, stateName), append(encodeSlot(2, s), encodeSlot(1, s)...)); err != nil {
		return nil, err
	}
	file, err := f.Open(path.Join(dir, stateName))
	if err != nil {
		return nil, err
	}
	return &stateFile{file: file, seq: 2}, nil
}

// openState reads the file; nil without an error if there is none.
func openState(f vfs.FS, dir string) (*stateFile, voteState, error) {
	name := path.Join(dir, stateName)
	data, err := vfs.ReadFile(f, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, voteState{}, nil
	}
	if err != nil {
		return nil, voteState{}, err
	}
	refuse := func(why error) (*stateFile, voteState, error) {
		return nil, voteState{}, fmt.Errorf("%w: %s: %w; remove this node from the voters, empty its data directory and let it join again",
			ErrVoteState, name, why)
	}
	if len(data) != 2*slotBytes {
		return refuse(fmt.Errorf("it has %d bytes", len(data)))
	}
	seq, s, err := decodeSlot(data[:slotBytes])
	if err != nil {
		return refuse(err)
	}
	seq1, s1, err := decodeSlot(data[slotBytes:])
	if err != nil {
		return refuse(err)
	}
	if seq1 > seq {
		seq, s = seq1, s1
	}
	file, err := f.Open(name)
	if err != nil {
		return nil, voteState{}, err
	}
	return &stateFile{file: file, seq: seq}, s, nil
}

// write makes a state durable. It takes no space.
func (f *stateFile) write(s voteState) error {
	seq := f.seq + 1
	if _, err := f.file.WriteAt(encodeSlot(seq, s), int64(seq%2)*slotBytes); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.seq = seq
	return nil
}
