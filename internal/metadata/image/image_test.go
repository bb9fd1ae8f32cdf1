package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

func topicID(n int) model.TopicID {
	return model.TopicID{byte(n >> 16), byte(n >> 8), byte(n), 15: byte(n)}
}

func node(id int32) *command.Command {
	return command.Add(&command.AddNode{NodeId: id, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)})
}

func newTopic(name string, id model.TopicID, partitions int) *command.Command {
	as := make([]*command.Assignment, partitions)
	for i := range as {
		as[i] = &command.Assignment{Replicas: []int32{1}, Leader: 1}
	}
	return command.Create(&command.CreateTopic{Name: name, TopicId: id[:], Assignments: as})
}

// must applies batches in order.
func must(t testing.TB, m *Image, batches ...[]*command.Command) (*Image, *Delta) {
	t.Helper()
	var d *Delta
	for _, b := range batches {
		var err error
		if m, d, err = Apply(m, b, 1, m.Index()+1); err != nil {
			t.Fatal(err)
		}
	}
	return m, d
}

func batch(cs ...*command.Command) []*command.Command { return cs }

func TestCreateAndDelete(t *testing.T) {
	m, d := must(t, New("c"), batch(node(1)), batch(newTopic("a.b", topicID(1), 3)))
	if len(d.TopicsCreated) != 1 || len(d.Partitions) != 0 || m.PartitionCount() != 3 || m.TopicCount() != 1 {
		t.Fatalf("delta %+v", d)
	}
	if m.Topic("a.b") != m.TopicByID(topicID(1)) || m.Topic("a.b") == nil {
		t.Error("the topic is not found under its name and its ID")
	}
	if m.Colliding("a_b") != "a.b" || m.Colliding("a-b") != "" {
		t.Error("collision is not recognised")
	}
	before := m
	m, d = must(t, m, batch(command.Delete(topicID(1)), newTopic("a_b", topicID(2), 1)))
	if len(d.TopicsDeleted) != 1 || d.TopicsDeleted[0].ID != topicID(1) || len(d.TopicsCreated) != 1 || m.PartitionCount() != 1 {
		t.Errorf("delta %+v", d)
	}
	if m.Topic("a.b") != nil || before.Topic("a.b") == nil || before.Topic("a_b") != nil {
		t.Error("the old image changed, or the new one did not")
	}
	_, d = must(t, m, batch(newTopic("x", topicID(3), 1), command.Delete(topicID(3))))
	if !d.Empty() {
		t.Errorf("created and deleted in one batch: delta %+v", d)
	}
}

func TestConflictsLeaveTheImage(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(1)), batch(newTopic("a.b", topicID(1), 1)))
	id := topicID(1)
	gone := topicID(9)
	for name, c := range map[string]*command.Command{
		"name taken":      newTopic("a.b", topicID(2), 1),
		"name collides":   newTopic("a_b", topicID(2), 1),
		"ID taken":        newTopic("x", topicID(1), 1),
		"topic gone":      command.Delete(gone),
		"other count":     command.Assign(id, 2, []*command.Assignment{{Replicas: []int32{1}, Leader: 1}}),
		"node gone":       command.Assign(id, 1, []*command.Assignment{{Replicas: []int32{2}, Leader: 2}}),
		"partition epoch": command.Lead(&command.SetPartitionLeader{TopicId: id[:], ExpectedPartitionEpoch: 7, Leader: 1, Isr: []int32{1}}),
		"leader epoch":    command.ISR(&command.UpdateISR{TopicId: id[:], LeaderEpoch: 3, Isr: []int32{1}}),
		"no partition":    command.ISR(&command.UpdateISR{TopicId: id[:], Partition: 5, Isr: []int32{1}}),
		"node epoch":      command.Remove(1, 99),
		"not registered":  command.Fence(5, 1, true),
		"producer IDs":    command.ProducerIDs(&command.AllocateProducerIDs{NodeId: 1, NodeEpoch: 1, First: 5, Count: 1}),
		"config of none":  command.TopicConfig(gone, nil, []string{"x"}),
	} {
		// The first command fits; it must not take effect either.
		got, d, err := Apply(m, batch(newTopic("first", topicID(7), 1), c), 1, m.Index()+1)
		if !IsConflict(err) {
			t.Errorf("%s: error %v, want a conflict", name, err)
			continue
		}
		if got.Index() != m.Index()+1 || got.Topic("first") != nil || !d.Empty() || got.PartitionCount() != 1 {
			t.Errorf("%s: part of the batch took effect", name)
		}
	}
}

