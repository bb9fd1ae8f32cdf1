package image

import (
	"maps"
	"slices"

	"chronik/internal/model"
)

// builder makes the next image. Everything of the old image that it changes it copies first, once per batch.
type builder struct {
	old        *Image
	im         Image
	topics     edit[model.TopicID, *Topic]
	names      edit[string, *Topic]
	collisions edit[string, string]
	groups     edit[string, map[string]string] // their values

	owned   map[*Topic]bool      // topics that are this builder's own copies
	changed map[partitionRef]int // where in delta.Partitions a partition is
	ownNode bool
	delta   Delta
}

type partitionRef struct {
	topic     model.TopicID
	partition int32
}

func newBuilder(m *Image, term, index uint64) *builder {
	b := &builder{old: m, im: *m, topics: m.topics.edit(), names: m.names.edit(), collisions: m.collisions.edit(), groups: m.groupConfigs.edit()}
	b.im.term, b.im.index = term, index
	return b
}

func (b *builder) done() (*Image, *Delta) {
	b.im.topics, b.im.names, b.im.collisions, b.im.groupConfigs = b.topics.done(), b.names.done(), b.collisions.done(), b.groups.done()
	for i := range b.delta.Partitions { // the topic may have been copied after the change was noted
		c := &b.delta.Partitions[i]
		c.Topic, _ = b.im.topics.get(c.Topic.ID)
	}
	return &b.im, &b.delta
}

// own returns a copy of the topic that may be changed until done.
func (b *builder) own(t *Topic) *Topic {
	if b.owned[t] {
		return t
	}
	c := *t
	c.Partitions = slices.Clone(t.Partitions)
	b.put(&c)
	return &c
}

// put makes a topic that is this builder's own part of the image.
func (b *builder) put(t *Topic) {
	if b.owned == nil {
		b.owned = map[*Topic]bool{}
	}
	b.owned[t] = true
	b.topics.set(t.ID, t)
	b.names.set(t.Name, t)
}

// setPartition replaces one partition of an owned topic and notes the change, unless the topic is new.
func (b *builder) setPartition(t *Topic, number int32, p *Partition) {
	var old *Partition
	if int(number) < len(t.Partitions) {
		old = t.Partitions[number]
		t.Partitions[number] = p
	} else {
		t.Partitions = append(t.Partitions, p)
		b.im.partitions++
	}
	if b.isNew(t) {
		return
	}
	if b.changed == nil {
		b.changed = map[partitionRef]int{}
	}
	ref := partitionRef{t.ID, number}
	if i, ok := b.changed[ref]; ok {
		b.delta.Partitions[i].New = p
		return
	}
	b.changed[ref] = len(b.delta.Partitions)
	b.delta.Partitions = append(b.delta.Partitions, PartitionChange{Topic: t, Partition: number, Old: old, New: p})
}

// isNew tells whether the topic was created in this batch.
func (b *builder) isNew(t *Topic) bool {
	_, existed := b.old.topics.get(t.ID)
	return !existed
}

// ownNodes makes the list of nodes this builder's own.
func (b *builder) ownNodes() {
	if !b.ownNode {
		b.im.nodes, b.ownNode = slices.Clone(b.im.nodes), true
	}
}

func (b *builder) nodeChanged(id model.BrokerID) {
	if !slices.Contains(b.delta.NodesChanged, id) {
		b.delta.NodesChanged = append(b.delta.NodesChanged, id)
	}
}

// with returns a copy of m with one more entry.
func with[K comparable, V any](m map[K]V, k K, v V) map[K]V {
	c := make(map[K]V, len(m)+1)
	maps.Copy(c, m)
	c[k] = v
	return c
}

// without returns a copy of m with one entry less, nil if none is left.
func without[K comparable, V any](m map[K]V, k K) map[K]V {
	c := maps.Clone(m)
	delete(c, k)
	if len(c) == 0 {
		return nil
	}
	return c
}
