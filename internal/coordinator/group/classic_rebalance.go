package group

import (
	"time"

	"chronik/internal/coordinator/shard"
)

// rebalanceOrComplete begins a rebalance, or ends the one that is under way if this was the last member that it waited for.
func (d *decision) rebalanceOrComplete(g *group) {
	if g.classic.state == PreparingRebalance {
		d.maybeComplete(g)
		return
	}
	d.prepareRebalance(g)
}

// prepareRebalance begins to wait for all members to join.
func (d *decision) prepareRebalance(g *group) {
	c := g.classic
	for _, mem := range c.members {
		if c.state == CompletingRebalance {
			mem.assignment = nil
			if mem.answerSync(d, SyncReply{Err: ErrRebalance}) {
				d.session(g, mem, mem.session())
			}
		}
		mem.unsynced = false
	}
	d.stopSync(g)
	c.first, c.grown = c.state == Empty, false
	c.transition(d, PreparingRebalance)
	switch {
	case c.first:
		c.delay = d.m.Config.InitialDelay
		c.left = max(c.rebalanceTimeout()-c.delay, 0)
		d.joinWithin(g, c.delay)
	case c.allJoined():
		d.completeJoin(g)
	default:
		d.joinWithin(g, c.rebalanceTimeout())
	}
}

func (d *decision) joinWithin(g *group, t time.Duration) {
	g.classic.joinBy = d.now.Add(t)
	d.timer(shard.TimerKey{Kind: JoinTimer, Group: g.id}, g.classic.joinBy)
}

// maybeComplete ends the joining if nobody is missing. A group that was empty waits for its delay to end.
func (d *decision) maybeComplete(g *group) {
	if c := g.classic; c.state == PreparingRebalance && !c.first && c.allJoined() {
		d.completeJoin(g)
	}
}

// joinTimer: who has not joined by now is not waited for. A group that was empty waits on while members keep coming.
func (d *decision) joinTimer(g *group) {
	c := g.classic
	switch {
	case c.state != PreparingRebalance || c.joinBy.IsZero() || d.now.Before(c.joinBy):
	case c.first && c.grown && c.left > 0:
		next := min(d.m.Config.InitialDelay, c.left)
		c.grown, c.left, c.delay = false, max(c.left-c.delay, 0), next
		d.joinWithin(g, next)
	default:
		d.completeJoin(g)
	}
}

// completeJoin begins the next generation with who has joined, and static members, who may come back (KIP-345).
func (d *decision) completeJoin(g *group) {
	c := g.classic
	d.stopJoin(g)
	for i := len(c.members) - 1; i >= 0; i-- {
		if mem := c.members[i]; mem.join == nil && mem.instance == nil {
			c.remove(d, g, mem)
		}
	}
	if len(c.members) > 0 && !c.electLeader() {
		d.joinWithin(g, c.rebalanceTimeout())
		return
	}
	c.generation++
	if len(c.members) == 0 {
		c.protocol = ""
		c.subscribe()
		c.transition(d, Empty)
		d.save(g)
		return
	}
	c.protocol = c.choose()
	c.subscribe()
	c.transition(d, CompletingRebalance)
	for _, mem := range c.members {
		c.answerJoin(d, mem, c.generationFor(mem))
		d.session(g, mem, mem.session())
		mem.fresh, mem.unsynced = false, true
	}
	c.syncBy = d.now.Add(c.rebalanceTimeout())
	d.timer(shard.TimerKey{Kind: SyncTimer, Group: g.id}, c.syncBy)
}

// electLeader gives a leader that has not joined a successor that has; false if nobody has.
func (c *classic) electLeader() bool {
	if leader := c.byID[c.leader]; leader != nil && leader.join != nil {
		return true
	}
	for _, mem := range c.members {
		if mem.join != nil {
			c.leader = mem.id
			return true
		}
	}
	return false
}

func (d *decision) stopJoin(g *group) {
	if !g.classic.joinBy.IsZero() {
		g.classic.joinBy = time.Time{}
		d.timer(shard.TimerKey{Kind: JoinTimer, Group: g.id}, time.Time{})
	}
}

func (d *decision) stopSync(g *group) {
	if !g.classic.syncBy.IsZero() {
		g.classic.syncBy = time.Time{}
		d.timer(shard.TimerKey{Kind: SyncTimer, Group: g.id}, time.Time{})
	}
}

// mend makes up for a record of the group that the log has refused: its members rebalance, and that it is empty is written again.
func (d *decision) mend(g *group) {
	d.mendConsumer(g)
	d.mendShare(g)
	d.mendStreams(g)
	c := g.classic
	if c == nil || !c.reverted {
		return
	}
	c.reverted = false
	for _, mem := range c.members {
		if mem.deadline.IsZero() {
			d.session(g, mem, mem.session())
		}
	}
	switch saved, ok := d.m.saved.Get(g.id); {
	case c.state == Stable:
		d.prepareRebalance(g)
	case c.state == Empty && ok && len(saved.Members) > 0:
		d.save(g)
	}
}
