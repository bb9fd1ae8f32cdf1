package controller

import (
	"bytes"
	"cmp"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// changes collects what one decision changes about partitions: one command per topic.
type changes struct {
	topics map[model.TopicID][]*command.PartitionChange
	seen   map[partitionRef]bool
}

type partitionRef struct {
	topic     model.TopicID
	partition int32
}

func newChanges() *changes {
	return &changes{topics: map[model.TopicID][]*command.PartitionChange{}, seen: map[partitionRef]bool{}}
}

// claim tells whether a request names a partition for the first time. A second change in the same batch would be made
// to a state that the first one has replaced.
func (c *changes) claim(id model.TopicID, partition int32) bool {
	ref := partitionRef{id, partition}
	if c.seen[ref] {
		return false
	}
	c.seen[ref] = true
	return true
}

// add decides a revision and tells whether it changes something.
func (c *changes) add(v *revision) bool {
	p := v.decide()
	if p == nil {
		return false
	}
	c.topics[v.topic.ID] = append(c.topics[v.topic.ID], p)
	return true
}

// commands are in the order of topic IDs and partitions, so that equal decisions have equal bytes.
func (c *changes) commands() []*command.Command {
	ids := make([]model.TopicID, 0, len(c.topics))
	for id := range c.topics {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b model.TopicID) int { return bytes.Compare(a[:], b[:]) })
	out := make([]*command.Command, len(ids))
	for i, id := range ids {
		list := c.topics[id]
		slices.SortFunc(list, func(a, b *command.PartitionChange) int { return cmp.Compare(a.Partition, b.Partition) })
		out[i] = command.Change(id, list)
	}
	return out
}

// each calls f for the partitions of all topics, in no particular order.
func each(m *image.Image, f func(*image.Topic, int32, *image.Partition)) {
	for t := range m.Topics() {
		for n, p := range t.Partitions {
			f(t, int32(n), p)
		}
	}
}
