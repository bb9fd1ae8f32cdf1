package sim

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	producers "chronik/internal/wal/producer"
)

// The times of coordinators.
const (
	seatPatience  = time.Second            // of who waits for a shard
	followLag     = 20 * time.Millisecond  // after which coordinators know what replicas know already, at most
	loadTime      = 10 * time.Millisecond  // of a log, at most
	loadRetry     = 100 * time.Millisecond // after a load that has failed
	maxGroupBatch = 4 << 10
)

// seat is a partition of a coordinator's topic in one leader epoch, on the node that leads it: the shell around a shard, which does what the
// runtime of coordinators does, as events.
type seat struct {
	r       *replica
	epoch   model.LeaderEpoch
	image   *image.Image  // the newest that it was told of
	shard   *shard.Shard  // nil: it loads
	machine shard.Machine // with the shard: of groups, or of transactions
	settled model.Offset  // up to which it has heard that its records are safe
	loading bool
	over    bool
	inbox   []func(now time.Time) // what the log has said
	armed   time.Duration         // when the shard is told the time; 0: not
	waits   int                   // requests that are not answered
	joins   int                   // of those, members that wait for a rebalance
}

// refusal is why the log has refused a batch.
type refusal code

func (c refusal) Error() string { return codeNames[c] }

// coordinates tells whether the partition is one of a coordinator's topic.
func (r *replica) coordinates() bool {
	return r.topic == schema.Groups.Name || r.topic == schema.Transactions.Name
}

// followSoon has coordinators follow the metadata, a little after the replicas have.
func (n *node) followSoon() {
	if !n.w.coordinated() || n.following {
		return
	}
	n.following = true
	lag := n.w.between(0, followLag)
	if n.w.one(4) {
		lag *= 40 // it opens and closes logs
	}
	n.after(lag, func() {
		n.following = false
		n.follow(n.image)
	})
}

// follow ends and begins seats as the metadata says who leads.
func (n *node) follow(im *image.Image) {
	for _, r := range n.replicas {
		if !r.coordinates() {
			continue
		}
		t := im.TopicByID(r.id)
		leads := t != nil && t.Partitions[r.num].Leader == n.broker()
		if s := r.seat; s != nil && (!leads || s.epoch != t.Partitions[r.num].LeaderEpoch) {
			s.end()
		}
		switch {
		case !leads:
		case r.seat == nil:
			r.seat = &seat{r: r, epoch: t.Partitions[r.num].LeaderEpoch, image: im}
		default:
			r.seat.follow(im)
		}
	}
}

// follow takes a change of the metadata.
func (s *seat) follow(im *image.Image) {
	old := s.image
	s.image = im
	if s.shard != nil {
		s.shard.OnImage(s.r.n.now(), im, s.r.n.w.bugs.delta(difference(old, im)))
	}
}

// difference is what of a change matters to coordinators.
func difference(a, b *image.Image) *image.Delta {
	d := new(image.Delta)
	for _, t := range sortedTopics(a) {
		if b.TopicByID(t.ID) == nil {
			d.TopicsDeleted = append(d.TopicsDeleted, t)
		}
	}
	for _, t := range sortedTopics(b) {
		old := a.TopicByID(t.ID)
		if old == nil {
			d.TopicsCreated = append(d.TopicsCreated, t)
			continue
		}
		for num, p := range t.Partitions {
			if q := old.Partitions[num]; q != p {
				d.Partitions = append(d.Partitions, image.PartitionChange{Topic: t, Partition: int32(num), Old: q, New: p})
			}
		}
	}
	return d
}

// end ends the seat: the next one, if there is one, loads.
func (s *seat) end() {
	if s.over {
		return
	}
	s.over = true
	if s.waits > 0 {
		s.r.n.w.stats[coordinatorMoves]++
	}
	if s.r.seat == s {
		s.r.seat = nil
	}
	if s.shard != nil {
		s.shard.End()
	}
}

