package wire

import "fmt"

// walk proves that body has the shape that fields give it. Bytes behind it are allowed, as Kafka allows them.
//
// It has to be at least as strict as kmsg, which FuzzEveryRequest checks: where kmsg reads more into the bytes than
// Kafka does (a tagged field of a newer version, a null struct marked by something else than -1), the walk follows kmsg.
func walk(fields []node, body []byte) error {
	w := walker{reader: reader{buf: body}}
	w.fields(fields)
	switch {
	case w.cost > maxDecodedBytes || w.unknownTags > maxUnknownTags:
		return fmt.Errorf("%w: it would take %d bytes in memory (at most %d), and has %d unknown tagged fields (at most %d)",
			ErrTooComplex, w.cost, maxDecodedBytes, w.unknownTags, maxUnknownTags)
	case w.bad:
		return fmt.Errorf("%w: its %d bytes end early, or a length in them is impossible", ErrMalformed, len(body))
	}
	return nil
}

type walker struct {
	reader
	cost        int // bytes that decoding will allocate
	unknownTags int
}

func (w *walker) fields(fields []node) {
	for i := range fields {
		if w.bad {
			return
		}
		w.field(&fields[i])
	}
}

func (w *walker) field(n *node) {
	switch n.op {
	case opFixed:
		w.span(n.size)
	case opString:
		w.sized(int(w.int16()), n.nullable, true)
	case opCompactString:
		w.sized(w.compactLen(), n.nullable, true)
	case opBytes:
		w.sized(int(w.int32()), n.nullable, false)
	case opCompactBytes:
		w.sized(w.compactLen(), n.nullable, false)
	case opArray:
		w.array(n, int(w.int32()))
	case opCompactArray:
		w.array(n, w.compactLen())
	case opStruct:
		w.nullableStruct(n)
	case opTags:
		w.tags(n.tags)
	}
}

// sized is a string or a byte field; only strings are copied by the decoder.
func (w *walker) sized(length int, nullable, copied bool) {
	if length == -1 && nullable {
		return
	}
	w.span(length)
	if copied {
		w.spend(length)
	}
}

func (w *walker) array(n *node, count int) {
	if w.bad || count == -1 && n.nullable {
		return
	}
	if count < 0 || count > len(w.buf) { // an element has one byte at least
		w.fail()
		return
	}
	w.spend(count * n.cost)
	if len(n.fields) == 1 && n.fields[0].op == opFixed {
		w.span(count * n.fields[0].size)
		return
	}
	for range count {
		if w.bad {
			return
		}
		w.fields(n.fields)
	}
}

func (w *walker) nullableStruct(n *node) {
	marker := w.span(1)
	switch {
	case w.bad || int8(marker[0]) == -1:
		return
	case int8(marker[0]) < 0: // null to Kafka, a struct to kmsg; nobody sends it
		w.fail()
		return
	}
	w.spend(n.cost)
	w.fields(n.fields)
}

func (w *walker) tags(known []tagShape) {
	n := w.uvarint()
	if uint64(n) > uint64(len(w.buf)/2) { // each has two bytes at least
		w.fail()
		return
	}
	for range n {
		number, size := w.uvarint(), w.uvarint()
		content := w.span(int(size))
		if w.bad {
			return
		}
		w.tag(known, number, content)
	}
}

// tag walks what is inside a tagged field that Kafka knows, and counts those that it does not.
func (w *walker) tag(known []tagShape, number uint32, content []byte) {
	for i := range known {
		if known[i].number != number {
			continue
		}
		outer := w.buf
		w.buf = content
		w.fields(known[i].fields)
		if !w.bad {
			w.buf = outer
		}
		return
	}
	if w.unknownTags++; w.unknownTags > maxUnknownTags {
		w.fail()
	}
}

func (w *walker) spend(bytes int) {
	if w.cost += max(bytes, 0); w.cost > maxDecodedBytes {
		w.fail()
	}
}