func TestImpossibleCommandsStopTheNode(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(1), node(2)), batch(newTopic("a", topicID(1), 1)))
	id := topicID(1)
	for name, c := range map[string]*command.Command{
		"leader not in ISR": command.Lead(&command.SetPartitionLeader{TopicId: id[:], Leader: 2, Isr: []int32{1}}),
		"ISR not replicas":  command.ISR(&command.UpdateISR{TopicId: id[:], Isr: []int32{1, 2}}),
		"ELR in ISR":        command.ISR(&command.UpdateISR{TopicId: id[:], Isr: []int32{1}, Elr: []int32{1}}),
		"replica twice":     command.Assign(id, 1, []*command.Assignment{{Replicas: []int32{1, 1}, Leader: 1}}),
		"no kind":           {},
	} {
		if got, _, err := Apply(m, batch(c), 1, m.Index()+1); err == nil || IsConflict(err) || got != nil {
			t.Errorf("%s: %v, want an error that is no conflict", name, err)
		}
	}
	if _, _, err := Apply(m, nil, 1, m.Index()+2); err == nil {
		t.Error("a gap in the log was accepted")
	}
	if _, _, err := Apply(m, nil, 0, m.Index()+1); err == nil {
		t.Error("a term that goes back was accepted")
	}
}

func TestPartitionChangesAreNotedOnce(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(1), node(2)), batch(newTopic("a", topicID(1), 2)))
	id := topicID(1)
	old := m.Topic("a").Partitions[0]
	m, d := must(t, m, batch(
		command.Lead(&command.SetPartitionLeader{TopicId: id[:], Leader: -1, Isr: []int32{1}}),
		command.Lead(&command.SetPartitionLeader{TopicId: id[:], ExpectedPartitionEpoch: 1, Leader: 1, Isr: []int32{1}}),
		command.Assign(id, 2, []*command.Assignment{{Replicas: []int32{2, 1}, Isr: []int32{2}, Leader: 2}}),
		command.TopicConfig(id, command.Values(map[string]string{"k": "v"}), nil),
	))
	if len(d.Partitions) != 2 || d.Partitions[0].Old != old || d.Partitions[1].Old != nil || len(d.TopicConfigs) != 1 {
		t.Fatalf("delta %+v", d)
	}
	p := m.Topic("a").Partitions[0]
	if p.LeaderEpoch != 2 || p.PartitionEpoch != 2 || p.Leader != 1 || d.Partitions[0].New != p || d.Partitions[0].Topic != m.Topic("a") {
		t.Errorf("partition %+v", p)
	}
	if old.LeaderEpoch != 0 || m.PartitionCount() != 3 || m.Topic("a").Configs["k"] != "v" {
		t.Error("the old partition changed, or the new image lacks something")
	}
}

func TestConfigsFeaturesProducerIDs(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(1)),
		batch(command.ClusterConfig(command.Values(map[string]string{"a": "1", "b": "2"}), nil), command.NodeConfig(1, command.Values(map[string]string{"a": "3"}), nil)),
		batch(command.ClusterConfig(nil, []string{"b"}), command.Feature("f", 2)),
		batch(command.ProducerIDs(&command.AllocateProducerIDs{NodeId: 1, NodeEpoch: 1, First: 0, Count: 1000})))
	if got := fmt.Sprint(m.ClusterConfigs(), m.NodeConfigs(1), m.Features(), m.NextProducerID()); got != "map[a:1] map[a:3] map[f:2] 1000" {
		t.Errorf("image has %s", got)
	}
	m, d := must(t, m, batch(command.NodeConfig(1, nil, []string{"a"}), command.Feature("f", 0)))
	if m.NodeConfigs(1) != nil || m.Features() != nil || !d.Features || len(d.NodeConfigs) != 1 {
		t.Errorf("after removal: %v %v", m.NodeConfigs(1), m.Features())
	}
}

func TestRegistrationGivesAnEpoch(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(2)), batch(node(1)), batch(node(2)), batch(command.Fence(1, 2, true)))
	if m.Node(2).Epoch != 3 || m.Node(1).Epoch != 2 || !m.Node(1).Fenced || len(m.Nodes()) != 2 || m.Nodes()[0].ID != 1 {
		t.Errorf("nodes %+v %+v", m.Node(1), m.Node(2))
	}
	m, _ = must(t, m, batch(command.Remove(1, 2)))
	if m.Node(1) != nil || m.Node(2) == nil {
		t.Error("the wrong node was removed")
	}
}

func TestSnapshotDamageIsFound(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(1)), batch(newTopic("a.b", topicID(1), 2)))
	data, err := EncodeSnapshot(m)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 0x40
		if _, err := DecodeSnapshot("c", bad); err == nil {
			t.Errorf("a flipped bit in byte %d is not noticed", i)
		}
		if _, err := DecodeSnapshot("c", data[:i]); err == nil {
			t.Errorf("cut to %d bytes: not noticed", i)
		}
	}
	if _, err := DecodeSnapshot("other", data); !errors.Is(err, command.ErrCluster) {
		t.Errorf("another cluster: %v", err)
	}
}

func TestStoreWaits(t *testing.T) {
	s := NewStore(New("c"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan uint64)
	go func() {
		m, err := s.Wait(ctx, 2)
		if err != nil {
			t.Error(err)
		}
		done <- m.Index()
	}()
	m := s.Load()
	for range 3 {
		m, _ = must(t, m, nil)
		s.Publish(m)
	}
	if got := <-done; got < 2 {
		t.Errorf("woken at index %d, want 2 or more", got)
	}
	cancel()
	if _, err := s.Wait(ctx, 9); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled wait: %v", err)
	}
}
