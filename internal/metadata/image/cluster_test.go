package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

func form() *command.Command {
	return command.Feature(command.MetadataVersion, command.VersionCluster)
}

func replicated(n int, replicas ...int32) *command.Command {
	id := topicID(n)
	return command.Create(&command.CreateTopic{Name: "t", TopicId: id[:], Assignments: []*command.Assignment{{Replicas: replicas, Leader: replicas[0]}}})
}

// clusterImage has three nodes and a topic with one partition on them.
func clusterImage(t testing.TB) *Image {
	m, _ := must(t, New("c"), batch(form(), node(1), node(2), node(3)), batch(replicated(1, 1, 2, 3)))
	return m
}

func changed1(c *command.PartitionChange) []*command.Command {
	return batch(command.Change(topicID(1), []*command.PartitionChange{c}))
}

// The cluster's records take effect only when every node is known to read them.
func TestClusterRecordsNeedTheirVersion(t *testing.T) {
	m, _ := must(t, New("c"), batch(node(1)), batch(newTopic("t", topicID(1), 1)))
	if m.Clustered() || m.MetadataVersion() != command.VersionStandalone {
		t.Fatal("a node alone is no cluster")
	}
	c := &command.PartitionChange{Leader: 1, Replicas: []int32{1}, Isr: []int32{1}, BeginsLeaderEpoch: true}
	if _, _, err := Apply(m, changed1(c), 1, m.Index()+1); !IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
	data, _ := EncodeSnapshot(m)
	if v := binary.BigEndian.Uint32(data[8:]); v != command.VersionStandalone {
		t.Errorf("the snapshot of a node alone has version %d", v)
	}
	m, _ = must(t, m, append(batch(form()), changed1(c)...)) // in one batch: the first command is in effect for the second
	data, _ = EncodeSnapshot(m)
	if v := binary.BigEndian.Uint32(data[8:]); !m.Clustered() || v != command.VersionCluster {
		t.Errorf("the snapshot of a cluster has version %d", v)
	}
	if _, _, err := Apply(m, batch(command.Feature(command.MetadataVersion, 0)), 1, m.Index()+1); !IsConflict(err) {
		t.Errorf("going back: error %v, want a conflict", err)
	}
	if _, _, err := Apply(m, batch(command.Feature(command.MetadataVersion, command.FormatVersion+1)), 1, m.Index()+1); !errors.Is(err, command.ErrFormat) {
		t.Errorf("a version from the future: error %v, want ErrFormat", err)
	}
}

func TestChangePartition(t *testing.T) {
	m := clusterImage(t)
	last := int32(1)
	m, d := must(t, m, changed1(&command.PartitionChange{BeginsLeaderEpoch: true, Leader: -1, Replicas: []int32{4, 1, 2, 3}, Isr: []int32{1}, Elr: []int32{2},
		Adding: []int32{4}, Removing: []int32{3}, LastKnownLeader: &last, Cut: []*command.CutLog{{NodeId: 1, EndOffset: 7}}, Unclean: true}))
	p := m.Topic("t").Partitions[0]
	if p.Leader != model.NoBroker || p.LeaderEpoch != 1 || p.PartitionEpoch != 1 || p.LastKnownLeader != 1 || !slices.Equal(p.Cut, []CutLog{{1, 7}}) || !p.Reassigning() {
		t.Errorf("%+v", *p)
	}
	if !slices.Equal(p.Target(), []model.BrokerID{4, 1, 2}) || p.EffectiveMinISR(9) != 3 || p.EffectiveMinISR(2) != 2 {
		t.Errorf("target %v, effective min ISR %d", p.Target(), p.EffectiveMinISR(9))
	}
	if len(d.Partitions) != 1 || !slices.Equal(d.Unclean, []model.TopicPartition{{Topic: "t"}}) {
		t.Errorf("delta %+v", d)
	}
	data, err := EncodeSnapshot(m)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeSnapshot("c", data)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := EncodeSnapshot(back); !bytes.Equal(data, again) {
		t.Error("the snapshot is another one after a round trip")
	}
}

