package group

import (
	"time"

	"chronik/internal/coordinator/shard"
)

// Sync answers with the member's assignment, once the leader has brought it and it is safe.
func (m *Machine) Sync(now time.Time, r SyncRequest, reply func(SyncReply)) shard.Result {
	d := m.decide(now)
	g := m.lookup(r.Group)
	if r.Group == "" {
		told(d, reply, SyncReply{Err: ErrInvalidGroupID})
		return d.done(nil)
	}
	if g != nil {
		d.mend(g)
	}
	if g.isConsumer() {
		told(d, reply, d.syncConsumer(g, &r))
		return d.done(g)
	}
	if g == nil || g.classic == nil {
		told(d, reply, SyncReply{Err: ErrUnknownMember})
		return d.done(g)
	}
	c := g.classic
	mem, err := c.checkSync(&r)
	switch {
	case err != nil:
		if mem != nil {
			d.session(g, mem, mem.session())
		}
		told(d, reply, SyncReply{Err: err})
	case c.state == CompletingRebalance:
		mem.answerSync(d, SyncReply{Err: ErrRebalance}) // it has asked again
		mem.sync, mem.unsynced = reply, false
		if c.leader == mem.id {
			d.assign(g, r.Assignments)
		}
	default: // Stable
		mem.unsynced = false
		d.session(g, mem, mem.session()) // asking is a sign of life
		told(d, reply, c.assignmentFor(mem))
	}
	if c.allSynced() {
		d.stopSync(g)
	}
	return d.done(g)
}

// checkSync finds who asks. With ErrRebalance it is a member, which is to join again.
func (c *classic) checkSync(r *SyncRequest) (*member, error) {
	mem, err := c.member(r.Member, r.Instance)
	differs := func(theirs *string, ours string) bool { return theirs != nil && ours != "" && *theirs != ours }
	switch {
	case err != nil:
		return nil, err
	case r.Generation != c.generation:
		return nil, ErrIllegalGeneration
	case differs(r.ProtocolType, c.protocolType) || differs(r.Protocol, c.protocol):
		return nil, ErrInconsistentProtocol
	case c.state == PreparingRebalance:
		return mem, ErrRebalance
	}
	return mem, nil
}

// assign makes the group stable with what its leader has brought. The members' answers go with the record: when it is settled.
func (d *decision) assign(g *group, assignments []Assignment) {
	c := g.classic
	for _, mem := range c.members {
		mem.assignment = nil
	}
	for _, a := range assignments {
		if mem := c.byID[a.Member]; mem != nil {
			mem.assignment = a.Bytes
		}
	}
	c.transition(d, Stable)
	d.save(g)
	for _, mem := range c.members {
		if mem.answerSync(d, c.assignmentFor(mem)) {
			d.session(g, mem, mem.session())
		}
	}
}

func (c *classic) assignmentFor(mem *member) SyncReply {
	return SyncReply{ProtocolType: optional(c.protocolType), Protocol: optional(c.protocol), Assignment: mem.assignment}
}

// syncTimer: members that joined and have not synced by now are gone.
func (d *decision) syncTimer(g *group) {
	c := g.classic
	if c.syncBy.IsZero() || d.now.Before(c.syncBy) || c.state != CompletingRebalance && c.state != Stable || c.allSynced() {
		return
	}
	for i := len(c.members) - 1; i >= 0; i-- {
		if mem := c.members[i]; mem.unsynced {
			c.remove(d, g, mem)
		}
	}
	d.prepareRebalance(g)
}
