package group

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// ConsumerHeartbeat joins a group of the new protocol, stays in it, or leaves it (KIP-848). A group that does not exist is made for a member
// that joins; a classic one becomes one of the new protocol if group.consumer.migration.policy allows that.
func (m *Machine) ConsumerHeartbeat(now time.Time, r ConsumerHeartbeatRequest, reply func(ConsumerHeartbeatReply)) shard.Result {
	d := m.decide(now)
	g := d.group(r.Group)
	var out ConsumerHeartbeatReply
	err := r.check(&m.Config.Consumer)
	switch {
	case err != nil:
	case r.Epoch < JoinEpoch:
		out, err = d.consumerLeave(g, &r)
	case d.unchanged(g, &r):
		out = ConsumerHeartbeatReply{Member: r.Member, Epoch: r.Epoch, HeartbeatMs: int32(m.consumers(r.Group).heartbeat().Milliseconds())}
	default:
		if g == nil && r.Epoch == JoinEpoch {
			g = d.opened(r.Group)
		}
		out, err = d.beat(g, &r)
	}
	if err != nil {
		out = out.failed(err)
	}
	told(d, reply, out)
	return d.done(g)
}

// check refuses what no member may say.
func (r *ConsumerHeartbeatRequest) check(c *ConsumerConfig) error {
	empty := func(s *string) bool { return s != nil && *s == "" }
	wrong := ""
	switch {
	case r.Group == "":
		return ErrInvalidGroupID
	case empty(r.Instance):
		wrong = "the instance ID is empty"
	case empty(r.Rack):
		wrong = "the rack ID is empty"
	case r.Member == "" && (r.Epoch != JoinEpoch || r.UUID == ""):
		wrong = "the member ID is empty"
	case r.Epoch < StaticLeaveEpoch:
		wrong = "there is no such member epoch"
	case r.Epoch == StaticLeaveEpoch && r.Instance == nil:
		wrong = "who leaves for a while has an instance ID"
	case r.Epoch == JoinEpoch && r.RebalanceMs < 0:
		wrong = "who joins has a rebalance timeout"
	case r.Epoch == JoinEpoch && (r.Owned == nil || len(r.Owned) > 0):
		wrong = "who joins has no partitions, and says so"
	case r.Epoch == JoinEpoch && r.Topics == nil && r.Regex == nil:
		wrong = "who joins says what it is subscribed to"
	case r.Assignor != nil && *r.Assignor != "" && !c.offers(*r.Assignor):
		return fmt.Errorf("%w %q: it has %v", ErrUnsupportedAssignor, *r.Assignor, c.assignors())
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalidRequest, wrong)
}

// unchanged tells whether a heartbeat says nothing new, and there is nothing new to say. Nearly all are like that.
func (d *decision) unchanged(g *group, r *ConsumerHeartbeatRequest) bool {
	if !g.isConsumer() || r.full() {
		return false
	}
	c := g.consumer
	mem, ok := c.members.Get(r.Member)
	e := c.at()
	if !ok || mem.ClassicMemberMetadata != nil || e.group != e.target || c.seen != d.m.seen || c.due(d) {
		return false
	}
	cur := c.has(r.Member)
	if cur.epoch != r.Epoch || !cur.reached(e.target) || r.Topics != nil || mem.ClientID != r.ClientID || mem.ClientHost != r.ClientHost ||
		r.RebalanceMs != -1 && r.RebalanceMs != mem.RebalanceTimeoutMs || differs(r.Instance, mem.InstanceID) || differs(r.Rack, mem.RackID) ||
		differs(r.Regex, mem.SubscribedTopicRegex) || differs(r.Assignor, mem.ServerAssignor) {
		return false
	}
	d.alive(g, c, r.Member, d.m.consumers(g.id).session())
	return true
}

func differs(said, known *string) bool { return said != nil && *said != plain(known) }

// beat is a heartbeat of a member that joins, has changed, or is on its way.
func (d *decision) beat(g *group, r *ConsumerHeartbeatRequest) (ConsumerHeartbeatReply, error) {
	s, err := d.begin(g, r.Epoch == JoinEpoch)
	if err != nil {
		return ConsumerHeartbeatReply{}, err
	}
	if s.id = r.Member; s.id == "" {
		s.id = r.UUID
	}
	former, err := s.find(r)
	if err != nil {
		return ConsumerHeartbeatReply{}, err
	}
	if s.before == nil && len(s.gone) == 0 && d.m.Config.Consumer.full(s.c.members.Len()) {
		return ConsumerHeartbeatReply{}, ErrGroupMaxSize
	}
	s.member = r.member(former)
	var owned *assign.Partitions
	if r.Owned != nil {
		p := assign.Of(r.Owned)
		owned = &p
	}
	s.later(func() { d.alive(s.g, s.c, s.id, d.m.consumers(g.id).session()) })
	if err := s.run(owned); err != nil {
		return ConsumerHeartbeatReply{}, err
	}
	out := ConsumerHeartbeatReply{Member: s.id, Epoch: s.is.epoch, HeartbeatMs: int32(d.m.consumers(g.id).heartbeat().Milliseconds())}
	if r.full() || s.behind || !s.is.assigned.Equal(s.was.assigned.Partitions) {
		out.Assigned, out.Assignment = true, s.is.assigned.Partitions
	}
	return out, nil
}

