package wire

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A shape is what a version of a request looks like on the wire, without names. kmsg trusts what it decodes in
// two ways that a broker cannot afford: it loops as often as a count of tagged fields says, four thousand million
// times for five bytes, and it allocates an array by a count of elements that only has to be smaller than
// the bytes that follow. So each request is walked against its shape first. The walk allocates nothing, proves that
// every length and count is true, and adds up what the decoded form will take.
//
// The strings of the table, one letter per field:
//
//	1 2 4 8 u   fixed width in bytes; u is a UUID, 16
//	s S b B     string, compact string, bytes, compact bytes
//	[..] (..)   array, compact array of what is inside
//	<..>        tagged fields: number:shape, separated by commas
//	?           what follows may be null; before {..}, a struct behind a marker byte
type kafkaAPI struct {
	key    int16
	name   string
	shapes []shapeRange
}

// shapeRange is the shape that versions from to to share.
type shapeRange struct {
	from, to int16
	shape    string
}

var (
	// ErrMalformed: the bytes are not a message of that API and version.
	ErrMalformed = errors.New("malformed request")
	// ErrTooComplex: the message is well-formed but would take more memory than a request may.
	ErrTooComplex = errors.New("request has too many elements")
)

const (
	// maxDecodedBytes bounds the memory of one decoded request as the walk counts it, beyond the frame that its byte
	// fields alias; what is really allocated is at most twice that. A Fetch of half a million partitions fits.
	maxDecodedBytes = 64 << 20
	// maxUnknownTags bounds tagged fields that no version of Kafka has; kmsg keeps them in maps.
	maxUnknownTags = 256
)

type op byte

const (
	opFixed op = iota
	opString
	opCompactString
	opBytes
	opCompactBytes
	opArray
	opCompactArray
	opStruct // nullable, or it would be written without braces
	opTags
)

type node struct {
	op       op
	nullable bool
	size     int    // opFixed: bytes on the wire
	fields   []node // of an element, or of the struct
	tags     []tagShape
	cost     int // arrays and structs: rough bytes in memory of one element or of the struct
}

type tagShape struct {
	number uint32
	fields []node
}

// Rough sizes in memory: headers of strings and slices, the pointer before them where they are nullable.
const (
	costString = 24
	costSlice  = 24
	costTags   = 8
	// costElement is added to every element that is a struct: kmsg's have room for the fields of all versions.
	costElement = 32
)

// compile parses a shape. The table is fixed, so a mistake in it is a programming error, and panics.
func compile(shape string) []node {
	p := shapeParser{s: shape}
	fields := p.fields("")
	if p.s != "" {
		panic(fmt.Sprintf("wire: shape %q does not parse at %q", shape, p.s))
	}
	return fields
}

type shapeParser struct{ s string }

// fields parses up to one of the characters in stops, or to the end, and joins neighbours of fixed width.
func (p *shapeParser) fields(stops string) []node {
	var out []node
	for p.s != "" && !strings.Contains(stops, p.s[:1]) {
		n := p.field()
		if last := len(out) - 1; n.op == opFixed && last >= 0 && out[last].op == opFixed {
			out[last].size += n.size
			continue
		}
		out = append(out, n)
	}
	return out
}

// enclosed is fields and the closing character behind them.
func (p *shapeParser) enclosed(closing string) []node {
	out := p.fields(closing)
	p.s = p.s[len(closing):]
	return out
}

func (p *shapeParser) field() node {
	var n node
	if p.s[0] == '?' {
		n.nullable = true
		p.s = p.s[1:]
	}
	before, c := p.s, p.s[0]
	p.s = p.s[1:]
	switch c {
	case '1', '2', '4', '8':
		n.op, n.size = opFixed, int(c-'0')
	case 'u':
		n.op, n.size = opFixed, 16
	case 's':
		n.op = opString
	case 'S':
		n.op = opCompactString
	case 'b':
		n.op = opBytes
	case 'B':
		n.op = opCompactBytes
	case '[':
		n.op, n.fields = opArray, p.enclosed("]")
	case '(':
		n.op, n.fields = opCompactArray, p.enclosed(")")
	case '{':
		n.op, n.fields = opStruct, p.enclosed("}")
	case '<':
		n.op, n.tags = opTags, p.tags()
	default:
		panic(fmt.Sprintf("wire: a shape has the unknown letter %q", c))
	}
	n.cost = memory(n.fields)
	if inside := len(before) - len(p.s); inside > len("[4]") {
		n.cost += costElement
	}
	return n
}

func (p *shapeParser) tags() []tagShape {
	var out []tagShape
	for p.s[0] != '>' {
		digits, rest, _ := strings.Cut(p.s, ":")
		number, err := strconv.ParseUint(digits, 10, 32)
		if err != nil {
			panic(err)
		}
		p.s = rest
		out = append(out, tagShape{number: uint32(number), fields: p.fields(",>")})
		p.s = strings.TrimPrefix(p.s, ",")
	}
	p.s = p.s[1:]
	return out
}

// memory is roughly what kmsg allocates for the fields of one element, beside the contents of its strings and arrays.
func memory(fields []node) int {
	total := 0
	for _, f := range fields {
		switch f.op {
		case opFixed:
			total += (f.size + 7) &^ 7
		case opString, opCompactString:
			total += costString
		case opTags:
			total += costTags
			for _, t := range f.tags {
				total += memory(t.fields)
			}
		default:
			total += costSlice
		}
	}
	return total
}
