package group

import "chronik/internal/coordinator/schema"

// subscriber is a group as far as offsets are concerned.
type subscriber interface {
	// subscribes tells whether a member may have partitions of a topic.
	subscribes(topic string) bool
}

// checkConsumerCommit tells whether a request may commit for a group of the new protocol: a member at its epoch, or at an older one for
// what it has had since then; who is no member if there is none. That goes for classic members, whose generations are epochs, too.
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
	if r.Generation > cur.epoch || !d.commitsHeld(r, func(o *CommitOffset) (since int32, ok bool) {
		id := o.TopicID
		if t := d.m.image.Topic(o.Topic); id.IsZero() && t != nil {
			id = t.ID
		}
		if since, ok = cur.assigned.epochOf(id, o.Partition); !ok {
			since, ok = cur.revoking.epochOf(id, o.Partition)
		}
		return since, ok
	}) {
		return wrongEpoch(mem)
	}
	return nil
}

// commitsHeld tells whether a request that is of an epoch before its member's commits for nothing but what the member has had since then (KIP-1251): it may
// not have heard of the new epoch yet. since is the epoch in which it got something. What cannot be committed anyway does not count.
func (d *decision) commitsHeld(r *CommitRequest, since func(*CommitOffset) (int32, bool)) bool {
	for i := range r.Offsets {
		o := &r.Offsets[i]
		if tooLong(o.Metadata, d.m.Config.MaxMetadataBytes) {
			continue
		}
		if e, ok := since(o); !ok || e > r.Generation {
			return false
		}
	}
	return true
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
