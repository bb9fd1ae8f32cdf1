package record

import (
	"errors"
	"fmt"
	"iter"
)

// ErrRecord: a record does not parse, or a batch's records are not what its header says.
var ErrRecord = errors.New("invalid record")

// Record is one record of a batch. Its slices alias the bytes that it was read from.
type Record struct {
	Attributes     int8
	TimestampDelta int64  // milliseconds from the batch's BaseTimestamp
	OffsetDelta    int32  // from the batch's BaseOffset
	Key, Value     []byte // nil is null, which is not the same as empty
	Headers        Headers
}

// Header is one header of a record. Value may be nil, which is null.
type Header struct {
	Key   string
	Value []byte
}

// Headers are the headers of one record, already known to parse.
type Headers struct {
	n   int
	raw []byte
}

// Len is the number of headers.
func (h Headers) Len() int { return h.n }

// List returns the headers as a Builder takes them; nil if there are none. The values alias the record.
func (h Headers) List() []Header {
	if h.n == 0 {
		return nil
	}
	out := make([]Header, 0, h.n)
	for k, v := range h.All() {
		out = append(out, Header{Key: string(k), Value: v})
	}
	return out
}

// All yields key and value of each header in order. Both alias the record.
func (h Headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		p := parser{buf: h.raw}
		for range h.n {
			key, value := p.bytes("header key"), p.bytes("header value")
			if !yield(key, value) {
				return
			}
		}
	}
}

// Iterator walks the uncompressed records of one batch.
type Iterator struct {
	p     parser
	count int
	read  int
}

// NewIterator walks count records in data, which is Records of a batch after decompression. Whether data ends
// with the last record is found out when Next returns false.
func NewIterator(data []byte, count int32) Iterator {
	return Iterator{p: parser{buf: data}, count: int(count)}
}

// Next reads the next record into r and tells whether there was one. After false, see Err.
func (it *Iterator) Next(r *Record) bool {
	if it.p.err != nil {
		return false
	}
	if it.read >= it.count {
		if len(it.p.buf) > 0 {
			it.p.fail("%d bytes follow the last of %d records", len(it.p.buf), it.count)
		}
		return false
	}
	it.p.record(r)
	if it.p.err != nil {
		return false
	}
	it.read++
	return true
}

// Index is the position in the batch of the record that Next read last, or failed to read.
func (it *Iterator) Index() int {
	if it.p.err != nil {
		return it.read
	}
	return it.read - 1
}

// Err is nil if the walk reached the end, else what is wrong with the record at Index. It wraps ErrRecord.
func (it *Iterator) Err() error { return it.p.err }

// parser consumes buf from the front and stops at the first error.
type parser struct {
	buf []byte
	err error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %s", ErrRecord, fmt.Sprintf(format, args...))
	}
	p.buf = nil
}

func (p *parser) varint(what string) int32 {
	v, n := varint32(p.buf)
	if n <= 0 {
		p.failVarint(what, n)
		return 0
	}
	p.buf = p.buf[n:]
	return v
}

func (p *parser) varlong(what string) int64 {
	v, n := varint64(p.buf)
	if n <= 0 {
		p.failVarint(what, n)
		return 0
	}
	p.buf = p.buf[n:]
	return v
}

func (p *parser) failVarint(what string, n int) {
	if n < 0 {
		p.fail("%s is a varint out of range", what)
		return
	}
	p.fail("it ends inside the %s", what)
}

// bytes reads a length and as many bytes; -1 is null.
func (p *parser) bytes(what string) []byte {
	n := p.varint(what)
	switch {
	case p.err != nil || n == -1:
		return nil
	case n < 0:
		p.fail("the length of the %s is %d", what, n)
		return nil
	case int(n) > len(p.buf):
		p.fail("the length of the %s is %d, %d bytes are left", what, n, len(p.buf))
		return nil
	}
	b := p.buf[:n:n]
	p.buf = p.buf[n:]
	return b
}

// record reads one record and demands that it fill its own length exactly.
func (p *parser) record(r *Record) {
	body := p.bytes("record")
	if p.err != nil {
		return
	}
	if len(body) == 0 {
		p.fail("it is empty")
		return
	}
	in := parser{buf: body[1:]}
	r.Attributes = int8(body[0])
	r.TimestampDelta = in.varlong("timestamp delta")
	r.OffsetDelta = in.varint("offset delta")
	r.Key = in.bytes("key")
	r.Value = in.bytes("value")
	r.Headers = in.headers()
	if in.err == nil && len(in.buf) > 0 {
		in.fail("%d bytes follow its headers", len(in.buf))
	}
	if in.err != nil {
		p.err, p.buf = in.err, nil
	}
}

func (p *parser) headers() Headers {
	n := p.varint("header count")
	if p.err != nil {
		return Headers{}
	}
	if n < 0 || int(n) > len(p.buf)/2 { // a header has at least two bytes
		p.fail("it has %d headers in %d bytes", n, len(p.buf))
		return Headers{}
	}
	raw := p.buf
	for range n {
		if key := p.bytes("header key"); key == nil {
			p.fail("a header has a null key")
			return Headers{}
		}
		p.bytes("header value")
		if p.err != nil {
			return Headers{}
		}
	}
	return Headers{n: int(n), raw: raw[:len(raw)-len(p.buf)]}
}
