package compress

import (
	"errors"
	"fmt"
)

// Codec is a compression codec, with the number that stands in the attributes of a batch.
type Codec int8

// The codecs, with Kafka's numbers.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)

var names = [...]string{None: "none", Gzip: "gzip", Snappy: "snappy", LZ4: "lz4", Zstd: "zstd"}

// Valid tells whether the codec is one of the five.
func (c Codec) Valid() bool { return c >= None && c <= Zstd }

// String is the codec's name as in compression.type.
func (c Codec) String() string {
	if !c.Valid() {
		return fmt.Sprintf("unknown(%d)", int8(c))
	}
	return names[c]
}

// Level is how hard a codec tries: the value of Kafka's compression.{gzip,lz4,zstd}.level. Zero, which is none
// of Kafka's levels but zstd's own word for its default, means the codec's default.
type Level int

// DefaultLevel is the codec's default.
const DefaultLevel Level = 0

// CheckLevel applies Kafka's bounds: gzip 1 to 9 or -1, lz4 1 to 17, zstd -131072 to 22. Codecs without
// levels accept DefaultLevel only.
func (c Codec) CheckLevel(l Level) error {
	lo, hi := Level(0), Level(0)
	switch c {
	case Gzip:
		if l == -1 {
			return nil
		}
		lo, hi = 1, 9
	case LZ4:
		lo, hi = 1, 17
	case Zstd:
		lo, hi = -131072, 22
	}
	if l == DefaultLevel || l >= lo && l <= hi {
		return nil
	}
	if lo == hi {
		return fmt.Errorf("%w: %s has no levels, got %d", ErrLevel, c, l)
	}
	return fmt.Errorf("%w: %d for %s; it is %d to %d", ErrLevel, l, c, lo, hi)
}

// Errors of this package wrap one of these.
var (
	// ErrCodec: there is no such codec.
	ErrCodec = errors.New("unknown compression codec")
	// ErrLevel: the codec has no such level.
	ErrLevel = errors.New("invalid compression level")
	// ErrCorrupt: the input is not what the codec's encoder writes.
	ErrCorrupt = errors.New("corrupt compressed data")
	// ErrTooLarge: the input decompresses, or claims to decompress, to more than the limit.
	ErrTooLarge = errors.New("decompressed data is larger than the limit")
)

// Compress appends the compressed form of src to dst. Errors wrap ErrCodec or ErrLevel; with a codec that is
// Valid and a level that CheckLevel accepts there is none.
func Compress(dst, src []byte, c Codec, l Level) ([]byte, error) {
	if err := c.CheckLevel(l); err != nil {
		return dst, err
	}
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return compressGzip(dst, src, l)
	case Snappy:
		return compressSnappy(dst, src), nil
	case LZ4:
		return compressLZ4(dst, src, l)
	case Zstd:
		return compressZstd(dst, src, l)
	}
	return dst, fmt.Errorf("%w: %d", ErrCodec, int8(c))
}

// Decompress appends what src decompresses to to dst: at most maxBytes, else it fails with ErrTooLarge. src must
// be one whole compressed stream with nothing behind it. On errors, which wrap ErrCodec, ErrCorrupt or
// ErrTooLarge, it returns dst as it was.
func Decompress(dst, src []byte, c Codec, maxBytes int) ([]byte, error) {
	var out []byte
	var err error
	switch c {
	case None:
		if len(src) > maxBytes {
			return dst, tooLarge(maxBytes)
		}
		return append(dst, src...), nil
	case Gzip:
		out, err = decompressGzip(dst, src, maxBytes)
	case Snappy:
		out, err = decompressSnappy(dst, src, maxBytes)
	case LZ4:
		out, err = decompressLZ4(dst, src, maxBytes)
	case Zstd:
		out, err = decompressZstd(dst, src, maxBytes)
	default:
		return dst, fmt.Errorf("%w: %d", ErrCodec, int8(c))
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

func tooLarge(maxBytes int) error { return fmt.Errorf("%w of %d bytes", ErrTooLarge, maxBytes) }

func corrupt(c Codec, err error) error { return fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err) }
