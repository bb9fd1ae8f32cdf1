package group

import (
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// joinConsumer is JoinGroup of a classic member in a group of the new protocol: it is reconciled as the others are by heartbeats, and
// hears with SyncGroup what it has. false: the group is a classic one from now on, and is to be joined as such.
func (d *decision) joinConsumer(g *group, r *JoinRequest, reply func(JoinReply)) bool {
	c := g.consumer
	former := ""
	if r.Instance != nil && r.Member == "" {
		former = c.roster().instances[*r.Instance]
	}
	switch {
	case c.members.Len() == 0 && r.Member != "":
		told(d, reply, failed(r.Member, ErrUnknownMember))
		return true
	case c.members.Len() == 0 && newClassic().supports(r.ProtocolType, r.Protocols):
		d.becomeEmpty(g)
		return false
	case !c.supports(r):
		told(d, reply, failed(r.Member, ErrInconsistentProtocol))
		return true
	case former != "" && c.members.Len() == 1 && c.roster().classic == 0 && d.m.Config.Consumer.Migration.downgrades():
		d.becomeEmpty(g)
		return false
	case former != "" && d.downgrades(c, []string{former}):
		d.downgrade(g, []string{former})
		return false
	}
	sub, ok := parseSubscription(r.Protocols[0].Metadata)
	_, known := c.members.Get(r.Member)
	switch {
	case !ok:
		told(d, reply, failed(r.Member, ErrInconsistentProtocol))
	case !known && former == "" && d.m.Config.Consumer.full(c.members.Len()):
		told(d, reply, failed("", ErrGroupMaxSize))
	case r.Member == "" && r.Instance == nil && r.NeedsID:
		told(d, reply, failed(r.ClientID+"-"+r.UUID, ErrMemberIDRequired))
	default:
		out, err := d.joinStep(g, r, &sub)
		if err != nil {
			out = failed(r.Member, err)
		}
		told(d, reply, out)
	}
	return true
}

// becomeEmpty makes the group a classic one without members. Epochs go on as generations: nobody is taken for a member of another time.
func (d *decision) becomeEmpty(g *group) {
	d.record(g.consumer.tombstones(g.id)...)
	clear(g.consumer.sessions)
	generation := g.consumer.at().group
	g.classic = newClassic()
	g.classic.generation = generation
}

// supports tells whether a classic member could be in the group: it has a protocol that all other classic ones have.
func (c *consumer) supports(r *JoinRequest) bool {
	roster := c.roster()
	return r.ProtocolType == consumerProtocol &&
		slices.ContainsFunc(r.Protocols, func(p Protocol) bool { return roster.protocols[p.Name] == roster.classic })
}

func (d *decision) joinStep(g *group, r *JoinRequest, sub *consumerSubscription) (JoinReply, error) {
	s := d.step(g, g.consumer)
	former, err := s.findClassic(r)
	if err != nil {
		return JoinReply{}, err
	}
	mem := *former
	mem.InstanceID, mem.ClientID, mem.ClientHost = r.Instance, r.ClientID, r.ClientHost
	if sub.rack != nil {
		mem.RackID = sub.rack
	}
	mem.SubscribedTopicNames, mem.SubscribedTopicRegex, mem.ServerAssignor = names(sub.topics), nil, nil
	mem.RebalanceTimeoutMs, mem.ClassicMemberMetadata = r.RebalanceMs, classicMetadata(r.SessionMs, r.Protocols)
	s.member = &mem
	s.later(func() {
		d.alive(g, s.c, s.id, d.m.millis(r.SessionMs))
		x := s.c.sessions[s.id]
		x.joinBy, x.syncBy = time.Time{}, d.now.Add(s.rebalance())
		d.timer(shard.TimerKey{Kind: SyncTimer, Group: g.id, Member: s.id}, x.syncBy)
	})
	owned := assign.Partitions{}
	if p := d.m.byTopicID(sub.owned); len(p) > 0 {
		owned = p
	}
	if err := s.run(&owned); err != nil {
		return JoinReply{}, err
	}
	return JoinReply{Generation: s.is.epoch, ProtocolType: optional(consumerProtocol), Protocol: optional(r.Protocols[0].Name), Member: s.id}, nil
}

func (m *Machine) millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// findClassic is find for a classic member. IDs that were given out are not kept: who comes back with one is new.
func (s *step) findClassic(r *JoinRequest) (*schema.ConsumerGroupMember, error) {
	if s.id = r.Member; s.id == "" {
		name := r.ClientID
		if r.Instance != nil {
			name = *r.Instance
		}
		s.id = name + "-" + r.UUID
	}
	s.before, _ = s.c.members.Get(s.id)
	s.was = s.c.has(s.id)
	if r.Instance != nil {
		switch former := s.c.roster().instances[*r.Instance]; {
		case former == "" && r.Member != "":
			return nil, ErrUnknownMember
		case former == "" || former == s.id:
		case r.Member != "":
			return nil, ErrFencedInstance
		default:
			return s.replace(former), nil
		}
	}
	if s.before == nil {
		return &schema.ConsumerGroupMember{RebalanceTimeoutMs: -1}, nil
	}
	return s.before, nil
}

// classicMember finds a member that asks as a classic one does.
func (c *consumer) classicMember(id string, instance *string) (*schema.ConsumerGroupMember, error) {
	if instance != nil {
		switch former := c.roster().instances[*instance]; {
		case former == "":
			return nil, ErrUnknownMember
		case former != id:
			return nil, ErrFencedInstance
		}
	}
	mem, ok := c.members.Get(id)
	if !ok || mem.ClassicMemberMetadata == nil {
		return nil, ErrUnknownMember
	}
	return mem, nil
}

// syncConsumer is SyncGroup of a classic member.
func (d *decision) syncConsumer(g *group, r *SyncRequest) SyncReply {
	c := g.consumer
	mem, err := c.classicMember(r.Member, r.Instance)
	if err != nil {
		return SyncReply{Err: err}
	}
	cur, protocol := c.has(r.Member), mem.ClassicMemberMetadata.SupportedProtocols[0].Name
	switch {
	case cur.epoch != r.Generation:
		return SyncReply{Err: ErrIllegalGeneration}
	case differs(r.ProtocolType, optional(consumerProtocol)) || differs(r.Protocol, &protocol):
		return SyncReply{Err: ErrInconsistentProtocol}
	}
	d.alive(g, c, r.Member, d.m.sessionOf(g, c, r.Member))
	if c.at().group > cur.epoch && cur.state != memberUnrevoked {
		d.joinAgainBy(g, r.Member, mem)
		return SyncReply{Err: ErrRebalance}
	}
	c.sessions[r.Member].syncBy = time.Time{}
	return SyncReply{ProtocolType: optional(consumerProtocol), Protocol: &protocol, Assignment: d.m.assignmentBytes(mem, cur)}
}

// heartbeatConsumer is Heartbeat of a classic member. It is to join again when there is a new epoch, when it has been given less and is to
// say that it has let go, and when what it waits for is free.
func (d *decision) heartbeatConsumer(g *group, r *HeartbeatRequest) error {
	c := g.consumer
	mem, err := c.classicMember(r.Member, r.Instance)
	if err != nil {
		return err
	}
	cur := c.has(r.Member)
	if cur.epoch != r.Generation {
		return ErrIllegalGeneration
	}
	d.alive(g, c, r.Member, d.m.sessionOf(g, c, r.Member))
	if cur.epoch < c.at().group || cur.state == memberUnrevoked || cur.state == memberUnreleased && !c.waits(r.Member, cur) {
		d.joinAgainBy(g, r.Member, mem)
		return ErrRebalance
	}
	return nil
}

// waits tells whether others have something that a member is to have.
func (c *consumer) waits(id string, cur *current) bool {
	target, _ := c.target.Get(id)
	for t, n := range target.Minus(cur.assigned.Partitions).All() {
		if owner, ok := c.roster().owners[partition{t, n}]; ok && owner != id {
			return true
		}
	}
	return false
}

// joinAgainBy sets the time by which a classic member is to have joined again.
func (d *decision) joinAgainBy(g *group, id string, mem *schema.ConsumerGroupMember) {
	c := g.consumer
	if c.sessions[id] == nil {
		d.alive(g, c, id, d.m.sessionOf(g, c, id))
	}
	if x := c.sessions[id]; x.joinBy.IsZero() {
		x.joinBy = d.now.Add(d.m.rebalanceOf(g, mem.RebalanceTimeoutMs))
		d.timer(shard.TimerKey{Kind: JoinTimer, Group: g.id, Member: id}, x.joinBy)
	}
}

// leaveConsumer is LeaveGroup in a group of the new protocol: classic members can leave.
func (d *decision) leaveConsumer(g *group, leaving []LeftMember) {
	c := g.consumer
	var gone []string
	for i := range leaving {
		l := &leaving[i]
		id := l.Member
		if l.Instance != nil && id == "" {
			id = c.roster().instances[*l.Instance]
		}
		if _, l.Err = c.classicMember(id, l.Instance); l.Err == nil && slices.Contains(gone, id) {
			l.Err = ErrUnknownMember
		}
		if l.Err == nil {
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		d.expel(g, gone...)
	}
}
