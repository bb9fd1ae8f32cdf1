package record

// Varints of records are zigzag-encoded, as in Protocol Buffers: at most 5 bytes for 32 bits, 10 for 64.

// varint32 reads a zigzag varint of 32 bits from the front of b. n is how many bytes it took, 0 if b ends
// first, -1 if the value does not fit.
func varint32(b []byte) (v int32, n int) {
	if len(b) > 0 && b[0] < 0x80 { // most lengths and deltas
		u := uint32(b[0])
		return int32(u>>1) ^ -int32(u&1), 1
	}
	u, n := uvarint(b, 5)
	if n <= 0 {
		return 0, n
	}
	if u > 1<<32-1 {
		return 0, -1
	}
	return int32(uint32(u)>>1) ^ -int32(u&1), n
}

// varint64 is varint32 for 64 bits.
func varint64(b []byte) (v int64, n int) {
	u, n := uvarint(b, 10)
	if n <= 0 {
		return 0, n
	}
	return int64(u>>1) ^ -int64(u&1), n
}

func uvarint(b []byte, most int) (u uint64, n int) {
	for i, c := range b {
		if i == most || i == 9 && c > 1 {
			return 0, -1
		}
		u |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return u, i + 1
		}
	}
	return 0, 0
}

func appendVarint(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// varintLen is how many bytes appendVarint writes.
func varintLen(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
