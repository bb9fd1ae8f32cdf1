package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/snappy"
)

// The framing of the Java library snappy-java ("xerial"), which is what Kafka means by snappy: this header,
// then blocks, each behind its length in 4 bytes. The versions are the library's, and both are 1.
var xerialHeader = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}

const (
	xerialMagicSize = 8
	// xerialBlock is the library's default: uncompressed bytes per block.
	xerialBlock = 32 << 10
	// snappyBestRatio bounds what a block can decompress to: three bytes copy at most 64.
	snappyBestRatio = 22
)

var (
	errSnappyClaim = errors.New("the block claims more than its bytes can hold")
	errSnappyShort = errors.New("it ends inside a block")
)

func compressSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialHeader...)
	for len(src) > 0 {
		n := min(len(src), xerialBlock)
		dst = slices.Grow(dst, 4+snappy.MaxEncodedLen(n))
		at := len(dst)
		block := snappy.Encode(dst[at+4:cap(dst)], src[:n])
		dst = dst[:at+4+len(block)] // Encode stayed in place: the room was enough
		binary.BigEndian.PutUint32(dst[at:], uint32(len(block)))
		src = src[n:]
	}
	return dst
}

func decompressSnappy(dst, src []byte, maxBytes int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerialHeader[:xerialMagicSize]) {
		return snappyBlock(dst, src, maxBytes, maxBytes)
	}
	start := len(dst)
	for len(src) > 0 {
		if bytes.HasPrefix(src, xerialHeader[:xerialMagicSize]) { // also in the middle: streams may be joined
			if len(src) < len(xerialHeader) {
				return nil, corrupt(Snappy, errSnappyShort)
			}
			src = src[len(xerialHeader):]
			continue
		}
		if len(src) < 4 {
			return nil, corrupt(Snappy, errSnappyShort)
		}
		n := binary.BigEndian.Uint32(src)
		src = src[4:]
		if uint64(n) > uint64(len(src)) {
			return nil, corrupt(Snappy, fmt.Errorf("%w: its length is %d, %d bytes are left", errSnappyShort, n, len(src)))
		}
		var err error
		if dst, err = snappyBlock(dst, src[:n], maxBytes-(len(dst)-start), maxBytes); err != nil {
			return nil, err
		}
		src = src[n:]
	}
	return dst, nil
}

// snappyBlock appends one block of at most room bytes to dst.
func snappyBlock(dst, src []byte, room, maxBytes int) ([]byte, error) {
	n, err := snappy.DecodedLen(src)
	switch {
	case err != nil:
		return nil, corrupt(Snappy, err)
	case n > room:
		return nil, tooLarge(maxBytes)
	case n > snappyBestRatio*len(src):
		return nil, corrupt(Snappy, errSnappyClaim)
	}
	at := len(dst)
	dst = slices.Grow(dst, n)
	out, err := snappy.Decode(dst[at:at+n:at+n], src)
	if err != nil {
		return nil, corrupt(Snappy, err)
	}
	if len(out) != n {
		return nil, corrupt(Snappy, errSnappyClaim)
	}
	return dst[:at+n], nil
}
