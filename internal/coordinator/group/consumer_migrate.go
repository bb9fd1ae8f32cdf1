package group

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/timeline"
)

// upgrade begins a step of a classic group with members that is to become one of the new protocol. Its members stay, at the epoch that
// was their generation, with what they may have; they are told to join again by their next heartbeat.
func (d *decision) upgrade(g *group, classic *classic) (*step, error) {
	config := &d.m.Config.Consumer
	switch {
	case !config.Migration.upgrades():
		return nil, fmt.Errorf("%w: it is a classic group, and group.consumer.migration.policy lets it stay one", ErrGroupNotFound)
	case classic.protocolType != consumerProtocol:
		return nil, fmt.Errorf("%w: it is a classic group of %s", ErrGroupNotFound, classic.protocolType)
	case config.full(len(classic.members) - 1):
		return nil, fmt.Errorf("%w: it is a classic group with more members than group.consumer.max.size", ErrGroupNotFound)
	}
	records, err := d.asConsumers(g, classic)
	if err != nil {
		return nil, err
	}
	log := new(timeline.Log)
	log.Settle(1)
	c := newConsumer(log) // as the group will be
	for _, r := range records {
		c.apply(0, r)
	}
	s := d.step(g, c)
	if _, ok := d.m.saved.Get(g.id); ok {
		s.record(&schema.GroupMetadata{Key: schema.GroupKey{Group: g.id}})
	}
	s.record(records...)
	c.sessions = d.m.asConsumer(g).sessions
	s.later(func() {
		g.consumer.seen = 0
		clear(g.consumer.sessions)
		for _, mem := range classic.members {
			classic.answerJoin(d, mem, failed(mem.id, ErrRebalance))
			mem.answerSync(d, SyncReply{Err: ErrRebalance})
			d.alive(g, g.consumer, mem.id, mem.session())
		}
		g.classic = nil
	})
	return s, nil
}

// asConsumers are the records of a classic group's members as members of one of the new protocol.
func (d *decision) asConsumers(g *group, classic *classic) ([]schema.Record, error) {
	given := make(map[string][]byte) // by the last generation that was written: in memory there may be none while they rebalance
	if saved, ok := d.m.saved.Get(g.id); ok {
		for i := range saved.Members {
			given[saved.Members[i].MemberID] = saved.Members[i].Assignment
		}
	}
	has, err := d.hasClassic(classic, given)
	if err != nil {
		return nil, err
	}
	var records, targets, currents []schema.Record
	for i, mem := range classic.members {
		v, err := mem.asConsumer(classic.protocol)
		if err != nil {
			return nil, err
		}
		mine := has[i]
		records = append(records, memberRecord(g.id, mem.id, v))
		targets = append(targets, targetRecord(g.id, mem.id, mine))
		currents = append(currents, currentRecord(g.id, mem.id, &current{
			epoch: classic.generation, previous: classic.generation, assigned: hold(mine, classic.generation),
		}))
	}
	at := epochs{group: classic.generation, target: classic.generation}
	records = append(records, epochRecord(g.id, at))
	return slices.Concat(records, targets, []schema.Record{targetEpochRecord(g.id, at)}, currents), nil
}

