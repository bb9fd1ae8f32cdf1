package group

import (
	"bytes"
	"chronik/internal/coordinator/shard"
	"slices"
	"time"
)

// Join makes the member one of the next generation, which is answered when it is complete. A group that does not exist is made for a
// member without an ID.
func (m *Machine) Join(now time.Time, r JoinRequest, reply func(JoinReply)) shard.Result {
	d := m.decide(now)
	g := m.lookup(r.Group)
	switch {
	case r.Group == "":
		told(d, reply, failed(r.Member, ErrInvalidGroupID))
		return d.done(nil)
	case r.SessionMs < m.Config.MinSessionMs || r.SessionMs > m.Config.MaxSessionMs:
		told(d, reply, failed(r.Member, ErrInvalidSessionTimeout))
		return d.done(nil)
	case g == nil && r.Member != "":
		told(d, reply, failed(r.Member, ErrUnknownMember))
		return d.done(nil)
	case g == nil:
		g = m.open(r.Group)
	}
	d.mend(g)
	if g.isShare() || g.isStreams() && g.streams.members.Len() > 0 {
		told(d, reply, failed("", ErrInconsistentProtocol))
		return d.done(g)
	}
	r.Protocols = distinct(r.Protocols)
	if g.isConsumer() && d.joinConsumer(g, &r, reply) {
		return d.done(g)
	}
	if g.isStreams() && !d.leaveStreams(g, &r, reply) {
		return d.done(g)
	}
	c := m.inMemory(g)
	switch {
	case !c.accepts(r.Member, m.Config.MaxSize):
		if mem := c.byID[r.Member]; mem != nil {
			c.remove(d, g, mem)
		}
		if c.pending[r.Member] {
			c.removePending(d, g, r.Member)
		}
		told(d, reply, failed("", ErrGroupMaxSize))
		d.maybeComplete(g)
	case !c.supports(r.ProtocolType, r.Protocols):
		told(d, reply, failed(r.Member, ErrInconsistentProtocol))
	case r.Member == "":
		d.joinNew(g, &r, reply)
	case c.pending[r.Member] && r.Instance == nil:
		d.addMember(g, &r, r.Member, reply)
	default:
		d.joinAgain(g, &r, reply)
	}
	return d.done(g)
}

// distinct leaves out protocols that come once more: each is counted once per member.
func distinct(all []Protocol) []Protocol {
	seen := make(map[string]bool, len(all))
	return slices.DeleteFunc(all, func(p Protocol) bool {
		again := seen[p.Name]
		seen[p.Name] = true
		return again
	})
}

// accepts tells whether there is room. Members of a group that rebalances have it once they wait: those who come back first stay.
func (c *classic) accepts(id string, most int) bool {
	mem := c.byID[id]
	switch c.state {
	case PreparingRebalance:
		return mem != nil && mem.join != nil || c.waiting < most
	case CompletingRebalance, Stable:
		return mem != nil || len(c.members) < most
	}
	return true
}

// joinNew joins a member that has no ID.
func (d *decision) joinNew(g *group, r *JoinRequest, reply func(JoinReply)) {
	c := g.classic
	if r.Instance != nil {
		id := *r.Instance + "-" + r.UUID
		if old := c.byInstance[*r.Instance]; old != nil {
			d.replace(g, old, id, r, reply)
			return
		}
		d.addMember(g, r, id, reply)
		return
	}
	id := r.ClientID + "-" + r.UUID
	if !r.NeedsID {
		d.addMember(g, r, id, reply)
		return
	}
	c.pending[id] = true
	d.timer(shard.TimerKey{Kind: SessionTimer, Group: g.id, Member: id}, d.now.Add(time.Duration(r.SessionMs)*time.Millisecond))
	told(d, reply, failed(id, ErrMemberIDRequired))
}

// newMemberTimeout is how long a member may wait for its first generation: who gives up while waiting does not say so.
const newMemberTimeout = 5 * time.Minute

