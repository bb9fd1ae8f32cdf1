package group

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/config"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Config is what the broker's keys say. It may be changed between decisions, and counts from then on.
type Config struct {
	MinSessionMs, MaxSessionMs int32         // group.min.session.timeout.ms, group.max.session.timeout.ms
	InitialDelay               time.Duration // group.initial.rebalance.delay.ms
	MaxSize                    int           // group.max.size
	MaxMetadataBytes           int           // offset.metadata.max.bytes
	Retention                  time.Duration // offsets.retention.minutes
	SweepEvery                 time.Duration // offsets.retention.check.interval.ms
	Consumer                   ConsumerConfig
	Share                      ShareConfig
	Streams                    StreamsConfig

	// Own is what is in effect for a group that has these values of its own, nil if they cannot be used; nil: groups have none.
	Own func(values map[string]string) *config.Group
}

// Machine is the groups of one partition of __consumer_offsets, a shard.Machine.
type Machine struct {
	Config Config

	log      timeline.Log
	end      model.Offset // after the last record that was applied
	groups   map[string]*group
	saved    *timeline.Map[string, *schema.ClassicGroup] // groups that exist in the log
	unjoined *classic                                    // any group that has no member in memory or in the log, for looking at
	writes   []groupWrite                                // to saved, those that are not settled, oldest first

	producers *timeline.Map[model.ProducerID, []string] // with an open transaction, and the groups that it has offsets of
	ends      []groupWrite                              // of transactions, those that are not settled

	sweep sweep
	purge purge

	image  *image.Image
	seen   uint64 // grows with each change of topics, partitions or nodes
	topics uint64 // grows when topics come or go
}

var _ shard.Machine = (*Machine)(nil)

// group is what one ID stands for. It is kept as long as there is something in it.
type group struct {
	id       string
	offsets  *timeline.Map[model.TopicPartition, *committed]
	pending  *pending      // nil: no transaction had offsets of it
	wrote    model.Offset  // the last record of saved, consumer or share
	classic  *classic      // nil: no members, and none on their way
	consumer *consumer     // nil: it never was one
	streams  *streamsGroup // nil: it never was one
	share    *consumer     // a share group: members as those of consumers are, and shares; nil: it never was one
}

// groupWrite is a record that changed saved.
type groupWrite struct {
	off   model.Offset
	group *group
}

// New returns a machine without groups. Settle what the log holds, so that nothing of it is kept for taking back, Apply it, and call
// Loaded before the first request.
func New(c Config) *Machine {
	m := &Machine{Config: c, groups: make(map[string]*group)}
	m.unjoined = newClassic()
	m.saved = timeline.NewMap[string, *schema.ClassicGroup](&m.log)
	m.producers = timeline.NewMap[model.ProducerID, []string](&m.log)
	return m
}

// lookup returns a group, nil if it does not exist.
func (m *Machine) lookup(id string) *group {
	g := m.groups[id]
	if g == nil || g.classic != nil || g.modern() != nil || g.isStreams() {
		return g
	}
	if _, ok := m.saved.Get(id); !ok {
		return nil // deleted, but the record is not settled
	}
	return g
}

// open returns what is kept of an ID, from now on if it was nothing.
func (m *Machine) open(id string) *group {
	g := m.groups[id]
	if g == nil {
		g = &group{id: id, wrote: model.NoOffset, offsets: timeline.NewMap[model.TopicPartition, *committed](&m.log)}
		m.groups[id] = g
	}
	return g
}

// tidy forgets what is in memory only if it says no more than the log, and the group if there is nothing of it in the log either.
func (m *Machine) tidy(g *group) {
	saved, ok := m.saved.Get(g.id)
	c := g.classic
	if c != nil && c.state == Empty && len(c.pending) == 0 && !c.reverted && (!ok || len(saved.Members) == 0 && saved.Generation == c.generation) {
		g.classic = nil
	}
	if g.classic == nil && !ok && !m.saved.Unsettled(g.id) && g.offsets.Empty() && g.pending.empty() && g.consumer.empty() && g.share.empty() && g.streams.empty() {
		delete(m.groups, g.id)
	}
}

