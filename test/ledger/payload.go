package ledger

import (
	"encoding/binary"
	"math/rand/v2"
)

// Payload is the bytes of a record: its number, and some that follow from it.
func Payload(number uint64) []byte {
	return Bytes(number, 64+8*int(number*0x9e3779b97f4a7c15>>59))
}

// Bytes is a record's number and bytes that follow from it, size bytes in all and at least 8. They do not compress.
func Bytes(number uint64, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.BigEndian.PutUint64(b, number)
	var seed [32]byte
	copy(seed[:], b[:8])
	_, _ = rand.NewChaCha8(seed).Read(b[8:])
	return b
}
