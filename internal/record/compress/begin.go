package compress

import (
	"bytes"
	"encoding/binary"
)

// Begins tells whether data begins as the codec's encoder begins: what can be told without decompressing. It
// accepts all that Decompress does, but empty streams; it allocates nothing. Raw snappy has no magic: of that
// it refuses only what is impossible.
func Begins(data []byte, c Codec) bool {
	switch c {
	case None:
		return true
	case Gzip:
		const deflate = 8
		return len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b && data[2] == deflate
	case Snappy:
		return beginsSnappy(data)
	case LZ4:
		return len(data) > 4 && binary.LittleEndian.Uint32(data) == 0x184d2204
	case Zstd:
		if len(data) <= 4 {
			return false
		}
		magic := binary.LittleEndian.Uint32(data)
		return magic == 0xfd2fb528 || magic&^0xf == 0x184d2a50 // or a frame that decoders skip
	}
	return false
}

// beginsSnappy: xerial's header and the first block, or a block alone. A block claims a length that its bytes can
// deliver, and there is nothing yet that its first element could copy: it is a literal.
func beginsSnappy(data []byte) bool {
	for bytes.HasPrefix(data, xerialHeader[:xerialMagicSize]) {
		const blockLength = 4
		if len(data) < len(xerialHeader)+blockLength {
			return false
		}
		data = data[len(xerialHeader):]
		if bytes.HasPrefix(data, xerialHeader[:xerialMagicSize]) {
			continue
		}
		n := binary.BigEndian.Uint32(data)
		data = data[blockLength:]
		if uint64(n) > uint64(len(data)) {
			return false
		}
		if n == 1 && data[0] == 0 {
			return true // an empty block; what follows is not looked at
		}
		data = data[:n]
	}
	claimed, n := binary.Uvarint(data)
	return n > 0 && n < len(data) && claimed > 0 && claimed <= uint64(snappyBestRatio*len(data)) && data[n]&3 == 0
}
