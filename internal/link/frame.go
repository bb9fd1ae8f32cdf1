package link

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A frame is a header and a body. The header is the body's length (4 bytes), the type (1) and the CRC-32C (4) of these five and of the body.
const (
	frameHeader = 9

	typeHeartbeat byte = 0
	typeGoodbye   byte = 1

	// FirstType is the smallest type of a frame that a Session may send.
	FirstType byte = 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is a frame's header, decoded.
type header struct {
	body int
	kind byte
	sum  uint32
}

// parseHeader reads a frame's header and holds its length against the role's limit.
func parseHeader(b []byte, maxBody int) (header, error) {
	n := binary.BigEndian.Uint32(b)
	h := header{body: int(n), kind: b[4], sum: binary.BigEndian.Uint32(b[5:])}
	if uint64(n) > uint64(maxBody) {
		return header{}, fmt.Errorf("%w: type %d claims %d bytes, the most is %d", ErrTooLarge, h.kind, n, maxBody)
	}
	return h, nil
}

// checkFrame holds a whole frame against its checksum.
func checkFrame(h header, frame []byte) error {
	sum := crc32.Update(crc32.Checksum(frame[:5], castagnoli), castagnoli, frame[frameHeader:])
	if sum != h.sum {
		return fmt.Errorf("%w: type %d of %d bytes has checksum %08x, its header says %08x", ErrDamaged, h.kind, h.body, sum, h.sum)
	}
	return nil
}
