package schema

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"chronik/internal/model"
)

// coder encodes or decodes one message of Kafka's: a message names its fields once, in order, and both ways follow. After the
// first failure it does nothing more.
type coder struct {
	reading  bool
	flexible bool   // lengths are compact, and there are tagged fields (KIP-482)
	version  int16  // of the message
	buf      []byte // what is still to be read; or what has been written
	err      error
}

// Tag is a tagged field that this package does not know (KIP-482).
type Tag struct {
	Number uint32
	Bytes  []byte
}

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrCorrupt, what)
		c.buf = nil
	}
}

// take returns the next n bytes to read; nil after a failure.
func (c *coder) take(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.buf)) {
		c.fail("it ends early")
	}
	if c.err != nil {
		return nil
	}
	b := c.buf[:n:n]
	c.buf = c.buf[n:]
	return b
}

// number is an integer of a fixed size, big endian.
func number[T ~int8 | ~int16 | ~uint16 | ~int32 | ~int64](c *coder, v *T) {
	if !c.reading {
		switch unsafe.Sizeof(*v) {
		case 1:
			c.buf = append(c.buf, byte(*v))
		case 2:
			c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(*v))
		case 4:
			c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(*v))
		default:
			c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(*v))
		}
		return
	}
	b := c.take(int(unsafe.Sizeof(*v)))
	switch len(b) {
	case 1:
		*v = T(b[0])
	case 2:
		*v = T(binary.BigEndian.Uint16(b))
	case 4:
		*v = T(binary.BigEndian.Uint32(b))
	case 8:
		*v = T(binary.BigEndian.Uint64(b))
	}
}

// uvarint is an unsigned integer of up to 32 bits.
func (c *coder) uvarint(v uint32) uint32 {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, uint64(v))
		return v
	}
	n, size := binary.Uvarint(c.buf)
	if size <= 0 || n > math.MaxUint32 {
		c.fail("a length that is none")
		return 0
	}
	c.take(size)
	return uint32(n)
}

// length is that of a text, if short, or of something else; -1 is null.
func (c *coder) length(n int, short bool) int {
	switch {
	case c.flexible:
		n = int(c.uvarint(uint32(n+1))) - 1
	case short:
		if n > math.MaxInt16 && c.err == nil {
			c.err = fmt.Errorf("%w: %d bytes", ErrTooLong, n)
		}
		m := int16(n)
		number(c, &m)
		n = int(m)
	default:
		m := int32(n)
		number(c, &m)
		n = int(m)
	}
	if c.reading && (n < -1 || n > len(c.buf)) {
		c.fail("a length beyond its end")
		return 0
	}
	return n
}

// string is not null.
func (c *coder) string(s *string) {
	n := c.length(len(*s), true)
	switch {
	case !c.reading:
		c.buf = append(c.buf, *s...)
	case n < 0:
		c.fail("a text that is null")
	default:
		*s = string(c.take(n))
	}
}

func (c *coder) nullableString(s **string) {
	n := -1
	if *s != nil {
		n = len(**s)
	}
	if n = c.length(n, true); !c.reading {
		if n >= 0 {
			c.buf = append(c.buf, **s...)
		}
		return
	}
	*s = nil
	if n >= 0 {
		t := string(c.take(n))
		*s = &t
	}
}

// bytes are not null. Empty ones are read as nil.
func (c *coder) bytes(b *[]byte) {
	n := c.length(len(*b), false)
	switch {
	case !c.reading:
		c.buf = append(c.buf, *b...)
	case n < 0:
		c.fail("bytes that are null")
	default:
		*b = append([]byte(nil), c.take(n)...)
	}
}

func (c *coder) topicID(id *model.TopicID) {
	if c.reading {
		copy(id[:], c.take(len(id)))
	} else {
		c.buf = append(c.buf, id[:]...)
	}
}