// States and steps that no decision leads to stop the node; a change to a state that is gone is a conflict.
func TestChangePartitionRefusesTheImpossible(t *testing.T) {
	last := int32(1)
	all := []int32{1, 2, 3}
	for name, c := range map[string]*command.PartitionChange{
		"leader within an epoch":   {Leader: 2, Replicas: all, Isr: all},
		"replica goes in an epoch": {Leader: 1, Replicas: []int32{1, 2}, Isr: []int32{1}},
		"leader not in ISR":        {BeginsLeaderEpoch: true, Leader: 1, Replicas: all, Isr: []int32{2}},
		"ISR outside":              {Leader: 1, Replicas: all, Isr: []int32{1, 4}},
		"ISR twice":                {Leader: 1, Replicas: all, Isr: []int32{1, 1}},
		"ELR in ISR":               {Leader: 1, Replicas: all, Isr: []int32{1}, Elr: []int32{1}},
		"ELR outside":              {Leader: 1, Replicas: all, Isr: []int32{1}, Elr: []int32{4}},
		"adding outside":           {Leader: 1, Replicas: all, Isr: all, Adding: []int32{4}},
		"adding and removing":      {Leader: 1, Replicas: all, Isr: all, Adding: []int32{2}, Removing: []int32{2}},
		"removing all":             {Leader: 1, Replicas: all, Isr: all, Removing: all},
		"cut outside":              {BeginsLeaderEpoch: true, Leader: -1, Replicas: all, Isr: []int32{1}, Cut: []*command.CutLog{{NodeId: 2}}},
		"cut with a leader":        {Leader: 1, Replicas: all, Isr: all, Cut: []*command.CutLog{{NodeId: 2}}},
		"last known with a leader": {Leader: 1, Replicas: all, Isr: all, LastKnownLeader: &last},
	} {
		m := clusterImage(t)
		if _, _, err := Apply(m, changed1(c), 1, m.Index()+1); !errors.Is(err, command.ErrFormat) {
			t.Errorf("%s: error %v, want ErrFormat", name, err)
		}
	}
	m := clusterImage(t)
	if _, _, err := Apply(m, changed1(&command.PartitionChange{ExpectedPartitionEpoch: 5, Leader: 1, Replicas: all, Isr: all}), 1, m.Index()+1); !IsConflict(err) {
		t.Errorf("another partition epoch: error %v, want a conflict", err)
	}
}

func TestNodesOfACluster(t *testing.T) {
	m, _ := must(t, New("c"), batch(form()), batch(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16), Fenced: true,
		Features: []*command.FeatureRange{{Name: "f", MinLevel: 1, MaxLevel: 3}}})))
	n := m.Node(1)
	if n.Active() || !slices.Equal(n.Features, []FeatureRange{{"f", 1, 3}}) {
		t.Errorf("%+v", n)
	}
	m, d := must(t, m, batch(command.Fence(1, n.Epoch, false), command.Stop(1, n.Epoch)))
	if n := m.Node(1); n.Active() || n.Fenced || !n.Stopping || len(d.NodesChanged) != 1 {
		t.Errorf("%+v, delta %+v", n, d)
	}
	if _, _, err := Apply(m, batch(command.Stop(1, 99)), 1, m.Index()+1); !IsConflict(err) {
		t.Errorf("an old registration: error %v, want a conflict", err)
	}
	data, _ := EncodeSnapshot(m)
	back, err := DecodeSnapshot("c", data)
	if err != nil || !back.Node(1).Stopping || !slices.Equal(back.Node(1).Features, n.Features) {
		t.Errorf("after a snapshot: %+v, %v", back.Node(1), err)
	}
}

// A preview is the image that the entry will lead to, at the index before it: decisions add up within one entry.
func TestPreview(t *testing.T) {
	m := clusterImage(t)
	first, second := batch(node(4)), batch(node(5))
	one, err := Preview(m, first)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Preview(one, second)
	if err != nil {
		t.Fatal(err)
	}
	after, _ := must(t, m, append(first, second...))
	if two.Index() != m.Index() || two.Node(5).Epoch != after.Node(5).Epoch || two.Node(4).Epoch != after.Node(4).Epoch || m.Node(4) != nil {
		t.Errorf("epochs %d and %d, want %d", two.Node(4).Epoch, two.Node(5).Epoch, after.Node(5).Epoch)
	}
	if _, err := Preview(m, batch(command.Remove(9, 1))); !IsConflict(err) {
		t.Errorf("error %v, want a conflict", err)
	}
}
