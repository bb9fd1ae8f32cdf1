package group

import (
	"time"

	"chronik/internal/coordinator/shard"
)

// Heartbeat keeps a member's session, and tells it when to join again.
func (m *Machine) Heartbeat(now time.Time, r HeartbeatRequest, reply func(error)) shard.Result {
	d := m.decide(now)
	g := m.lookup(r.Group)
	err := d.heartbeat(g, &r)
	d.answer(func(failure error) {
		if failure != nil {
			err = failure
		}
		reply(err)
	})
	return d.done(g)
}

func (d *decision) heartbeat(g *group, r *HeartbeatRequest) error {
	if r.Group == "" {
		return ErrInvalidGroupID
	}
	if g != nil {
		d.mend(g)
	}
	if g.isConsumer() {
		return d.heartbeatConsumer(g, r)
	}
	if g == nil || g.classic == nil {
		return ErrUnknownMember
	}
	c := g.classic
	mem, err := c.member(r.Member, r.Instance)
	switch {
	case err != nil:
		return err
	case r.Generation != c.generation:
		return ErrIllegalGeneration
	}
	d.session(g, mem, mem.session())
	if c.state == PreparingRebalance {
		return ErrRebalance
	}
	return nil
}

// session begins a member's session anew. Its timer is moved only when it would come too late: most find that there is time left.
func (d *decision) session(g *group, mem *member, t time.Duration) {
	mem.deadline = d.now.Add(t)
	if mem.timer.IsZero() || mem.deadline.Before(mem.timer) {
		mem.timer = mem.deadline
		d.timer(shard.TimerKey{Kind: SessionTimer, Group: g.id, Member: mem.id}, mem.timer)
	}
}

// sessionTimer: a member that has not been heard of is gone, unless it waits for others.
func (d *decision) sessionTimer(g *group, id string) {
	c := g.classic
	mem := c.byID[id]
	switch {
	case mem == nil && !c.pending[id]:
		return
	case mem == nil:
		c.removePending(d, g, id)
	case d.now.Before(mem.deadline):
		mem.timer = mem.deadline
		d.timer(shard.TimerKey{Kind: SessionTimer, Group: g.id, Member: id}, mem.timer)
		return
	case !mem.fresh && (mem.join != nil || mem.sync != nil):
		mem.timer = time.Time{} // it is set again when the member is answered
		return
	default:
		mem.timer = time.Time{}
		c.remove(d, g, mem)
		if c.state != PreparingRebalance {
			d.prepareRebalance(g)
			return
		}
	}
	if c.state == PreparingRebalance && c.allJoined() {
		d.completeJoin(g)
	}
}
