package group

import (
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/shard"
)

// streamsLeave takes a member out of its group.
func (d *decision) streamsLeave(g *group, r *StreamsHeartbeatRequest) (StreamsHeartbeatReply, error) {
	if !g.isStreams() {
		return StreamsHeartbeatReply{}, ErrGroupNotFound
	}
	c := g.streams
	if _, ok := c.members.Get(r.Member); !ok {
		return StreamsHeartbeatReply{}, ErrUnknownMember
	}
	if r.Shutdown && c.shutdownBy == "" {
		c.shutdownBy = r.Member
	}
	d.expelStreams(g, r.Member)
	return StreamsHeartbeatReply{Member: r.Member, Epoch: r.Epoch}, nil
}

// expelStreams removes a member. What it had is free, and the group is at a new epoch: what each is to have is found out with the next heartbeat.
func (d *decision) expelStreams(g *group, id string) {
	c := g.streams
	s := d.streamsStep(g, nil)
	s.record(streamsRemoval(g.id, id)...)
	s.later(func() { delete(c.sessions, id) })
	if c.members.Len() == 1 {
		s.later(func() { c.shutdownBy = "" })
	}
	s.bump = true
	s.advance()
	s.finish()
}

// streamsTimer removes a member that has not done in time what it is to do, and makes the first assignment of a group that has waited for members.
func (d *decision) streamsTimer(g *group, k shard.TimerKey) {
	c := g.streams
	if k.Kind == AssignTimer {
		d.assignDelayed(g)
		return
	}
	x := c.sessions[k.Member]
	if _, ok := c.members.Get(k.Member); !ok || x == nil {
		return
	}
	if d.overdue(x, k, c.has(k.Member).State == streams.Unrevoked) {
		d.expelStreams(g, k.Member)
	}
}

// assignDelayed makes the assignment of a new group that has waited for members. Metadata that has changed meanwhile counts with their next heartbeats.
func (d *decision) assignDelayed(g *group) {
	c := g.streams
	switch {
	case c.delayed.IsZero():
		return
	case d.now.Before(c.delayed):
		d.timer(shard.TimerKey{Kind: AssignTimer, Group: g.id}, c.delayed)
		return
	}
	c.delayed = time.Time{}
	s := d.streamsStep(g, nil)
	s.configured = c.configured
	if c.members.Len() == 0 || s.epochs.group <= s.epochs.assigned() || s.configured == nil {
		return
	}
	s.assign()
	s.finish()
}

// armStreams gives members a session that have none: after a load, or when the log has refused what ended it.
func (d *decision) armStreams(g *group) {
	c := g.streams
	for _, id := range c.roster().ids {
		mem, _ := c.members.Get(id)
		if c.sessions[id] == nil {
			d.extend(c.sessions, g.id, id, d.m.streams(g.id).session())
		}
		if x := c.sessions[id]; c.has(id).State == streams.Unrevoked && x.revokeBy.IsZero() {
			d.revokeBy(c.sessions, g.id, id, time.Duration(mem.RebalanceTimeoutMs)*time.Millisecond, true)
		}
	}
	for id := range c.sessions {
		if _, ok := c.members.Get(id); !ok {
			delete(c.sessions, id)
		}
	}
}

// mendStreams makes up for records of a streams group that the log has refused.
func (d *decision) mendStreams(g *group) {
	c := g.streams
	if c == nil || !c.reverted {
		return
	}
	c.reverted = false
	switch {
	case !c.exists():
		clear(c.sessions)
	case g.classic != nil: // it was to become a classic group
		d.record(c.tombstones(g.id)...)
	default:
		d.armStreams(g)
	}
}

// revert says that the log has refused something of the group: what follows from it is found out anew.
func (c *streamsGroup) revert() {
	c.index, c.reverted, c.configured = nil, true, nil
	if !c.exists() {
		clear(c.sessions)
		c.delayed, c.shutdownBy = time.Time{}, ""
	}
}

// leaveStreams makes a streams group without members a classic one, for a member that joins. Epochs go on as generations: nobody is taken for a member of another
// time. false: the member is refused.
func (d *decision) leaveStreams(g *group, r *JoinRequest, reply func(JoinReply)) bool {
	switch {
	case r.Member != "":
		told(d, reply, failed(r.Member, ErrUnknownMember))
		return false
	case !newClassic().supports(r.ProtocolType, r.Protocols):
		told(d, reply, failed(r.Member, ErrInconsistentProtocol))
		return false
	}
	d.record(g.streams.tombstones(g.id)...)
	clear(g.streams.sessions)
	generation := g.streams.at().group
	g.classic = newClassic()
	g.classic.generation = generation
	return true
}