// run takes the member as far as it gets.
func (s *step) run(owned *assign.Partitions) error {
	s.subscribe()
	if err := s.match(); err != nil {
		return err
	}
	s.advance()
	s.retarget()
	if err := s.reconcile(owned); err != nil {
		return err
	}
	s.finish()
	return nil
}

// find finds who asks, and returns what it said of itself before; a static member that starts anew is its former self under another ID.
func (s *step) find(r *ConsumerHeartbeatRequest) (*schema.ConsumerGroupMember, error) {
	joins := r.Epoch == JoinEpoch
	s.before, _ = s.c.members.Get(s.id)
	s.was = s.c.has(s.id)
	if r.Instance != nil {
		switch former := s.c.roster().instances[*r.Instance]; {
		case former == "" && !joins:
			return nil, fmt.Errorf("%w: there is no instance %q", ErrUnknownMember, *r.Instance)
		case former == "" || former == s.id:
		case !joins:
			return nil, ErrFencedInstance
		default:
			mem, _ := s.c.members.Get(former)
			if mem.ClassicMemberMetadata == nil && s.c.has(former).epoch != StaticLeaveEpoch {
				return nil, ErrUnreleasedInstance
			}
			return s.replace(former), nil
		}
	}
	switch {
	case s.before == nil && !joins:
		return nil, ErrUnknownMember
	case s.before == nil:
		return &schema.ConsumerGroupMember{RebalanceTimeoutMs: -1}, nil
	}
	return s.before, s.checkEpoch(r)
}

// replace puts the member in the place of its former self (KIP-345).
func (s *step) replace(former string) *schema.ConsumerGroupMember {
	mem, _ := s.c.members.Get(former)
	cur := *s.c.has(former)
	cur.epoch, cur.previous = JoinEpoch, JoinEpoch
	s.was, s.gone, s.former = &cur, []string{former}, mem
	s.record(removal(s.g.id, former)...)
	s.later(func() { delete(s.c.sessions, former) })
	return mem
}

// checkEpoch: a member is where it was told to be, or where it was before if the answer was lost; then it has nothing but what it may have.
func (s *step) checkEpoch(r *ConsumerHeartbeatRequest) error {
	cur := s.was
	switch {
	case r.Epoch == JoinEpoch:
		if cur.epoch == StaticLeaveEpoch {
			back := *cur
			back.epoch, back.previous = JoinEpoch, JoinEpoch
			s.was = &back
		}
		return nil
	case r.Epoch == cur.epoch:
		return nil
	case r.Epoch == cur.previous && r.Epoch < cur.epoch && r.Owned != nil && assign.Of(r.Owned).Within(cur.assigned.Partitions):
		s.behind = true
		return nil
	}
	return fmt.Errorf("%w (it says %d, the coordinator has %d)", ErrFencedMemberEpoch, r.Epoch, cur.epoch)
}

// member is what a member says of itself from now on.
func (r *ConsumerHeartbeatRequest) member(before *schema.ConsumerGroupMember) *schema.ConsumerGroupMember {
	mem := *before
	mem.ClientID, mem.ClientHost, mem.ClassicMemberMetadata = r.ClientID, r.ClientHost, nil
	if before.ClassicMemberMetadata != nil {
		mem.Tags = nil
	}
	for _, f := range []struct{ said, known **string }{{&r.Instance, &mem.InstanceID}, {&r.Rack, &mem.RackID}, {&r.Regex, &mem.SubscribedTopicRegex}, {&r.Assignor, &mem.ServerAssignor}} {
		if *f.said != nil {
			*f.known = optional(**f.said)
		}
	}
	if r.RebalanceMs != -1 {
		mem.RebalanceTimeoutMs = r.RebalanceMs
	}
	if r.Topics != nil {
		mem.SubscribedTopicNames = names(r.Topics)
	}
	return &mem
}

// names are topics' names as records have them.
func names(all []string) []string {
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
