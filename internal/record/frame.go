package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What can be wrong with the framing of a batch. Errors of Next, SizeOf and Check wrap one of these.
var (
	// ErrTruncated: the bytes end before the batch does.
	ErrTruncated = errors.New("record batch is truncated")
	// ErrMagic: not a batch of magic 2, for example a message set of Kafka before 0.11.
	ErrMagic = errors.New("record format is not magic 2")
	// ErrSize: the length field cannot be that of a batch.
	ErrSize = errors.New("record batch has an impossible length")
)

// SizeOf returns the length in bytes, header included, of the batch that prefix begins with. PrefixSize
// bytes are enough to tell. It promises only what these bytes say: magic 2, and a length that a batch can
// have. Errors wrap ErrTruncated, ErrMagic or ErrSize.
func SizeOf(prefix []byte) (int, error) {
	if len(prefix) < PrefixSize {
		return 0, fmt.Errorf("%w: %d bytes, the first %d are needed to know its length", ErrTruncated, len(prefix), PrefixSize)
	}
	length := int32(binary.BigEndian.Uint32(prefix[posLength:]))
	if length <= 0 { // before the magic, so that zeroed space is not called an old message
		return 0, fmt.Errorf("%w: the length field is %d", ErrSize, length)
	}
	if magic := int8(prefix[posMagic]); magic != MagicV2 {
		return 0, magicError(magic)
	}
	if length < HeaderSize-lengthOverhead || int64(length) > math.MaxInt32-lengthOverhead {
		return 0, fmt.Errorf("%w: the length field is %d, the least is %d", ErrSize, length, HeaderSize-lengthOverhead)
	}
	return lengthOverhead + int(length), nil
}

// Next cuts one batch from the front of buf. Both results alias buf, and the capacity of b ends where the
// batch does. The content is not checked beyond its framing: see Check. Errors wrap ErrTruncated, ErrMagic
// or ErrSize, and then b is nil and rest is buf.
func Next(buf []byte) (b Batch, rest []byte, err error) {
	size, err := SizeOf(buf)
	if err != nil {
		return nil, buf, err
	}
	if size > len(buf) {
		return nil, buf, fmt.Errorf("%w: its length is %d bytes, %d are there", ErrTruncated, size, len(buf))
	}
	return Batch(buf[:size:size]), buf[size:], nil
}

func magicError(magic int8) error {
	if magic == 0 || magic == 1 {
		return fmt.Errorf("%w: it is magic %d, a message set of Kafka before 0.11; send it with a newer client", ErrMagic, magic)
	}
	return fmt.Errorf("%w: it is %d", ErrMagic, magic)
}
