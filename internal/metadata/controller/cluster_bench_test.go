package controller

import (
	"fmt"
	"testing"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// decideAndApply makes one decision and applies it, through the bytes of the log.
func decideAndApply(b *testing.B, m *image.Image, cs []*command.Command, err error) *image.Image {
	if err != nil {
		b.Fatal(err)
	}
	entry, err := command.Encode(m.ClusterID(), cs)
	if err != nil {
		b.Fatal(err)
	}
	if len(entry) > 8<<20 {
		b.Fatalf("an entry of %d bytes", len(entry))
	}
	b.ReportMetric(float64(len(entry)), "entry-bytes")
	if cs, err = command.Decode(m.ClusterID(), entry); err != nil {
		b.Fatal(err)
	}
	next, _, err := image.Apply(m, cs, 1, m.Index()+1)
	if err != nil {
		b.Fatal(err)
	}
	return next
}

func bench(b *testing.B, nodes int, topics ...NewTopic) *world {
	racks := make([]string, nodes)
	for i := range racks {
		racks[i] = fmt.Sprintf("rack-%d", i%3)
	}
	return clusterOf(b, racks, topics...)
}

func BenchmarkCreate10000Partitions(b *testing.B) {
	w := bench(b, 9)
	b.ReportAllocs()
	for b.Loop() {
		cs, _ := CreateTopics(w.inputs(), []NewTopic{{Name: "big", Partitions: 10_000, ReplicationFactor: 3}}, false)
		decideAndApply(b, w.image, cs, nil)
	}
}

// The node leads a third of 9,000 partitions, and follows in all.
func BenchmarkFenceNodeThatLeads3000(b *testing.B) {
	for _, shape := range [][2]int{{1, 9_000}, {90, 100}, {9_000, 1}} {
		b.Run(fmt.Sprintf("%dx%d", shape[0], shape[1]), func(b *testing.B) {
			var topics []NewTopic
			for i := range shape[0] {
				topics = append(topics, NewTopic{Name: fmt.Sprint("t", i), Partitions: int32(shape[1]), ReplicationFactor: 3})
			}
			w := &world{t: b, image: image.New("cluster"), static: map[string]string{}}
			many := w.manyTopics()
			cs, err := FormCluster(many)
			w.must(cs, err)
			for id := model.BrokerID(1); id <= 3; id++ {
				w.join(id, "")
			}
			many.Image = w.image
			cs, _ = CreateTopics(many, topics, false)
			w.must(cs, nil)
			b.ReportAllocs()
			for b.Loop() {
				cs, err := FenceNodes(w.inputs(), 1)
				decideAndApply(b, w.image, cs, err)
			}
		})
	}
}

// manyTopics are inputs that give out more than 255 topic IDs.
func (w *world) manyTopics() Inputs {
	in, n := w.inputs(), 0
	in.NewTopicID = func() model.TopicID {
		n++
		return model.TopicID{byte(n * 7), byte(n >> 8), 14: 1, 15: byte(n)}
	}
	return in
}

func BenchmarkAlterPartition(b *testing.B) {
	w := bench(b, 3, NewTopic{Name: "t", Partitions: 10_000, ReplicationFactor: 3})
	t := w.image.Topic("t")
	p := t.Partitions[0]
	change := []ISRChange{{Topic: t.ID, ISR: []Member{{p.Leader, -1}}}}
	epoch := w.image.Node(p.Leader).Epoch
	b.ReportAllocs()
	for b.Loop() {
		cs, _, err := AlterPartition(w.inputs(), p.Leader, epoch, change)
		decideAndApply(b, w.image, cs, err)
	}
}

func BenchmarkHeartbeat(b *testing.B) {
	w := bench(b, 3, NewTopic{Name: "t", Partitions: 10_000, ReplicationFactor: 3})
	h := Heartbeat{ID: 1, Epoch: w.image.Node(1).Epoch, Applied: w.image.Index()}
	in := w.inputs()
	b.ReportAllocs()
	for b.Loop() {
		if cs, _, err := HandleHeartbeat(in, h); err != nil || cs != nil {
			b.Fatal(cs, err)
		}
	}
}

// A fourth node joins three that hold 10,000 partitions.
func BenchmarkPlanRebalance(b *testing.B) {
	w := bench(b, 3, NewTopic{Name: "t", Partitions: 10_000, ReplicationFactor: 3})
	w.join(4, "rack-3")
	b.ReportAllocs()
	for b.Loop() {
		if p := PlanRebalance(LayoutOf(w.image), Rebalance{Limit: 20}); len(p.Moves) != 20 {
			b.Fatal(len(p.Moves))
		}
	}
}