// array is not null. Without elements it is read as nil.
func array[T any](c *coder, s *[]T, each func(*coder, *T)) {
	n := c.length(len(*s), false)
	if c.reading && n < 0 {
		c.fail("an array that is null")
		return
	}
	elements(c, s, n, each)
}

// nullableArray: nil is null, and empty is not.
func nullableArray[T any](c *coder, s *[]T, each func(*coder, *T)) {
	n := -1
	if *s != nil {
		n = len(*s)
	}
	n = c.length(n, false)
	if elements(c, s, n, each); c.reading && n == 0 {
		*s = []T{}
	}
}

// maxReserved bounds what is reserved for elements that were announced and may not come.
const maxReserved = 1024

func elements[T any](c *coder, s *[]T, n int, each func(*coder, *T)) {
	if !c.reading {
		for i := range *s {
			each(c, &(*s)[i])
		}
		return
	}
	*s = nil
	if n > 0 {
		*s = make([]T, 0, min(n, maxReserved))
	}
	for range n {
		var v T
		if each(c, &v); c.err != nil {
			return
		}
		*s = append(*s, v)
	}
}

// optional is a message that may be null.
func optional[T any](c *coder, v **T, fields func(*coder, *T)) {
	present := int8(-1)
	if *v != nil {
		present = 1
	}
	number(c, &present)
	orNull(c, present > 0, v, fields)
}

// optionalTag is a message that may be null in a tagged field: there Kafka counts it as an array of one.
func optionalTag[T any](c *coder, v **T, fields func(*coder, *T)) {
	n := uint32(0)
	if *v != nil {
		n = 1
	}
	orNull(c, c.uvarint(n) > 0, v, fields)
}

func orNull[T any](c *coder, present bool, v **T, fields func(*coder, *T)) {
	if !present {
		*v = nil
		return
	}
	if c.reading {
		*v = new(T)
	}
	fields(c, *v)
}

// tagged is a tagged field: its number, whether it differs from what it is by default, and its content.
type tagged struct {
	number  uint32
	present bool
	field   func(*coder)
}

// tags are the tagged fields at the end of a message: those known, by number, and the others. A message that is not flexible has none.
func (c *coder) tags(others *[]Tag, known ...tagged) {
	if !c.flexible {
		return
	}
	if c.reading {
		c.readTags(others, known)
		return
	}
	n := len(*others)
	for _, t := range known {
		if t.present {
			n++
		}
	}
	c.uvarint(uint32(n))
	for _, t := range known {
		if !t.present {
			continue
		}
		c.knownTag(t)
	}
	for _, t := range *others {
		c.tag(t.Number, t.Bytes)
	}
}

// knownTag writes the field first, and then makes room for how long it is: nearly always one byte.
func (c *coder) knownTag(t tagged) {
	c.uvarint(t.number)
	at := len(c.buf)
	c.buf = append(c.buf, 0)
	if t.field(c); c.err != nil {
		return
	}
	if size := len(c.buf) - at - 1; size < 1<<7 {
		c.buf[at] = byte(size)
	} else {
		var length [binary.MaxVarintLen32]byte
		c.buf = slices.Replace(c.buf, at, at+1, length[:binary.PutUvarint(length[:], uint64(size))]...)
	}
}

func (c *coder) tag(number uint32, body []byte) {
	c.uvarint(number)
	c.uvarint(uint32(len(body)))
	c.buf = append(c.buf, body...)
}

func (c *coder) readTags(others *[]Tag, known []tagged) {
	for n := c.uvarint(0); n > 0 && c.err == nil; n-- {
		number := c.uvarint(0)
		size := c.uvarint(0)
		body := coder{reading: true, flexible: true, version: c.version, buf: c.take(int(size))}
		body.err = c.err
		found := false
		for _, t := range known {
			if t.number == number {
				t.field(&body)
				found = true
			}
		}
		if c.err = body.err; !found && c.err == nil {
			*others = append(*others, Tag{number, append([]byte(nil), body.buf...)})
		}
	}
}
