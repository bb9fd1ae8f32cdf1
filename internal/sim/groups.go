package sim

import (
	"errors"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// shopTopic is what groups are subscribed to. Nobody makes it anew, since offsets go with a topic (L5).
const (
	shopTopic      = "shop"
	shopPartitions = 3
)

// The times of groups.
const (
	groupSession   = 1500 * time.Millisecond
	groupRebalance = 2 * time.Second
	groupBeat      = 150 * time.Millisecond
)

var groupConfig = group.Config{
	MinSessionMs: 1, MaxSessionMs: 60_000, InitialDelay: 50 * time.Millisecond, MaxSize: 100, MaxMetadataBytes: 4096,
	Retention: 7 * 24 * time.Hour, SweepEvery: 10 * time.Second,
	Consumer: group.ConsumerConfig{Session: groupSession, MinSession: groupSession, MaxSession: groupSession,
		Heartbeat: groupBeat, MinHeartbeat: groupBeat, MaxHeartbeat: groupBeat},
}

// groups is who is there, and what has been promised to them.
type groups struct {
	names     []string
	migrating bool // all of them change their protocol
	members   []*member
	savers    []*saver
	offsets   map[offsetKey]*account
}

// offsetKey is a group's offset of one of shopTopic's partitions.
type offsetKey struct {
	group     string
	partition int32
}

// account is what is known of an offset. Whoever commits one takes a number that is higher than all before, and who may not commit any more
// is refused: so they only grow.
type account struct {
	tried map[model.Offset]bool
	floor model.Offset // the newest that was acknowledged to, or seen by, anybody
	// stable is the newest of a transaction that was: it may not be there yet, but then nobody is told another one who wants it to be stable (KIP-447).
	stable  model.Offset
	pending *piece       // the newest of a transaction, whatever has become of it
	reached model.Offset // how far transactions have come, each from where the one before did
}

func (g *groups) account(k offsetKey) *account {
	a := g.offsets[k]
	if a == nil {
		a = &account{tried: make(map[model.Offset]bool), floor: model.NoOffset, stable: model.NoOffset, reached: model.NoOffset}
		g.offsets[k] = a
	}
	return a
}

// commit makes a request that commits an offset which nobody has committed before.
func (w *world) commit(k offsetKey, member string, generation int32) group.CommitRequest {
	w.made++
	off := model.Offset(w.made)
	w.groups.account(k).tried[off] = true
	return group.CommitRequest{Group: k.group, Member: member, Generation: generation, RetentionMs: -1, Offsets: []group.CommitOffset{
		{TopicPartition: model.TopicPartition{Topic: shopTopic, Partition: k.partition}, Offset: off, LeaderEpoch: model.NoEpoch},
	}}
}

// fetchOf asks for an offset, and floorOf is what the answer must not be older than.
func fetchOf(k offsetKey) group.FetchRequest {
	return group.FetchRequest{Group: k.group, Partitions: []model.TopicPartition{{Topic: shopTopic, Partition: k.partition}}}
}

// fetched looks at an answer: the offset was committed, and it is not older than what was acknowledged before it was asked for (G1).
func (w *world) fetched(who nodeID, k offsetKey, floor, got model.Offset) {
	a := w.groups.account(k)
	switch {
	case got == model.NoOffset && floor == model.NoOffset:
	case !a.tried[got]:
		w.fail("G1", "%v fetches offset %d of partition %d of %s, which nobody has committed", who, got, k.partition, k.group)
	case got < floor:
		w.fail("G1", "%v fetches offset %d of partition %d of %s; %d was acknowledged before it asked", who, got, k.partition, k.group, floor)
	case w.trades.offsets[got] != nil && w.trades.offsets[got].fate != visible:
		w.fail("T3", "%v fetches offset %d of %s, of a %v, which is %v", who, got, k.group, w.trades.offsets[got].deal, w.trades.offsets[got].fate)
	}
	a.floor = max(a.floor, got)
}

// loaded looks whether a coordinator has all that those before it have acknowledged (G3). One that may answer nobody may lack what it likes: it
// stood still while it loaded, and others lead.
func (w *world) loaded(s *seat, m *group.Machine) {
	if s.leads() != nil {
		return
	}
	for _, name := range w.groups.names {
		for num := range int32(shopPartitions) {
			k := offsetKey{name, num}
			if w.coordinatorOf(s.r.topic, name) != s.r.num {
				break
			}
			if o := m.Fetch(fetchOf(k)); o.Err == nil && o.Offsets[0].Offset < w.groups.account(k).floor {
				w.fail("G3", "%v loads offset %d of partition %d of %s; %d was acknowledged", s.r, o.Offsets[0].Offset, num, name, w.groups.account(k).floor)
			}
		}
	}
}

// settledBy notes that something is committed which a coordinator has written.
func settledBy(s *seat) { s.r.book.newest = max(s.r.book.newest, s.epoch) }

// groupRequest is a request of one of package group, for the coordinator.
type groupRequest struct {
	number int64
	body   any
}

// groupReply is the answer to it, as the machine gives it; or an error: that was refused.
type groupReply struct {
	number int64
	body   any
	err    error
}

// expect counts who waits. Nobody is answered twice.
func (s *seat) expect(joins bool, reply func(any, error)) func(any, error) {
	answered := false
	s.waits++
	if joins {
		s.joins++
	}
	return func(out any, err error) {
		if answered {
			s.r.n.w.fail("G1", "%v answers a request twice", s.r)
		}
		answered = true
		s.waits--
		if joins {
			s.joins--
		}
		reply(out, err)
	}
}

// definite tells whether an error is the machine's, and says something about what is: the others only send away.
func definite(err error) bool {
	var no refusal
	return !errors.Is(err, shard.ErrNotCoordinator) && !errors.Is(err, shard.ErrLoading) && !errors.Is(err, shard.ErrTimedOut) && !errors.As(err, &no)
}

// promised notes what a coordinator acknowledges, as it does.
func (w *world) promised(q group.CommitRequest, o group.CommitReply) {
	if o.Err == nil && o.Offsets[0] == nil {
		a := w.groups.account(offsetKey{q.Group, q.Offsets[0].Partition})
		if off := q.Offsets[0].Offset; off < a.floor {
			w.fail("G2", "offset %d of partition %d of %s is committed, by who may not any more: %d was before", off, q.Offsets[0].Partition, q.Group, a.floor)
		} else {
			a.floor = off
			w.note(0, "offset %d of partition %d is acknowledged", int64(off), int64(q.Offsets[0].Partition))
		}
	}
}

// protocolOf draws what the members of a group speak in each of their lives: 0: the classic protocol, 1: the new one. Or now this and now that: then the group changes
// its protocol while it has members (KIP-848). Static members are not cooperative: who comes in the place of one that has lost a partition does not know that it is to join once
// more, so that nobody gets it, as with Kafka's clients.
func (w *world) protocolOf(kind int, static bool) func() protocol {
	cooperative := w.one(2) && !static
	mixed := w.groups.migrating || w.one(2)
	return func() protocol {
		if k := kind; mixed && w.one(2) || !mixed && k == 1 {
			return new(consumerProtocol)
		}
		return &classicProtocol{cooperative: cooperative}
	}
}

// groupWorkload starts the clients of groups, and returns the next one's ID. Where there is a market it is one of the groups.
func (w *world) groupWorkload(id nodeID) nodeID {
	left := w.rng.IntN(2) // which group the market has the place of
	for i, name := range []string{"classic", "consumer"} {
		if w.trades.market && i == left {
			continue
		}
		n := 2 + w.rng.IntN(3-i)
		speaks := w.protocolOf(i, false)
		for range n {
			w.joinGroup(&member{asker: w.groupAsker(id, name), group: name, speaks: speaks, protocol: speaks()})
			id++
		}
		w.groups.names = append(w.groups.names, name)
	}
	for num := range int32(1 + w.rng.IntN(2)) {
		s := &saver{asker: w.groupAsker(id, "savings"), key: offsetKey{"savings", num}}
		id++
		w.groups.savers = append(w.groups.savers, s)
		w.whenOpen(s.turn)
	}
	w.groups.names = append(w.groups.names, "savings")
	return id
}

// whenOpen runs f when there is something to have offsets of: those of topics that are not there are taken for a deleted topic's (L5).
func (w *world) whenOpen(f func()) {
	if w.truth.Topic(shopTopic) == nil {
		w.after(100*time.Millisecond, func() { w.whenOpen(f) })
		return
	}
	w.after(w.between(0, time.Second), f)
}

// coordinatorOf is the partition of a topic by whose leader something is coordinated.
func (w *world) coordinatorOf(topic, key string) int32 {
	return schema.Partition(key, w.partitionsOf(topic))
}

// groupAsker asks the coordinator of a group.
func (w *world) groupAsker(id nodeID, group string) asker {
	return asker{client: client{w: w, id: id, topic: schema.Groups.Name, num: w.coordinatorOf(schema.Groups.Name, group)}}
}

// coordinated tells whether there are coordinators of groups.
func (w *world) coordinated() bool { return w.grouped || w.transacted }

// inner are the topics that are there for groups and transactions, and that nobody makes anew or deletes from.
func (w *world) inner() []string {
	switch {
	case w.transacted:
		return []string{schema.Groups.Name, shopTopic, schema.Transactions.Name, booksTopic, stockTopic}
	case w.grouped:
		return []string{schema.Groups.Name, shopTopic}
	}
	return nil
}

// partitionsOf is how many partitions a topic has.
func (w *world) partitionsOf(topic string) int32 {
	switch {
	case topic == schema.Groups.Name && w.transacted:
		return 2
	case topic == shopTopic:
		return shopPartitions
	case topic == booksTopic:
		return booksPartitions
	}
	return 1
}
