package group

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// reconcile takes the member a step towards its target (G2): first it gives up what others are to have, and what it says that it has
// tells when it has done so; then it is at the target's epoch, with what nobody has any more; and what others still have it gets once they
// have given it up. owned is nil if the member did not say what it has.
//
// One that is at the epoch before hears again where it was told to be, and goes on from there: the answer was lost, or it is a heartbeat that was long on
// its way, and what it says that it has given up the member may have been given since. (Apache Kafka believes it.)
func (s *step) reconcile(owned *assign.Partitions) error {
	cur := s.was
	switch {
	case s.behind:
	case cur.reached(s.epochs.target):
	case cur.state == memberUnrevoked && has(owned, cur.revoking.Partitions):
	case cur.state == memberUnrevoked:
		cur = s.next(cur.epoch+1, owned)
	case cur.state == memberStable || cur.state == memberUnreleased:
		cur = s.next(cur.epoch, owned)
	case owned == nil || len(*owned) > 0: // a newer broker has written a state that we do not know
		return fmt.Errorf("%w: its state is not known here", ErrFencedMemberEpoch)
	default:
		cur = s.next(s.epochs.target, owned)
	}
	s.is = cur
	if old, ok := s.c.current.Get(s.id); ok && old.same(cur) {
		return nil
	}
	s.record(currentRecord(s.g.id, s.id, cur))
	revoking := cur.state == memberUnrevoked && s.member.ClassicMemberMetadata == nil
	s.later(func() { s.d.revoke(s.g, s.c, s.id, s.rebalance(), revoking) })
	return nil
}

// has tells whether a member has one of some partitions still. If it did not say, it has.
func has(owned *assign.Partitions, some assign.Partitions) bool {
	return owned == nil || len(owned.And(some)) > 0
}

// next is what a member has next. epoch is where it stays if it has to give up something first.
func (s *step) next(epoch int32, owned *assign.Partitions) *current {
	cur := s.was
	kept := cur.assigned.And(s.target)
	revoke := cur.assigned.Minus(s.target)
	if len(revoke) > 0 && has(owned, revoke) {
		return cur.at(epoch, memberUnrevoked, hold(kept, epoch, cur.assigned), hold(revoke, epoch, cur.assigned))
	}
	missing := s.target.Minus(kept)
	free := missing.Filter(s.free)
	state := memberStable
	if free.Count() < missing.Count() {
		state = memberUnreleased
	}
	return cur.at(s.epochs.target, state, hold(kept.Or(free), s.epochs.target, cur.assigned), held{})
}

// at is a member at another epoch. The last one before is remembered: the answer with this one may be lost.
func (cur *current) at(epoch int32, state memberState, assigned, revoking held) *current {
	next := &current{epoch: epoch, previous: cur.previous, state: state, assigned: assigned, revoking: revoking}
	if epoch != cur.epoch {
		next.previous = cur.epoch
	}
	return next
}

func (cur *current) same(o *current) bool {
	return cur.epoch == o.epoch && cur.previous == o.previous && cur.state == o.state &&
		cur.assigned.Equal(o.assigned.Partitions) && cur.revoking.Equal(o.revoking.Partitions)
}

// free tells whether nobody else has a partition.
func (s *step) free(topic model.TopicID, n int32) bool {
	owner, ok := s.c.roster().owners[partition{topic, n}]
	return !ok || owner == s.id || slices.Contains(s.gone, owner)
}

// rebalance is how long the member has to give up partitions, or to join again.
func (s *step) rebalance() time.Duration { return s.d.m.rebalanceOf(s.g, s.member.RebalanceTimeoutMs) }

func (m *Machine) rebalanceOf(g *group, ms int32) time.Duration {
	if ms < 0 {
		return m.consumers(g.id).session()
	}
	return time.Duration(ms) * time.Millisecond
}

// revoke sets or takes away the time by which a member is to have given up partitions.
func (d *decision) revoke(g *group, c *consumer, id string, within time.Duration, revoking bool) {
	d.revokeBy(c.sessions, g.id, id, within, revoking)
}

// revokeBy is revoke for members of whatever group of the new protocol.
func (d *decision) revokeBy(sessions map[string]*session, group, id string, within time.Duration, revoking bool) {
	x := sessions[id]
	if x == nil {
		return
	}
	if x.revokeBy = (time.Time{}); revoking {
		x.revokeBy = d.now.Add(within)
		d.timer(shard.TimerKey{Kind: RebalanceTimer, Group: group, Member: id}, x.revokeBy)
	}
}