// ids are the groups in order.
func (m *Machine) ids() []string { return slices.Sorted(maps.Keys(m.groups)) }

// Loaded says that all is applied and settled: members get a whole session from now on, groups that are too large rebalance, and
// offsets of topics that were deleted while nobody looked go.
func (m *Machine) Loaded(now time.Time, im *image.Image) shard.Result {
	d := m.decide(now)
	m.image, m.seen, m.topics = im, 1, 1
	for _, id := range m.ids() {
		g := m.groups[id]
		if c := g.modern(); c != nil {
			d.arm(g, c)
		}
		if g.isStreams() {
			d.armStreams(g)
		}
		if saved, ok := m.saved.Get(id); ok && len(saved.Members) > 0 {
			g.classic = restore(saved)
			for _, mem := range g.classic.members {
				d.session(g, mem, mem.session())
			}
			if len(g.classic.members) > m.Config.MaxSize || saved.Leader == nil {
				d.prepareRebalance(g)
			}
		}
		m.tidy(g)
	}
	d.timer(shard.TimerKey{Kind: SweepTimer}, now.Add(m.Config.SweepEvery))
	m.purge.doom(m, absent(im))
	d.purge()
	return d.done(nil)
}

// OnImage tells of what has changed: offsets of topics that were deleted go (L5).
func (m *Machine) OnImage(now time.Time, im *image.Image, delta *image.Delta) shard.Result {
	d := m.decide(now)
	m.look(im, delta)
	if len(delta.TopicsDeleted) > 0 {
		m.purge.doom(m, deleted(im, delta.TopicsDeleted))
		d.purge()
	}
	return d.done(nil)
}

// look takes over an image. Groups of the new protocol find out with their next heartbeat whether it matters to them.
func (m *Machine) look(im *image.Image, delta *image.Delta) {
	m.image = im
	if len(delta.TopicsCreated)+len(delta.TopicsDeleted) > 0 {
		m.topics++
		m.seen++
	} else if len(delta.Partitions)+len(delta.NodesChanged) > 0 {
		m.seen++
	}
}

// OnTimer is to be called at a timer's time or later. A timer that is no longer meant does nothing.
func (m *Machine) OnTimer(now time.Time, k shard.TimerKey) shard.Result {
	d := m.decide(now)
	g := m.lookup(k.Group)
	switch k.Kind {
	case SweepTimer:
		d.sweep()
		return d.done(nil)
	case PurgeTimer:
		d.purge()
		return d.done(nil)
	}
	if g == nil {
		return d.done(nil)
	}
	d.mend(g)
	if c := g.modern(); c != nil {
		d.consumerTimer(g, c, k)
		return d.done(g)
	}
	if g.isStreams() {
		d.streamsTimer(g, k)
		return d.done(g)
	}
	if g.classic == nil {
		return d.done(g)
	}
	switch k.Kind {
	case SessionTimer:
		d.sessionTimer(g, k.Member)
	case JoinTimer:
		d.joinTimer(g)
	case SyncTimer:
		d.syncTimer(g)
	}
	return d.done(g)
}

// End answers everybody who waits: this broker does not coordinate these groups any more. The machine must not be used from then on.
func (m *Machine) End() {
	d := m.decide(time.Time{})
	for _, id := range m.ids() {
		if c := m.groups[id].classic; c != nil {
			for _, mem := range c.members {
				c.answerJoin(d, mem, failed(mem.id, ErrNotCoordinator))
				mem.answerSync(d, SyncReply{Err: ErrNotCoordinator})
			}
		}
		m.groups[id].share.end()
	}
	if r := d.done(nil); r.Reply != nil {
		r.Reply(nil)
	}
}