func (d *decision) addMember(g *group, r *JoinRequest, id string, reply func(JoinReply)) {
	c := g.classic
	mem := &member{id: id, instance: r.Instance, clientID: r.ClientID, clientHost: r.ClientHost, fresh: true}
	if c.pending[id] {
		c.removePending(d, g, id)
	}
	if len(c.members) == 0 {
		c.protocolType = r.ProtocolType
	}
	mem.update(r)
	c.add(mem)
	c.wait(d, mem, reply)
	c.grown = c.grown || c.state == PreparingRebalance && c.first
	d.session(g, mem, newMemberTimeout)
	d.rebalanceOrComplete(g)
}

func (mem *member) update(r *JoinRequest) {
	mem.protocols, mem.rebalanceMs, mem.sessionMs = r.Protocols, r.RebalanceMs, r.SessionMs
}

// updateMember takes what a member that joins again says of itself.
func (d *decision) updateMember(c *classic, mem *member, r *JoinRequest, reply func(JoinReply)) {
	c.count(mem, -1)
	mem.update(r)
	c.count(mem, 1)
	c.wait(d, mem, reply)
}

// joinAgain joins a member of the group.
func (d *decision) joinAgain(g *group, r *JoinRequest, reply func(JoinReply)) {
	c := g.classic
	mem, err := c.member(r.Member, r.Instance)
	if err != nil {
		told(d, reply, failed(r.Member, err))
		return
	}
	// A leader that joins again wants to assign again, as what it assigns has changed. Who has missed its answer is answered again.
	if same := mem.matches(r.Protocols); same && (c.state == CompletingRebalance || c.state == Stable && c.leader != mem.id) {
		told(d, reply, c.generationFor(mem))
		return
	}
	d.updateMember(c, mem, r, reply)
	d.rebalanceOrComplete(g)
}

func (mem *member) matches(p []Protocol) bool {
	return slices.EqualFunc(mem.protocols, p, func(a, b Protocol) bool { return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata) })
}

// generationFor is the answer of a generation that a member is in.
func (c *classic) generationFor(mem *member) JoinReply {
	r := JoinReply{Generation: c.generation, ProtocolType: optional(c.protocolType), Protocol: optional(c.protocol), Leader: c.leader, Member: mem.id}
	if c.leader == mem.id {
		r.Members = c.joinedMembers()
	}
	return r
}

func (c *classic) joinedMembers() []JoinedMember {
	out := make([]JoinedMember, len(c.members))
	for i, mem := range c.members {
		out[i] = JoinedMember{mem.id, mem.instance, mem.metadata(c.protocol)}
	}
	return out
}

// replace puts a static member that has started anew in the place of itself (KIP-345). A stable group does not rebalance for it unless
// its protocol changes; then a leader assigns nothing, if it can be told so (KIP-814), and is not told that it is the leader otherwise.
func (d *decision) replace(g *group, mem *member, id string, r *JoinRequest, reply func(JoinReply)) {
	c, leader := g.classic, g.classic.leader
	d.fence(g, mem, id)
	d.updateMember(c, mem, r, reply)
	d.session(g, mem, mem.session())
	switch {
	case c.state == PreparingRebalance:
		d.maybeComplete(g)
	case c.state == Stable && c.choose() == c.protocol:
		out := c.generationFor(mem)
		if r.CanSkip {
			out.SkipAssignment = c.leader == mem.id
		} else {
			out.Leader, out.Members = leader, nil
		}
		c.subscribe()
		d.save(g)
		c.answerJoin(d, mem, out)
	default:
		d.prepareRebalance(g)
	}
}

// fence gives a static member's place to another ID.
func (d *decision) fence(g *group, mem *member, id string) {
	c := g.classic
	c.answerJoin(d, mem, failed(mem.id, ErrFencedInstance))
	mem.answerSync(d, SyncReply{Err: ErrFencedInstance})
	if !mem.timer.IsZero() {
		d.timer(shard.TimerKey{Kind: SessionTimer, Group: g.id, Member: mem.id}, time.Time{})
		mem.timer = time.Time{}
	}
	delete(c.byID, mem.id)
	if c.leader == mem.id {
		c.leader = id
	}
	mem.id, mem.fresh = id, false
	c.byID[id] = mem
}
