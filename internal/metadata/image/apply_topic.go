package image

import (
	"fmt"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

func (b *builder) createTopic(c *command.CreateTopic) error {
	id := model.TopicID(c.TopicId)
	if t, ok := b.names.get(c.Name); ok {
		return conflict("topic %s exists", t.Name)
	}
	if t, ok := b.topics.get(id); ok {
		return conflict("topic ID %s is that of topic %s", id, t.Name)
	}
	if canCollide(c.Name) {
		key := model.CollisionKey(c.Name)
		if other, ok := b.collisions.get(key); ok {
			return conflict("topic %s collides with %s", c.Name, other)
		}
		b.collisions.set(key, c.Name)
	}
	t := &Topic{Name: c.Name, ID: id, Partitions: make([]*Partition, len(c.Assignments))}
	for i, a := range c.Assignments {
		p, err := b.newPartition(a)
		if err != nil {
			return fmt.Errorf("topic %s, partition %d: %w", c.Name, i, err)
		}
		t.Partitions[i] = p
	}
	b.im.partitions += len(t.Partitions)
	t.Configs = valuesOf(c.Configs)
	b.put(t)
	b.delta.TopicsCreated = append(b.delta.TopicsCreated, t)
	return nil
}

func valuesOf(list []*command.ConfigValue) map[string]string {
	if len(list) == 0 {
		return nil
	}
	m := make(map[string]string, len(list))
	for _, c := range list {
		m[c.Name] = c.Value
	}
	return m
}

// newPartition checks an assignment against the nodes: one of them may have gone since it was decided.
func (b *builder) newPartition(a *command.Assignment) (*Partition, error) {
	p := &Partition{Replicas: model.BrokerIDs(a.Replicas), Leader: model.BrokerID(a.Leader), LastKnownLeader: model.NoBroker}
	p.ISR = p.Replicas // shared: neither is ever changed
	if len(a.Isr) > 0 {
		p.ISR = model.BrokerIDs(a.Isr)
	}
	for i, id := range p.Replicas {
		if slices.Contains(p.Replicas[:i], id) {
			return nil, fmt.Errorf("%w: replica %d stands there twice", command.ErrFormat, id)
		}
		if _, ok := b.im.findNode(id); !ok {
			return nil, conflict("node %d is not registered any more", id)
		}
	}
	return p, p.check()
}

func (b *builder) deleteTopic(id model.TopicID) error {
	t, ok := b.topics.get(id)
	if !ok {
		return conflict("topic %s does not exist any more", id)
	}
	b.topics.remove(id)
	b.names.remove(t.Name)
	if canCollide(t.Name) {
		b.collisions.remove(model.CollisionKey(t.Name))
	}
	b.im.partitions -= len(t.Partitions)
	d := &b.delta
	same := func(o *Topic) bool { return o.ID == id }
	d.TopicConfigs = slices.DeleteFunc(d.TopicConfigs, same)
	d.Partitions = slices.DeleteFunc(d.Partitions, func(c PartitionChange) bool { return c.Topic.ID == id })
	clear(b.changed)
	for i, c := range d.Partitions {
		b.changed[partitionRef{c.Topic.ID, c.Partition}] = i
	}
	if old, existed := b.old.topics.get(id); existed {
		d.TopicsDeleted = append(d.TopicsDeleted, old)
	} else {
		d.TopicsCreated = slices.DeleteFunc(d.TopicsCreated, same)
	}
	return nil
}

func (b *builder) assign(c *command.AssignPartitions) error {
	t, ok := b.topics.get(model.TopicID(c.TopicId))
	if !ok {
		return conflict("topic %s does not exist any more", model.TopicID(c.TopicId))
	}
	if int(c.FirstPartition) != len(t.Partitions) {
		return conflict("topic %s has %d partitions, not %d", t.Name, len(t.Partitions), c.FirstPartition)
	}
	t = b.own(t)
	for i, a := range c.Assignments {
		p, err := b.newPartition(a)
		if err != nil {
			return fmt.Errorf("topic %s, partition %d: %w", t.Name, int(c.FirstPartition)+i, err)
		}
		b.setPartition(t, c.FirstPartition+int32(i), p)
	}
	return nil
}
