package replica

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"path"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

const (
	lossesName    = "lost_logs"
	lossesMagic   = "CKLL"
	lossesVersion = 1
	slotBytes     = 64 // a divisor of the sector, so that a slot is written whole or not at all
	lastSlot      = 1023
	lossesBytes   = vfs.SectorSize + (lastSlot+1)*slotBytes
)

// The kinds of slots. A free one is all zeros.
const (
	oneLog = 1 // a log lost records
	anyLog = 2 // any log may have
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// slot is one note in the file.
type slot struct {
	kind byte
	cut  Cut // of oneLog
}

func (s *slot) encode() []byte {
	b := make([]byte, slotBytes)
	if s.kind == 0 {
		return b
	}
	b[0] = s.kind
	binary.BigEndian.PutUint32(b[4:], uint32(s.cut.Partition))
	copy(b[8:24], s.cut.Topic[:])
	binary.BigEndian.PutUint64(b[24:], uint64(s.cut.End))
	seal(b)
	return b
}

func encodeSlots(slots []slot) (out []byte) {
	for i := range slots {
		out = append(out, slots[i].encode()...)
	}
	return out
}

// seal puts the checksum of the bytes before it at the end of b.
func seal(b []byte) {
	n := len(b) - 4
	binary.BigEndian.PutUint32(b[n:], crc32.Checksum(b[:n], castagnoli))
}

func sealed(b []byte) bool {
	n := len(b) - 4
	return binary.BigEndian.Uint32(b[n:]) == crc32.Checksum(b[:n], castagnoli)
}

// decodeLosses returns the slots from the first to the last that is not free. One that is damaged may have named any log; ok is false
// if that is true of all of them.
func decodeLosses(data []byte) (first int, slots []slot, ok bool) {
	if len(data) != lossesBytes || !sealed(data[:vfs.SectorSize]) || string(data[:4]) != lossesMagic ||
		binary.BigEndian.Uint32(data[4:]) != lossesVersion {
		return 0, nil, false
	}
	data = data[vfs.SectorSize:]
	for i := range lastSlot + 1 {
		b := data[i*slotBytes:][:slotBytes]
		s := slot{kind: b[0], cut: Cut{Partition: int32(binary.BigEndian.Uint32(b[4:])), End: model.Offset(binary.BigEndian.Uint64(b[24:]))}}
		copy(s.cut.Topic[:], b[8:24])
		free := allZero(b)
		switch {
		case free && len(slots) == 0:
			continue
		case free: // crossed out, or not used yet: the ones after it tell
			s = slot{}
		case !sealed(b) || s.kind != oneLog && s.kind != anyLog:
			s = slot{kind: anyLog}
		}
		if len(slots) == 0 {
			first = i
		}
		slots = append(slots, s)
	}
	for len(slots) > 0 && slots[len(slots)-1].kind == 0 {
		slots = slots[:len(slots)-1]
	}
	return first, slots, true
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (l *Losses) name() string { return path.Join(l.dir, lossesName) }

// make makes the file with its first slots, in one durable step, and with all the space that it will ever need: a full disk must not
// keep logs from being opened (L1).
func (l *Losses) make(first ...slot) error {
	data := make([]byte, lossesBytes)
	copy(data, lossesMagic)
	binary.BigEndian.PutUint32(data[4:], lossesVersion)
	seal(data[:vfs.SectorSize])
	copy(data[vfs.SectorSize:], encodeSlots(first))
	return vfs.ReplaceFile(l.fs, l.name(), data)
}

// write puts bytes into slots and syncs them. The caller has the turn.
func (l *Losses) write(at int, b []byte) error {
	f, err := l.fs.Open(l.name())
	if errors.Is(err, fs.ErrNotExist) {
		if err = l.make(); err == nil {
			f, err = l.fs.Open(l.name())
		}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, vfs.SectorSize+int64(at)*slotBytes)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
