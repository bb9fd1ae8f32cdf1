package group

import (
	"bytes"
	"slices"
	"testing"
)

// javaSubscription is what Kafka's consumer of 4.3 writes of the topics "a" and "b", of which it has a-0 and a-1 since generation 7, in rack "r".
var javaSubscription = slices.Concat(
	[]byte{0, 3, 0, 0, 0, 2, 0, 1, 'a', 0, 1, 'b', 0xff, 0xff, 0xff, 0xff},
	[]byte{0, 0, 0, 1, 0, 1, 'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1},
	[]byte{0, 0, 0, 7, 0, 1, 'r'},
)

func TestSubscription(t *testing.T) {
	s, ok := parseSubscription(javaSubscription)
	if !ok || s.version != 3 || !slices.Equal(s.topics, []string{"a", "b"}) || len(s.owned) != 1 || s.owned[0].topic != "a" ||
		!slices.Equal(s.owned[0].partitions, []int32{0, 1}) || s.rack == nil || *s.rack != "r" {
		t.Errorf("%+v, %t", s, ok)
	}
	for n := range len(javaSubscription) {
		if s, ok := parseSubscription(javaSubscription[:n]); ok {
			t.Errorf("%d bytes are read as %+v", n, s)
		}
	}
	newer := slices.Clone(javaSubscription)
	newer[1] = 9
	if s, ok := parseSubscription(append(newer, 1, 2, 3)); !ok || len(s.owned) != 1 {
		t.Errorf("a newer version is read as %+v, %t", s, ok)
	}
}

// FuzzConsumerProtocol: any bytes are read or refused, and what is written is read (E2).
func FuzzConsumerProtocol(f *testing.F) {
	f.Add(javaSubscription)
	f.Add(appendAssignment(nil, 3, named("a-0+a-1+b-7")))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseSubscription(b); ok && len(s.topics) > len(b) {
			t.Errorf("%d topics in %d bytes", len(s.topics), len(b))
		}
		all, ok := parseAssignment(b)
		if !ok {
			return
		}
		var out []DescribedPartitions
		for _, p := range all {
			out = append(out, DescribedPartitions{Topic: p.topic, Partitions: p.partitions})
		}
		again, ok := parseAssignment(appendAssignment(nil, 0, out))
		if !ok || !slices.EqualFunc(all, again, func(a, b namedPartitions) bool { return a.topic == b.topic && slices.Equal(a.partitions, b.partitions) }) {
			t.Errorf("%v is read back as %v", all, again)
		}
	})
}