// leads tells whether the replica leads in the seat's epoch, for all it knows (R6).
func (s *seat) leads() error {
	n, l := s.r.n, s.r.leader
	if n.w.bugs.noSeatEpoch && l != nil {
		return nil
	}
	if n.sessionNow(); !s.current() || l.MayAppend(1) != nil || !n.session {
		return shard.ErrNotCoordinator
	}
	return nil
}

// current tells whether the replica is the leader's of the seat's epoch.
func (s *seat) current() bool { return s.r.leader != nil && s.r.leader.Epoch() == s.epoch }

// work is the seat's turn, after each event of its node. It reports whether there was anything to do.
func (s *seat) work() bool {
	if s.shard == nil {
		s.load()
		return false
	}
	did := len(s.inbox) > 0
	for len(s.inbox) > 0 && !s.over {
		f := s.inbox[0]
		s.inbox = s.inbox[1:]
		f(s.r.n.now())
	}
	did = s.append() || did
	s.arm()
	return did
}

// append appends what was decided.
func (s *seat) append() (did bool) {
	r := s.r
	for !s.over {
		b, ok := s.shard.Take()
		if !ok {
			break
		}
		did = true
		switch base, c := s.give(b); {
		case c == okay:
			s.shard.Appended(base)
		case c != notLeader:
			r.n.w.stats[refusedAppends]++
			s.shard.Refused(refusal(c))
		case s.current(): // and does not know whether it still does (R6)
			r.n.w.stats[refusedAppends]++
			s.shard.Refused(shard.ErrNotCoordinator)
		default:
			s.shard.End()
		}
	}
	if ended, err := s.shard.Ended(); ended && !s.over {
		if err != nil {
			r.n.w.note(r.n.id, "its coordinator loads again, what it remembers and the log have parted")
		}
		s.end()
		r.seat = &seat{r: r, epoch: s.epoch, image: s.image}
	}
	return did
}

// give appends a batch, in the seat's epoch only.
func (s *seat) give(b shard.Batch) (model.Offset, code) {
	r := s.r
	switch {
	case r.failed != nil || r.log == nil:
		return model.NoOffset, storageError
	case r.leader == nil || !s.current() && !r.n.w.bugs.noSeatEpoch:
		return model.NoOffset, notLeader
	}
	end := b.Base + model.Offset(b.Bytes.LastOffsetDelta()) + 1
	r.n.w.trades.wrote(s, b.Bytes)
	out, err := r.append(write{batch: b.Bytes, acks: -1, origin: producers.Coordinator, verified: true, raised: b.Raised}, func(c code, _ model.Offset) {
		s.inbox = append(s.inbox, func(time.Time) { s.heard(end, c) })
	})
	if err == nil && r.n.w.bugs.earlyAnswer {
		s.inbox = append(s.inbox, func(time.Time) { s.shard.Settle(end) })
	}
	if err == nil && r.n.w.bugs.earlyMarkers {
		s.early(b.Bytes)
	}
	return out.BaseOffset, codeOf(err)
}

// heard is what has become of a batch up to an offset.
func (s *seat) heard(end model.Offset, c code) {
	switch c {
	case okay, notEnoughAfterAppend:
		s.settled = end
		if c == okay {
			s.shard.Settle(end)
		} else {
			s.shard.Doubt(end, refusal(c))
		}
		settledBy(s)
	case notLeader:
		s.shard.End()
	default:
		s.shard.Lost(refusal(c))
	}
}

// arm has the shard told the time when it has asked for.
func (s *seat) arm() {
	n := s.r.n
	next, ok := s.shard.Next()
	if at := max(next.Sub(epochStart), n.w.now); ok && !s.over && (s.armed == 0 || at < s.armed) {
		s.armed = at
		n.after(at-n.w.now, func() {
			if s.armed == at && !s.over {
				s.armed = 0
				s.shard.Tick(n.now(), true)
			}
		})
	}
}
