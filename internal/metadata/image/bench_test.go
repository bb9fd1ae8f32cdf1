package image

import (
	"fmt"
	"testing"

	"chronik/internal/metadata/command"
)

func many(b *testing.B, topics, partitions int) *Image {
	m, _ := must(b, New("c"), batch(node(1)))
	cs := make([]*command.Command, topics)
	for i := range cs {
		cs[i] = newTopic(fmt.Sprintf("topic-%d", i), topicID(i), partitions)
	}
	m, _ = must(b, m, cs)
	return m
}

// One change each: the ISR of one partition, over 10,000 partitions in many topics and in one.
func BenchmarkChangeOnePartition(b *testing.B) {
	for _, shape := range [][2]int{{10_000, 1}, {100, 100}, {1, 10_000}} {
		b.Run(fmt.Sprintf("%dx%d", shape[0], shape[1]), func(b *testing.B) {
			m := many(b, shape[0], shape[1])
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := topicID(i % shape[0])
				n := i % shape[1]
				p := m.TopicByID(id).Partitions[n]
				m, _ = must(b, m, batch(command.ISR(&command.UpdateISR{TopicId: id[:], Partition: int32(n), ExpectedPartitionEpoch: p.PartitionEpoch, Isr: []int32{1}})))
			}
		})
	}
}

func BenchmarkCreate10000TopicsInOneBatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		many(b, 10_000, 1)
	}
}

func BenchmarkSnapshot10000Topics(b *testing.B) {
	m := many(b, 10_000, 1)
	b.ReportAllocs()
	for b.Loop() {
		data, err := EncodeSnapshot(m)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := DecodeSnapshot("c", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTopicByName(b *testing.B) {
	m := many(b, 10_000, 1)
	var t *Topic
	for b.Loop() {
		t = m.Topic("topic-5000")
	}
	_ = t
}
