package wire

import (
	"encoding/binary"

	"chronik/internal/model"
)

// CurrentLeader names the leader that the client should ask instead.
type CurrentLeader struct {
	ID    model.BrokerID
	Epoch model.LeaderEpoch
}

// NodeEndpoint is where a broker listens.
type NodeEndpoint struct {
	ID   model.BrokerID
	Host string
	Port int32
	Rack *string
}

// encoder appends one response frame to buf, in the encoding that is flexible or the one before (KIP-482).
type encoder struct {
	buf      []byte
	flexible bool
}

// header leaves room for the size and writes the response header.
func (e *encoder) header(correlationID int32) {
	e.buf = append(e.buf, 0, 0, 0, 0)
	e.buf = appendResponseHeader(e.buf, correlationID, e.flexible)
}

func (e *encoder) int16(v int16) { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(v)) }
func (e *encoder) int32(v int32) { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) }
func (e *encoder) int64(v int64) { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) }
func (e *encoder) uvarint(v int) { e.buf = binary.AppendUvarint(e.buf, uint64(v)) }

// length is that of an array or of bytes: 4 bytes, or a varint of the length plus one. -1 is null.
func (e *encoder) length(n int) {
	if e.flexible {
		e.uvarint(n + 1)
		return
	}
	e.int32(int32(n))
}

func (e *encoder) string(s string) {
	if e.flexible {
		e.uvarint(len(s) + 1)
	} else {
		e.int16(int16(len(s)))
	}
	e.buf = append(e.buf, s...)
}

func (e *encoder) nullableString(s *string) {
	switch {
	case s != nil:
		e.string(*s)
	case e.flexible:
		e.uvarint(0)
	default:
		e.int16(-1)
	}
}

// noTags is an empty list of tagged fields, where there are such lists.
func (e *encoder) noTags() {
	if e.flexible {
		e.buf = append(e.buf, 0)
	}
}

// currentLeader writes the tagged field of that number.
func (e *encoder) currentLeader(tag int, l *CurrentLeader) {
	const size = 4 + 4 + 1 // with an empty list of tagged fields
	e.uvarint(tag)
	e.uvarint(size)
	e.int32(int32(l.ID))
	e.int32(int32(l.Epoch))
	e.noTags()
}

// endpoints writes the tagged fields of a whole response, of which the endpoints are the only one: number 0.
func (e *encoder) endpoints(nodes []NodeEndpoint) {
	if len(nodes) == 0 {
		e.noTags()
		return
	}
	e.uvarint(1)
	e.uvarint(0)
	e.uvarint(endpointsSize(nodes))
	e.length(len(nodes))
	for i := range nodes {
		n := &nodes[i]
		e.int32(int32(n.ID))
		e.string(n.Host)
		e.int32(n.Port)
		e.nullableString(n.Rack)
		e.noTags()
	}
}

func endpointsSize(nodes []NodeEndpoint) int {
	size := uvarintLen(len(nodes) + 1)
	for _, n := range nodes {
		size += 4 + uvarintLen(len(n.Host)+1) + len(n.Host) + 4 + 1
		if n.Rack == nil {
			size++
			continue
		}
		size += uvarintLen(len(*n.Rack)+1) + len(*n.Rack)
	}
	return size
}

func uvarintLen(v int) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
