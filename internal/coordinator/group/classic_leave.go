package group

import (
	"time"

	"chronik/internal/coordinator/shard"
)

// Leave takes members out of a group, all that are there.
func (m *Machine) Leave(now time.Time, r LeaveRequest, reply func(LeaveReply)) shard.Result {
	d := m.decide(now)
	g := m.lookup(r.Group)
	out := LeaveReply{Left: make([]LeftMember, len(r.Members))}
	for i, l := range r.Members {
		out.Left[i] = LeftMember{LeavingMember: l, Err: ErrUnknownMember}
	}
	if g != nil {
		d.mend(g)
	}
	switch {
	case r.Group == "":
		out = LeaveReply{Err: ErrInvalidGroupID}
	case g.isConsumer():
		d.leaveConsumer(g, out.Left)
	case g != nil && g.classic != nil:
		if d.leave(g, out.Left); g.classic.state == PreparingRebalance {
			d.maybeComplete(g)
		}
	}
	d.answer(func(err error) {
		if err != nil {
			out = LeaveReply{Err: err}
		}
		reply(out)
	})
	return d.done(g)
}

func (d *decision) leave(g *group, leaving []LeftMember) {
	c, any := g.classic, false
	for i := range leaving {
		l := &leaving[i]
		if l.Err = d.leaveOne(g, l.LeavingMember); l.Err == nil {
			any = true
		}
	}
	if any && (c.state == Stable || c.state == CompletingRebalance) {
		d.prepareRebalance(g)
	}
}

func (d *decision) leaveOne(g *group, l LeavingMember) error {
	c := g.classic
	if l.Member == "" {
		if l.Instance == nil || c.byInstance[*l.Instance] == nil {
			return ErrUnknownMember
		}
		c.remove(d, g, c.byInstance[*l.Instance])
		return nil
	}
	if c.pending[l.Member] {
		c.removePending(d, g, l.Member)
		return nil
	}
	mem, err := c.member(l.Member, l.Instance)
	if err == nil {
		c.remove(d, g, mem)
	}
	return err
}
