package controller

import (
	"bytes"
	"slices"
	"testing"

	"chronik/internal/config"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// checkStep checks what must hold of every image, and between two that follow each other.
func checkStep(t testing.TB, before, after *image.Image, d *image.Delta) {
	t.Helper()
	each(after, func(topic *image.Topic, n int32, p *image.Partition) {
		tp := model.TopicPartition{Topic: topic.Name, Partition: n}
		checkPartition(t, after, topic, tp, p)
		if old := before.TopicByID(topic.ID); old != nil && int(n) < len(old.Partitions) {
			checkChange(t, tp, old.Partitions[n], p, slices.Contains(d.Unclean, tp))
			checkHolders(t, after, topic, tp, old.Partitions[n], p)
		}
	})
	data, err := image.EncodeSnapshot(after)
	if err != nil {
		t.Fatal(err)
	}
	restored, err := image.DecodeSnapshot(after.ClusterID(), data)
	if err != nil {
		t.Fatalf("the image's snapshot cannot be read: %v", err)
	}
	if again, err := image.EncodeSnapshot(restored); err != nil || !bytes.Equal(data, again) {
		t.Fatalf("the snapshot leads to another image (M2): %v", err)
	}
}

func checkPartition(t testing.TB, m *image.Image, topic *image.Topic, tp model.TopicPartition, p *image.Partition) {
	t.Helper()
	if p.Leader != model.NoBroker {
		switch n := m.Node(p.Leader); {
		case n == nil || n.Fenced:
			t.Fatalf("%s: leader %d is not in service (R1): %+v", tp, p.Leader, *p)
		case !slices.Contains(p.ISR, p.Leader):
			t.Fatalf("%s: leader %d is not in the ISR: %+v", tp, p.Leader, *p)
		case len(p.ELR) > 0 && len(p.ISR) >= minISR(m, topic, p):
			t.Fatalf("%s: the watermark moves without the ELR (R4): %+v", tp, *p)
		}
	}
	for _, id := range p.ISR {
		if !slices.Contains(p.Replicas, id) || slices.Contains(p.ELR, id) {
			t.Fatalf("%s: ISR member %d is no replica, or in the ELR: %+v", tp, id, *p)
		}
	}
	if !p.Reassigning() {
		return
	}
	if slices.ContainsFunc(p.Removing, func(id model.BrokerID) bool { return slices.Contains(p.Adding, id) }) {
		t.Fatalf("%s: added and removed: %+v", tp, *p)
	}
}

// checkHolders checks that replicas leave a partition only where enough stay that hold everything (R4).
func checkHolders(t testing.TB, m *image.Image, topic *image.Topic, tp model.TopicPartition, old, p *image.Partition) {
	t.Helper()
	if c := configOf(m, topic); containsAll(p.Replicas, old.Replicas) || c == nil || c.UncleanLeaderElection {
		return
	}
	if left := holders(p); left < min(holders(old), minISR(m, topic, p)) {
		t.Fatalf("%s: %d replicas are left that hold everything: %+v after %+v", tp, left, *p, *old)
	}
}

func minISR(m *image.Image, topic *image.Topic, p *image.Partition) int {
	if c := configOf(m, topic); c != nil {
		return p.EffectiveMinISR(c.MinInsyncReplicas)
	}
	return 0
}

// configOf is what a topic's configuration amounts to, nil if it cannot be read.
func configOf(m *image.Image, topic *image.Topic) *config.Topic {
	c, err := m.Layers(nil, 1).Topic()
	if err == nil {
		c, err = c.With(topic.Configs)
	}
	if err != nil {
		return nil
	}
	return c
}

func checkChange(t testing.TB, tp model.TopicPartition, old, p *image.Partition, unclean bool) {
	t.Helper()
	if old == p {
		return
	}
	if p.PartitionEpoch <= old.PartitionEpoch || p.LeaderEpoch < old.LeaderEpoch {
		t.Fatalf("%s: epochs do not grow: %+v after %+v", tp, *p, *old)
	}
	if p.Leader != old.Leader && p.LeaderEpoch == old.LeaderEpoch {
		t.Fatalf("%s: two leaders in one epoch (R1): %+v after %+v", tp, *p, *old)
	}
	if p.Leader == old.Leader || p.Leader == model.NoBroker {
		return
	}
	// R4: a new leader held everything, unless it was elected uncleanly on purpose, or joined with the proposal of the leader before it.
	if joined := old.Leader != model.NoBroker && slices.Contains(p.ISR, old.Leader) || !slices.Equal(p.Replicas, old.Replicas); joined {
		return
	}
	if !slices.Contains(old.ISR, p.Leader) && !slices.Contains(old.ELR, p.Leader) && !unclean {
		t.Fatalf("%s: %d was elected from outside of ISR and ELR (R4): %+v after %+v", tp, p.Leader, *p, *old)
	}
}
