package group

import (
	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// applyConsumer changes what is replicated of groups of the new protocol; false: the record is not of one.
func (m *Machine) applyConsumer(off model.Offset, r schema.Record) bool {
	var id string
	switch r := r.(type) {
	case *schema.ConsumerGroupEpoch:
		id = r.Key.Group
	case *schema.ConsumerGroupSubscribedPartitions:
		id = r.Key.Group
	case *schema.ConsumerGroupTargetEpoch:
		id = r.Key.Group
	case *schema.ConsumerGroupMemberMetadata:
		id = r.Key.Group
	case *schema.ConsumerGroupTargetAssignment:
		id = r.Key.Group
	case *schema.ConsumerGroupCurrentAssignment:
		id = r.Key.Group
	case *schema.ConsumerGroupRegularExpression:
		id = r.Key.Group
	default:
		return false
	}
	if r.Tombstone() && (m.groups[id] == nil || m.groups[id].consumer == nil) {
		return true
	}
	g := m.open(id)
	m.asConsumer(g).apply(off, r)
	if _, epoch := r.(*schema.ConsumerGroupEpoch); epoch {
		m.settleKind(off, g, r.Tombstone())
	}
	m.wrote(off, g)
	return true
}

// settleKind keeps a group of one kind: a classic group that exists for its offsets only is none any more, or is one again.
func (m *Machine) settleKind(off model.Offset, g *group, gone bool) {
	_, saved := m.saved.Get(g.id)
	switch {
	case !gone && saved:
		m.saved.Delete(off, g.id)
	case gone && !saved && (g.offsets.Len() > 0 || !g.pending.empty()):
		m.saved.Put(off, g.id, simple)
	}
}

// apply is applyConsumer for one group.
func (c *consumer) apply(off model.Offset, r schema.Record) {
	switch r := r.(type) {
	case *schema.ConsumerGroupEpoch:
		e := c.at()
		if e.exists, e.group, e.hash = r.Value != nil, 0, 0; e.exists {
			e.group, e.hash = r.Value.Epoch, r.Value.MetadataHash
		}
		c.setEpochs(off, e)
	case *schema.ConsumerGroupTargetEpoch:
		e := c.at()
		if e.target, e.targetMs = 0, 0; r.Value != nil {
			e.target, e.targetMs = r.Value.AssignmentEpoch, r.Value.AssignmentTimestamp
		}
		c.setEpochs(off, e)
	case *schema.ConsumerGroupSubscribedPartitions:
		e := c.at()
		e.legacy = r.Value != nil
		c.setEpochs(off, e)
	case *schema.ConsumerGroupMemberMetadata:
		c.setMember(off, r.Key.Member, r.Value)
	case *schema.ConsumerGroupTargetAssignment:
		if r.Value == nil {
			c.target.Delete(off, r.Key.Member)
		} else {
			c.target.Put(off, r.Key.Member, fromTarget(r.Value))
		}
	case *schema.ConsumerGroupCurrentAssignment:
		c.setCurrent(off, r.Key.Member, r.Value)
	case *schema.ConsumerGroupRegularExpression:
		if r.Value == nil {
			c.patterns.Delete(off, r.Key.Pattern)
		} else {
			c.patterns.Put(off, r.Key.Pattern, r.Value)
		}
	}
}

func (c *consumer) setEpochs(off model.Offset, e epochs) {
	if e == (epochs{}) {
		c.epochs.Delete(off, struct{}{})
	} else {
		c.epochs.Put(off, struct{}{}, e)
	}
}

func (c *consumer) setMember(off model.Offset, id string, v *schema.ConsumerGroupMember) {
	old, ok := c.members.Get(id)
	if v == nil {
		c.members.Delete(off, id)
	} else {
		c.members.Put(off, id, v)
	}
	if c.index != nil {
		c.index.count(id, old, -1)
		c.index.count(id, v, 1)
		if ok != (v != nil) {
			c.index.ids = nil
		}
	}
}

func (c *consumer) setCurrent(off model.Offset, id string, v *schema.ConsumerGroupCurrentMember) {
	if c.index != nil {
		c.index.disown(id, c.has(id))
	}
	if v == nil {
		c.current.Delete(off, id)
		return
	}
	cur := fromCurrent(v)
	c.current.Put(off, id, cur)
	if c.index != nil {
		c.index.own(id, cur)
	}
}

func fromTarget(v *schema.ConsumerGroupTargetMember) assign.Partitions {
	all := make([]assign.TopicPartitions, len(v.TopicPartitions))
	for i := range v.TopicPartitions {
		all[i] = assign.TopicPartitions{Topic: v.TopicPartitions[i].TopicID, Partitions: v.TopicPartitions[i].Partitions}
	}
	return assign.Of(all)
}

func fromCurrent(v *schema.ConsumerGroupCurrentMember) *current {
	return &current{
		epoch: v.MemberEpoch, previous: v.PreviousMemberEpoch, state: memberState(v.State),
		assigned: fromHeld(v.AssignedPartitions, v.MemberEpoch), revoking: fromHeld(v.PartitionsPendingRevocation, v.MemberEpoch),
	}
}

// fromHeld: older brokers do not say since when.
func fromHeld(all []schema.AssignedPartitions, epoch int32) held {
	parts := make([]assign.TopicPartitions, len(all))
	since := make(map[partition]int32)
	for i := range all {
		parts[i] = assign.TopicPartitions{Topic: all[i].TopicID, Partitions: all[i].Partitions}
		for j, e := range all[i].AssignmentEpochs {
			if j < len(all[i].Partitions) {
				since[partition{all[i].TopicID, all[i].Partitions[j]}] = e
			}
		}
	}
	h := hold(assign.Of(parts), epoch)
	for i := range h.Partitions {
		for j, n := range h.Partitions[i].Partitions {
			if e, ok := since[partition{h.Partitions[i].Topic, n}]; ok {
				h.since[i][j] = e
			}
		}
	}
	return h
}