// hasClassic is what members of a classic group may have (G2): what they were given, and what they had when they joined last, as they may not have
// asked yet for what they were given. A partition is one member's: clients may have assigned anything.
func (d *decision) hasClassic(classic *classic, given map[string][]byte) ([]assign.Partitions, error) {
	out := make([]assign.Partitions, len(classic.members))
	var taken assign.Partitions
	take := func(i int, all []namedPartitions) error {
		mine := d.m.byTopicID(all).Minus(taken)
		out[i], taken = out[i].Or(mine), taken.Or(mine)
		return d.heardOf(classic, all)
	}
	for i, mem := range classic.members {
		parts, ok := parseAssignment(given[mem.id])
		if !ok {
			return nil, fmt.Errorf("%w: it is a classic group, and what member %q has cannot be read", ErrGroupNotFound, mem.id)
		}
		if err := take(i, parts); err != nil {
			return nil, err
		}
	}
	for i, mem := range classic.members {
		if sub, ok := mem.subscription(classic.protocol); ok {
			if err := take(i, sub.owned); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// hearing is how long a coordinator may not have heard of a topic that its clients know, at most: its session ends sooner.
const hearing = 10 * time.Second

// heardOf refuses what classic members have of topics that are not there, as long as these may just not have been heard of: else others would be given it, too
// (G2). Kafka takes such topics for deleted.
func (d *decision) heardOf(classic *classic, all []namedPartitions) error {
	for _, p := range all {
		if d.m.image.Topic(p.topic) == nil && d.now.UnixMilli()-classic.sinceMs < hearing.Milliseconds() {
			return fmt.Errorf("%w: it has not heard of topic %q, which classic members have", shard.ErrLoading, p.topic)
		}
	}
	return nil
}

// subscription is what a classic member says, in the group's protocol or, if there is none yet, in the one that it prefers.
func (mem *member) subscription(protocol string) (consumerSubscription, bool) {
	b := mem.metadata(protocol)
	if b == nil && len(mem.protocols) > 0 {
		b = mem.protocols[0].Metadata
	}
	return parseSubscription(b)
}

// asConsumer is what a classic member says of itself, as one of the new protocol does.
func (mem *member) asConsumer(protocol string) (*schema.ConsumerGroupMember, error) {
	sub, ok := mem.subscription(protocol)
	if !ok {
		return nil, fmt.Errorf("%w: it is a classic group, and what member %q is subscribed to cannot be read", ErrGroupNotFound, mem.id)
	}
	v := &schema.ConsumerGroupMember{
		InstanceID: mem.instance, RackID: sub.rack, ClientID: mem.clientID, ClientHost: mem.clientHost,
		SubscribedTopicNames: names(sub.topics), RebalanceTimeoutMs: mem.rebalanceMs,
		ClassicMemberMetadata: classicMetadata(mem.sessionMs, mem.protocols),
	}
	return v, nil
}

func classicMetadata(sessionMs int32, protocols []Protocol) *schema.ClassicMember {
	out := &schema.ClassicMember{SessionTimeoutMs: sessionMs}
	for _, p := range protocols {
		out.SupportedProtocols = append(out.SupportedProtocols, schema.ClassicProtocol{Name: p.Name, Metadata: p.Metadata})
	}
	return out
}

// downgrades tells whether a group is a classic one once some members are gone: there are others, all of them classic.
func (d *decision) downgrades(c *consumer, gone []string) bool {
	left, classic := c.members.Len(), c.roster().classic
	if left == classic {
		return false // it was left as it is before
	}
	for _, id := range gone {
		if mem, ok := c.members.Get(id); ok {
			if left--; mem.ClassicMemberMetadata != nil {
				classic--
			}
		}
	}
	return left > 0 && left == classic && d.m.Config.Consumer.Migration.downgrades() && left <= d.m.Config.MaxSize
}

// downgrade makes the group a classic one that rebalances. What is written of it has no leader: no generation was ever given what it says,
// which is what each member has, and who loads it lets it rebalance as well.
func (d *decision) downgrade(g *group, gone []string) {
	c, at := g.consumer, g.consumer.at()
	classic := newClassic()
	classic.state, classic.generation, classic.protocolType, classic.sinceMs = Stable, at.group, consumerProtocol, d.now.UnixMilli()
	for _, id := range c.roster().ids {
		v, _ := c.members.Get(id)
		if slices.Contains(gone, id) {
			continue
		}
		mem := &member{
			id: id, instance: v.InstanceID, clientID: v.ClientID, clientHost: v.ClientHost,
			rebalanceMs: v.RebalanceTimeoutMs, sessionMs: v.ClassicMemberMetadata.SessionTimeoutMs,
		}
		for _, p := range v.ClassicMemberMetadata.SupportedProtocols {
			mem.protocols = append(mem.protocols, Protocol{p.Name, p.Metadata})
		}
		mem.assignment = d.m.assignmentBytes(v, c.has(id))
		classic.add(mem)
	}
	classic.protocol = classic.choose()
	classic.subscribe()
	d.record(c.tombstones(g.id)...)
	g.classic = classic
	leader := classic.leader
	classic.leader = ""
	d.save(g)
	classic.leader = leader
	clear(c.sessions)
	for _, mem := range classic.members {
		d.session(g, mem, mem.session())
	}
	d.prepareRebalance(g)
}
