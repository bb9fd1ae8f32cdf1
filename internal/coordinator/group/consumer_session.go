package group

import (
	"time"

	"chronik/internal/coordinator/shard"
)

// alive begins a member's session anew. Its timer is moved only when it would come too late: most find that there is time left.
func (d *decision) alive(g *group, c *consumer, id string, t time.Duration) {
	d.extend(c.sessions, g.id, id, t)
}

// extend is alive for members of whatever group of the new protocol.
func (d *decision) extend(sessions map[string]*session, group, id string, t time.Duration) {
	x := sessions[id]
	if x == nil {
		x = new(session)
		sessions[id] = x
	}
	x.deadline = d.now.Add(t)
	if x.timer.IsZero() || x.deadline.Before(x.timer) {
		x.timer = x.deadline
		d.timer(shard.TimerKey{Kind: SessionTimer, Group: group, Member: id}, x.timer)
	}
}

// arm gives members a session that have none: after a load, or when the log has refused what ended it.
func (d *decision) arm(g *group, c *consumer) {
	for _, id := range c.roster().ids {
		mem, _ := c.members.Get(id)
		if c.sessions[id] == nil {
			d.alive(g, c, id, d.m.sessionOf(g, c, id))
		}
		if x := c.sessions[id]; mem.ClassicMemberMetadata == nil && c.has(id).state == memberUnrevoked && x.revokeBy.IsZero() {
			d.revoke(g, c, id, d.m.rebalanceOf(g, mem.RebalanceTimeoutMs), true)
		}
	}
	for id := range c.sessions {
		if _, ok := c.members.Get(id); !ok {
			delete(c.sessions, id)
		}
	}
}

// sessionOf is how long a member may not be heard of: what a classic one said, the group's or the broker's time for the others.
func (m *Machine) sessionOf(g *group, c *consumer, id string) time.Duration {
	if mem, ok := c.members.Get(id); ok && mem.ClassicMemberMetadata != nil {
		return time.Duration(mem.ClassicMemberMetadata.SessionTimeoutMs) * time.Millisecond
	}
	if c.shares != nil {
		return m.shares(g.id).session()
	}
	return m.consumers(g.id).session()
}

// consumerTimer removes a member that has not done in time what it is to do.
func (d *decision) consumerTimer(g *group, c *consumer, k shard.TimerKey) {
	x := c.sessions[k.Member]
	if _, ok := c.members.Get(k.Member); !ok || x == nil {
		return
	}
	if d.overdue(x, k, c.has(k.Member).state == memberUnrevoked) {
		d.expel(g, k.Member)
	}
}

// overdue tells whether what a timer waits for has not been done in time. One that is early, because more time was given since, is set again. unrevoked tells
// whether the member has partitions, or tasks, to give up.
func (d *decision) overdue(x *session, k shard.TimerKey, unrevoked bool) bool {
	var by time.Time
	switch k.Kind {
	case SessionTimer:
		by, x.timer = x.deadline, time.Time{}
		if d.now.Before(by) {
			x.timer = by
		}
	case RebalanceTimer:
		if by = x.revokeBy; !unrevoked {
			return false
		}
	case JoinTimer:
		by = x.joinBy
	case SyncTimer:
		by = x.syncBy
	}
	if d.now.Before(by) {
		d.timer(k, by)
		return false
	}
	return !by.IsZero()
}

// mendConsumer makes up for records of a group that the log has refused.
func (d *decision) mendConsumer(g *group) {
	c := g.consumer
	if c == nil || !c.reverted {
		return
	}
	c.reverted = false
	switch {
	case !c.exists():
		clear(c.sessions)
	case g.classic != nil && c.members.Len() == 0: // it was to become a classic group
		d.record(c.tombstones(g.id)...)
	case g.classic != nil: // its last consumer was to go
		for _, mem := range g.classic.members {
			g.classic.answerJoin(d, mem, failed(mem.id, ErrRebalance))
			mem.answerSync(d, SyncReply{Err: ErrRebalance})
		}
		g.classic = nil
		clear(c.sessions)
		d.arm(g, c)
	default:
		d.arm(g, c)
	}
}

// mendShare makes up for records of a share group that the log has refused.
func (d *decision) mendShare(g *group) {
	c := g.share
	if c == nil || !c.reverted {
		return
	}
	if c.reverted = false; g.isShare() {
		d.arm(g, c)
	}
}

// revert says that the log has refused something of the group: what follows from it is found out anew.
func (c *consumer) revert() {
	c.index, c.reverted, c.seen, c.matched, c.matchAt = nil, true, 0, 0, time.Time{}
	if !c.exists() {
		clear(c.sessions)
	}
}
