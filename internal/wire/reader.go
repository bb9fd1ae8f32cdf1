package wire

import "encoding/binary"

// reader consumes a message from the front. After the first failure it stays bad and returns zero values.
type reader struct {
	buf []byte
	bad bool
}

func (r *reader) fail() {
	r.bad = true
	r.buf = nil
}

// span returns the next n bytes; a negative n is a failure.
func (r *reader) span(n int) []byte {
	if n < 0 || n > len(r.buf) {
		r.fail()
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) int16() int16 {
	if len(r.buf) < 2 {
		r.fail()
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.buf))
	r.buf = r.buf[2:]
	return v
}

func (r *reader) int32() int32 {
	if len(r.buf) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.buf))
	r.buf = r.buf[4:]
	return v
}

// uvarint reads an unsigned varint of at most 32 bits in at most five bytes.
func (r *reader) uvarint() uint32 {
	if len(r.buf) > 0 && r.buf[0] < 0x80 {
		v := uint32(r.buf[0])
		r.buf = r.buf[1:]
		return v
	}
	var v uint64
	for i, c := range r.buf {
		if i == 5 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if v > 1<<32-1 {
				break
			}
			r.buf = r.buf[i+1:]
			return uint32(v)
		}
	}
	r.fail()
	return 0
}

// compactLen reads the length of a compact string, byte field or array: -1 is null.
func (r *reader) compactLen() int { return int(r.uvarint()) - 1 }

// skipTags skips tagged fields without looking into them and returns how many there were.
func (r *reader) skipTags() int {
	n := r.uvarint()
	if uint64(n) > uint64(len(r.buf)/2) { // each has two bytes at least
		r.fail()
		return 0
	}
	for range n {
		r.uvarint()
		r.span(int(r.uvarint()))
		if r.bad {
			return 0
		}
	}
	return int(n)
}
