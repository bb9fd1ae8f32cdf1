package compress

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdMaxWindow is the largest window that libzstd's decoder, and so Kafka, accepts by default. It costs no memory
// here: DecodeAll's window is its output.
const zstdMaxWindow = 128 << 20

// zstdEncoders holds one encoder per speed of the library: EncodeAll may run concurrently on one encoder.
var zstdEncoders [zstd.SpeedBestCompression + 1]struct {
	once sync.Once
	enc  *zstd.Encoder
	err  error
}

func compressZstd(dst, src []byte, l Level) ([]byte, error) {
	speed := zstd.SpeedDefault
	if l != DefaultLevel {
		speed = zstd.EncoderLevelFromZstd(int(l))
	}
	e := &zstdEncoders[speed]
	e.once.Do(func() {
		e.enc, e.err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderCRC(false),
			zstd.WithEncoderConcurrency(zstdConcurrency), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	})
	if e.err != nil {
		return dst, e.err
	}
	return e.enc.EncodeAll(src, dst), nil
}

// zstdConcurrency bounds how many goroutines encode, or decode, at once; the others wait. It bounds memory:
// each of them holds tables of a few megabytes.
const zstdConcurrency = 4

var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(zstdConcurrency), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
})

var errZstdFrame = errors.New("not a sequence of whole frames")

func decompressZstd(dst, src []byte, maxBytes int) ([]byte, error) {
	d, err := zstdDecoder()
	if err != nil {
		return nil, err
	}
	most, err := zstdBound(src)
	if err != nil {
		return nil, err
	}
	start := len(dst)
	room := min(most, maxBytes)
	dst = slices.Grow(dst, room)
	out, err := d.DecodeAll(src, dst[start:start:start+room])
	switch {
	case err == nil && len(out) <= room:
		return dst[:start+len(out)], nil
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) && most > maxBytes:
		return nil, tooLarge(maxBytes)
	}
	return nil, corrupt(Zstd, err)
}

const (
	zstdBlockHeader  = 3
	zstdMaxBlock     = 128 << 10
	zstdChecksumSize = 4

	zstdRaw, zstdRLE, zstdCompressed = 0, 1, 2
)

// zstdBound walks the block headers of all frames in src, without decoding, and returns the most bytes that they
// can decompress to. So a frame's own claim is never needed to size a buffer: 20 bytes that promise 100 MiB
// do not get them.
func zstdBound(src []byte) (int, error) {
	if len(src) == 0 {
		return 0, corrupt(Zstd, errZstdFrame)
	}
	total := 0
	for len(src) > 0 {
		var h zstd.Header
		if err := h.Decode(src); err != nil {
			return 0, corrupt(Zstd, err)
		}
		if h.Skippable {
			skip := uint64(h.HeaderSize) + uint64(h.SkippableSize)
			if skip > uint64(len(src)) {
				return 0, corrupt(Zstd, errZstdFrame)
			}
			src = src[skip:]
			continue
		}
		if h.HeaderSize > len(src) {
			return 0, corrupt(Zstd, errZstdFrame)
		}
		n, rest, err := zstdFrameBound(src[h.HeaderSize:])
		if err != nil {
			return 0, err
		}
		if h.HasCheckSum {
			if len(rest) < zstdChecksumSize {
				return 0, corrupt(Zstd, errZstdFrame)
			}
			rest = rest[zstdChecksumSize:]
		}
		if h.HasFCS {
			if h.FrameContentSize > uint64(n) {
				return 0, corrupt(Zstd, fmt.Errorf("a frame claims %d bytes, its blocks hold at most %d", h.FrameContentSize, n))
			}
			n = int(h.FrameContentSize)
		}
		total += n
		src = rest
	}
	return total, nil
}

// zstdFrameBound walks the blocks of one frame and returns what follows them.
func zstdFrameBound(src []byte) (most int, rest []byte, err error) {
	for {
		if len(src) < zstdBlockHeader {
			return 0, nil, corrupt(Zstd, errZstdFrame)
		}
		h := uint32(src[0]) | uint32(src[1])<<8 | uint32(src[2])<<16
		last, kind, size := h&1 == 1, h>>1&3, int(h>>3)
		src = src[zstdBlockHeader:]
		stored := size
		switch kind {
		case zstdRaw:
			most += size
		case zstdRLE:
			most, stored = most+size, 1
		case zstdCompressed:
			most += zstdMaxBlock
		default:
			return 0, nil, corrupt(Zstd, errZstdFrame)
		}
		if size > zstdMaxBlock || stored > len(src) {
			return 0, nil, corrupt(Zstd, errZstdFrame)
		}
		src = src[stored:]
		if last {
			return most, src, nil
		}
	}
}
