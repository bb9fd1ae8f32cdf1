package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// HeaderBytes is what the envelope adds in front of a body.
const HeaderBytes = 16

// MaxBytes bounds a snapshot: one that claims more is not ours.
const MaxBytes = 1 << 30

// Errors of Open. Both mean: rebuild from the log.
var (
	// ErrCorrupt: not a snapshot of this kind, cut short, or changed since it was written.
	ErrCorrupt = errors.New("corrupt snapshot")
	// ErrVersion: whole, but of a version that this build cannot read.
	ErrVersion = errors.New("snapshot of an unknown version")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind tells one sort of snapshot from another: the first four bytes of its file, and the newest
// version of its body.
type Kind struct {
	Magic   [4]byte
	Version uint16
}

// Begin appends room for the header. The body is appended next, then Seal fills the header in.
func (k Kind) Begin(dst []byte) []byte {
	return append(dst, make([]byte, HeaderBytes)...)
}

// Seal completes the snapshot whose header starts at dst[start] and whose body is all that follows it.
func (k Kind) Seal(dst []byte, start int) []byte {
	b := dst[start:]
	copy(b, k.Magic[:])
	binary.BigEndian.PutUint16(b[4:], k.Version)
	binary.BigEndian.PutUint16(b[6:], 0)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-HeaderBytes))
	binary.BigEndian.PutUint32(b[12:], sum(b))
	return dst
}

// Open checks a whole file and returns its body, which aliases b. Errors match ErrCorrupt or ErrVersion.
func (k Kind) Open(b []byte) (body []byte, err error) {
	switch {
	case len(b) < HeaderBytes || len(b) > MaxBytes:
		return nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	case [4]byte(b[:4]) != k.Magic:
		return nil, fmt.Errorf("%w: it begins with %q, want %q", ErrCorrupt, b[:4], k.Magic[:])
	case int(binary.BigEndian.Uint32(b[8:])) != len(b)-HeaderBytes:
		return nil, fmt.Errorf("%w: the length does not fit the file's %d bytes", ErrCorrupt, len(b))
	case binary.BigEndian.Uint32(b[12:]) != sum(b):
		return nil, fmt.Errorf("%w: the checksum differs", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != k.Version {
		return nil, fmt.Errorf("%w: %d, this build reads %d", ErrVersion, v, k.Version)
	}
	return b[HeaderBytes:], nil
}

// sum covers everything but the field that holds it.
func sum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[HeaderBytes:])
}
