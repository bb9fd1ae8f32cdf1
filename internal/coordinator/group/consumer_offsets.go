package group

import "chronik/internal/coordinator/schema"

// subscriber is a group as far as offsets are concerned.
type subscriber interface {
	// subscribes tells whether a member may have partitions of a topic.
	subscribes(topic string) bool
}

// checkConsumerCommit tells whether a request may commit for a group of the new protocol: a member at its epoch, or at an older one for
// what it has had since then (KIP-1251), as it may not have heard of the new one yet; who is no member if there is none.
func (d *decision) checkConsumerCommit(g *group, r *CommitRequest) error {
	c := g.consumer
	if r.Generation < 0 && c.members.Len() == 0 {
		return nil
	}
	mem, ok := c.members.Get(r.Member)
	if !ok {
		return ErrUnknownMember
	}
	if r.Epochless && mem.ClassicMemberMetadata == nil {
		return ErrEpochless
	}
	cur := c.has(r.Member)
	if r.Generation == cur.epoch {
		return nil
	}
	if r.Generation < 0 || r.Generation > cur.epoch || mem.ClassicMemberMetadata != nil {
		return wrongEpoch(mem)
	}
	for i := range r.Offsets {
		o := &r.Offsets[i]
		id := o.TopicID
		if t := d.m.image.Topic(o.Topic); id.IsZero() && t != nil {
			id = t.ID
		}
		since, ok := cur.assigned.epochOf(id, o.Partition)
		if !ok {
			since, ok = cur.revoking.epochOf(id, o.Partition)
		}
		if !ok || since > r.Generation {
			return wrongEpoch(mem)
		}
	}
	return nil
}

// wrongEpoch is what a member at another epoch is told.
func wrongEpoch(mem *schema.ConsumerGroupMember) error {
	if mem.ClassicMemberMetadata != nil {
		return ErrIllegalGeneration
	}
	return ErrStaleMemberEpoch
}

// checkFetch tells whether a request may fetch offsets of a group: of one of the new protocol, a member at its epoch or who is none. It
// sees what is settled, as the offsets do; what is not, members have not heard of.
func (m *Machine) checkFetch(g *group, r *FetchRequest) error {
	if r.Member == "" || g == nil {
		return nil
	}
	if g.consumer == nil {
		return g.streams.checkFetch(r)
	}
	if e, ok := g.consumer.epochs.Settled(struct{}{}); !ok || !e.exists {
		return g.streams.checkFetch(r)
	}
	mem, ok := g.consumer.members.Settled(r.Member)
	if !ok {
		return ErrUnknownMember
	}
	if cur, ok := g.consumer.current.Settled(r.Member); !ok || cur.epoch != r.Epoch {
		return wrongEpoch(mem)
	}
	return nil
}
