package group

import (
	"fmt"

	"chronik/internal/coordinator/schema"
)

// consumerLeave takes a member out of its group, or a static one for as long as its session lasts: it keeps what it is to have meanwhile.
func (d *decision) consumerLeave(g *group, r *ConsumerHeartbeatRequest) (ConsumerHeartbeatReply, error) {
	out := ConsumerHeartbeatReply{Member: r.Member, Epoch: r.Epoch}
	if !g.isConsumer() {
		return out, ErrGroupNotFound
	}
	c := g.consumer
	if r.Instance != nil {
		switch id := c.roster().instances[*r.Instance]; {
		case id == "":
			return out, fmt.Errorf("%w: there is no instance %q", ErrUnknownMember, *r.Instance)
		case id != r.Member:
			return out, ErrFencedInstance
		}
	}
	if _, ok := c.members.Get(r.Member); !ok {
		return out, ErrUnknownMember
	}
	if r.Epoch == LeaveEpoch {
		d.expel(g, r.Member)
		return out, nil
	}
	away := *c.has(r.Member)
	away.epoch, away.assigned, away.revoking = StaticLeaveEpoch, hold(away.assigned.Partitions, 0), held{} // who comes back has had them always
	d.record(currentRecord(g.id, r.Member, &away))
	return out, nil
}

// expel removes members. What they had is free, and the group is at a new epoch: what each is to have is found out with the next
// heartbeat. If none is left but classic members, the group is a classic one again.
func (d *decision) expel(g *group, ids ...string) {
	c := g.modern()
	if c.shares == nil && d.downgrades(c, ids) {
		d.downgrade(g, ids)
		return
	}
	s := d.step(g, c)
	s.gone, s.bump = ids, true
	for _, id := range ids {
		s.record(removal(g.id, id)...)
		s.later(func() { delete(c.sessions, id) })
	}
	_ = s.match() // no pattern is new
	s.advance()
	s.finish()
}

func (d *decision) step(g *group, c *consumer) *step {
	return &step{d: d, g: g, c: c, epochs: c.at(), matched: make(map[string][]string)}
}

// begin begins a step of a group, as one of the new protocol: who joins makes it one, if that is possible.
func (d *decision) begin(g *group, joins bool) (*step, error) {
	switch {
	case g == nil:
		return nil, ErrGroupNotFound
	case g.isConsumer():
		return d.step(g, g.consumer), nil
	case !joins || g.isShare() || g.isStreams():
		return nil, fmt.Errorf("%w: it is of another kind", ErrGroupNotFound)
	}
	classic := d.m.view(g)
	if classic.state != Empty {
		return d.upgrade(g, classic)
	}
	s := d.step(g, d.m.asConsumer(g))
	s.epochs.group = classic.generation // of which nobody is a member any more
	if _, ok := d.m.saved.Get(g.id); ok {
		s.record(&schema.GroupMetadata{Key: schema.GroupKey{Group: g.id}})
	}
	s.later(func() { g.classic = nil })
	return s, nil
}
