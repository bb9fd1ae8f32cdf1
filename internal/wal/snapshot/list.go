package snapshot

import (
	"encoding/binary"
	"fmt"

	"chronik/internal/model"
)

// listBytes is what stands before the entries of a list: the end offset and their number.
const listBytes = 12

// BeginList begins a snapshot whose body is a list of entries of one size: n of them are appended next, then Seal completes it.
// end is the offset up to which the state holds.
func (k Kind) BeginList(dst []byte, end model.Offset, n int) []byte {
	dst = k.Begin(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(end))
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// OpenList checks a whole file that BeginList began, and returns its entries, which alias b. Errors match ErrCorrupt or ErrVersion.
func (k Kind) OpenList(b []byte, entryBytes int) (entries []byte, end model.Offset, err error) {
	body, err := k.Open(b)
	if err != nil {
		return nil, 0, err
	}
	if len(body) < listBytes || (len(body)-listBytes)%entryBytes != 0 ||
		uint64(binary.BigEndian.Uint32(body[8:])) != uint64(len(body)-listBytes)/uint64(entryBytes) {
		return nil, 0, fmt.Errorf("%w: %d bytes of entries", ErrCorrupt, len(body))
	}
	if end = model.Offset(binary.BigEndian.Uint64(body)); end < 0 {
		return nil, 0, fmt.Errorf("%w: end offset %d", ErrCorrupt, end)
	}
	return body[listBytes:], end, nil
}
