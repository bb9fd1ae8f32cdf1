package group

import (
	"encoding/binary"
	"math"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
)

// newestProtocol is the newest version of what classic consumers tell their leader, and it them, that is read as itself; later ones begin
// like it.
const newestProtocol = 3

// consumerSubscription is what a classic consumer tells.
type consumerSubscription struct {
	version int16
	topics  []string
	owned   []namedPartitions // version 1 on
	rack    *string           // version 3 on
}

// namedPartitions are partitions of a topic by its name.
type namedPartitions struct {
	topic      string
	partitions []int32
}

// protocolReader reads what classic consumers write: big-endian numbers, and lengths before what they are of.
type protocolReader struct {
	b   []byte
	bad bool
}

func (r *protocolReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *protocolReader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *protocolReader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *protocolReader) string() string { return string(r.take(int(r.int16()))) }

// skipBytes skips bytes that may be null.
func (r *protocolReader) skipBytes() {
	if n := r.int32(); n > 0 {
		r.take(int(n))
	}
}

// count is how many elements follow, each of which takes some bytes.
func (r *protocolReader) count(each int) int {
	n := int(r.int32())
	if n < 0 || n > len(r.b)/each {
		r.bad, r.b = true, nil
		return 0
	}
	return n
}

func (r *protocolReader) partitions() []namedPartitions {
	out := make([]namedPartitions, r.count(6))
	for i := range out {
		out[i].topic = r.string()
		out[i].partitions = make([]int32, r.count(4))
		for j := range out[i].partitions {
			out[i].partitions[j] = r.int32()
		}
	}
	return out
}

// parseSubscription reads what a classic consumer is subscribed to and has.
func parseSubscription(b []byte) (consumerSubscription, bool) {
	r := &protocolReader{b: b}
	s := consumerSubscription{version: min(r.int16(), newestProtocol)}
	s.topics = make([]string, r.count(2))
	for i := range s.topics {
		s.topics[i] = r.string()
	}
	if r.skipBytes(); s.version >= 1 {
		s.owned = r.partitions()
	}
	if s.version >= 2 {
		r.int32() // the generation that this is of
	}
	if s.version >= 3 {
		if n := r.int16(); n >= 0 {
			rack := string(r.take(int(n)))
			s.rack = optional(rack)
		}
	}
	return s, !r.bad && s.version >= 0
}

// parseAssignment reads what a leader has given a classic consumer. Nothing is nothing.
func parseAssignment(b []byte) ([]namedPartitions, bool) {
	if len(b) == 0 {
		return nil, true
	}
	r := &protocolReader{b: b}
	r.int16()
	out := r.partitions()
	return out, !r.bad
}

// appendAssignment writes it.
func appendAssignment(b []byte, version int16, all []DescribedPartitions) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(len(all)))
	for _, t := range all {
		b = binary.BigEndian.AppendUint16(b, uint16(len(t.Topic)))
		b = binary.BigEndian.AppendUint32(append(b, t.Topic...), uint32(len(t.Partitions)))
		for _, p := range t.Partitions {
			b = binary.BigEndian.AppendUint32(b, uint32(p))
		}
	}
	return binary.BigEndian.AppendUint32(b, math.MaxUint32) // no data of the assignor's
}

// byTopicID are those partitions whose topics exist.
func (m *Machine) byTopicID(all []namedPartitions) assign.Partitions {
	var out []assign.TopicPartitions
	for _, p := range all {
		if t := m.image.Topic(p.topic); t != nil {
			out = append(out, assign.TopicPartitions{Topic: t.ID, Partitions: p.partitions})
		}
	}
	return assign.Of(out)
}

// named are those partitions whose topics exist, with their names.
func (m *Machine) named(p assign.Partitions) []DescribedPartitions {
	out := make([]DescribedPartitions, 0, len(p))
	for i := range p {
		if t := m.image.TopicByID(p[i].Topic); t != nil {
			out = append(out, DescribedPartitions{TopicID: t.ID, Topic: t.Name, Partitions: p[i].Partitions})
		}
	}
	return out
}

// assignmentBytes is what a classic member has, in the version that it speaks.
func (m *Machine) assignmentBytes(mem *schema.ConsumerGroupMember, cur *current) []byte {
	version := int16(0)
	if all := mem.ClassicMemberMetadata.SupportedProtocols; len(all) > 0 {
		if sub, ok := parseSubscription(all[0].Metadata); ok {
			version = sub.version
		}
	}
	return appendAssignment(nil, version, m.named(cur.assigned.Partitions))
}
