package quorum

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// difference is the delta between two images that are many entries apart: a snapshot has come in their place. A
// partition that was deleted and made again in between is a new topic, because topics have IDs.
func difference(a, b *image.Image) *image.Delta {
	d := &image.Delta{
		ClusterConfig: !maps.Equal(a.ClusterConfigs(), b.ClusterConfigs()),
		Features:      !maps.Equal(a.Features(), b.Features()),
		ProducerIDs:   a.NextProducerID() != b.NextProducerID(),
	}
	for _, t := range byName(a) {
		if b.TopicByID(t.ID) == nil {
			d.TopicsDeleted = append(d.TopicsDeleted, t)
		}
	}
	for _, t := range byName(b) {
		old := a.TopicByID(t.ID)
		switch {
		case old == nil:
			d.TopicsCreated = append(d.TopicsCreated, t)
			continue
		case old == t:
			continue
		case !maps.Equal(old.Configs, t.Configs):
			d.TopicConfigs = append(d.TopicConfigs, t)
		}
		for i, p := range t.Partitions {
			var before *image.Partition
			if i < len(old.Partitions) {
				before = old.Partitions[i]
			}
			if before == nil || !reflect.DeepEqual(before, p) {
				d.Partitions = append(d.Partitions, image.PartitionChange{Topic: t, Partition: int32(i), Old: before, New: p})
			}
		}
	}
	d.NodesChanged = changedNodes(a, b)
	for _, id := range union(a.ConfiguredNodes(), b.ConfiguredNodes()) {
		if !maps.Equal(a.NodeConfigs(id), b.NodeConfigs(id)) {
			d.NodeConfigs = append(d.NodeConfigs, id)
		}
	}
	for _, id := range union(a.ConfiguredGroups(), b.ConfiguredGroups()) {
		if !maps.Equal(a.GroupConfigs(id), b.GroupConfigs(id)) {
			d.GroupConfigs = append(d.GroupConfigs, id)
		}
	}
	return d
}

func byName(m *image.Image) []*image.Topic {
	return slices.SortedFunc(m.Topics(), func(a, b *image.Topic) int { return strings.Compare(a.Name, b.Name) })
}

func changedNodes(a, b *image.Image) (changed []model.BrokerID) {
	var ids [2][]model.BrokerID
	for i, m := range []*image.Image{a, b} {
		for _, n := range m.Nodes() {
			ids[i] = append(ids[i], n.ID)
		}
	}
	for _, id := range union(ids[0], ids[1]) {
		if !reflect.DeepEqual(a.Node(id), b.Node(id)) {
			changed = append(changed, id)
		}
	}
	return changed
}

// union is the sorted union of two lists.
func union[T cmp.Ordered](a, b []T) []T {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
