package sim

import (
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/wal"
)

// replica is one partition on one node: the shell around its log and the cores that decide about it.
type replica struct {
	n     *node
	topic string
	id    model.TopicID
	num   int32

	log    *wal.Log
	shadow *shadow
	book   *ledger
	failed error // why the log cannot be used

	epoch    model.LeaderEpoch // of the role
	leader   *replication.Leader
	follower *replication.Follower
	known    model.Offset // watermark of the role before

	askedBy map[nodeID]asked // the newest subscriptions of followers
	waits   []*wait
	fresh   []fresh                         // appended and perhaps not durable: what is streamed from memory
	cutting bool                            // the log is about to be cut
	doomed  model.Offset                    // up to where records are about to be deleted
	dirty   bool                            // something has happened that the cores must hear of
	undone  bool                            // something that was appended for the leader is not there any more
	seat    *seat                           // of a coordinator, nil: another node's
	begins  map[model.ProducerID]*beginning // of transactions
}

// asked is a subscription and the connection that it came over.
type asked struct {
	link   *conn
	number replication.Subscription
}

// fresh is a batch in memory.
type fresh struct {
	base, next model.Offset
	bytes      record.Batch
}

func (r *replica) String() string { return r.n.String() + " " + r.topic }

// fail ends the use of the log until it is opened again (D3).
func (r *replica) fail(err error) {
	if r.failed == nil {
		r.failed = err
		if r.leader != nil {
			r.leader.OwnFailed(r.n.now())
		}
	}
}

// observer tells a replica of its log.
type observer struct{ r *replica }

// EndAdvanced implements wal.Observer.
func (o observer) EndAdvanced(model.Offset) { o.r.dirty = true }

// Fenced implements wal.Observer.
func (o observer) Fenced(err error) { o.r.dirty = true; o.r.fail(err) }

func (r *replica) own() replication.Own {
	return replication.Own{Start: r.log.Start(), End: r.log.End(), Synced: r.log.DurableEnd()}
}

// account brings the shadow to where the log says that it is.
func (r *replica) account() {
	if r.log == nil {
		return
	}
	if end := r.log.End(); end < r.shadow.end() && r.failed == nil && !r.cutting {
		if end < r.shadow.durable {
			r.n.w.fail("D3", "%v: the log fell back to %d, it was durable up to %d", r, end, r.shadow.durable)
		}
		r.shadow.cut(end)
	}
	if start := r.log.Start(); start > r.shadow.start && r.failed == nil && !r.cutting {
		if start > r.book.end() && !r.book.lossy {
			r.n.w.fail("D2", "%v: the log begins at %d, committed is up to %d", r, start, r.book.end())
		}
		r.shadow.trim(start)
		r.book.forgets = true
	}
	if !r.shadow.unsure {
		r.shadow.durable = max(r.shadow.durable, min(r.log.DurableEnd(), r.shadow.end()))
	}
	for len(r.fresh) > 0 && (r.fresh[0].next <= r.log.DurableEnd() || r.fresh[0].base >= r.log.End()) {
		r.fresh = r.fresh[1:]
	}
}

// act lets the cores hear of the log, and does what they want. It reports whether there was anything.
func (r *replica) act() bool {
	if r.log == nil {
		return false
	}
	did := r.dirty
	r.dirty = false
	r.account()
	switch {
	case r.leader != nil:
		if did && r.failed == nil {
			r.leader.OwnMoved(r.n.w.bugs.own(r.own()), r.n.now())
		}
		did = r.lead() || did
	case r.follower != nil:
		switch {
		case r.undone && r.failed == nil:
			r.follower.AppendFailed(r.own(), r.n.now())
		case did && r.failed == nil:
			r.follower.OwnMoved(r.own(), r.n.now())
		}
		r.undone = false
		did = r.follow() || did
	}
	if r.seat != nil {
		did = r.seat.work() || did
	}
	return did
}

func (r *replica) tick() {
	switch {
	case r.leader != nil:
		r.leader.SessionChanged(r.n.session)
		r.leader.Tick(r.n.now())
	case r.follower != nil:
		r.follower.Tick(r.n.now())
	}
}

// take gives the replica the role that the metadata has for it.
func (r *replica) take(p *image.Partition) {
	if r.failed != nil && p.Leader != r.n.broker() {
		r.stopRoles()
		return
	}
	state := replication.State{Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR}
	if p.Leader != r.n.broker() {
		r.beFollower(state)
		return
	}
	if r.leader != nil && r.leader.Epoch() == p.LeaderEpoch {
		r.leader.PartitionChanged(state, r.n.now())
		r.leader.Configure(r.config(), r.n.now())
		return
	}
	if p.LeaderEpoch <= r.epoch {
		return
	}
	if r.cutting {
		r.n.after(tickEvery/10, func() { r.n.adopt(r.n.image) })
		return
	}
	r.beLeader(state)
}

// config is how the partition is replicated.
func (r *replica) config() replication.Config {
	c := r.n.w.replication
	if t := r.n.image.TopicByID(r.id); t != nil {
		c.MinISR = t.Partitions[r.num].EffectiveMinISR(int32(c.MinISR))
	}
	return c
}

// stopRoles ends the role: who waits is told to look elsewhere (D5).
func (r *replica) stopRoles() {
	if r.leader != nil {
		r.known = r.leader.HighWatermark()
		r.leader = nil
	}
	if r.follower != nil {
		r.known = r.follower.Watermark()
		r.follower = nil
	}
	r.failWaits(notLeader)
}

// history is a log as the cores ask it about epochs.
type history struct{ log *wal.Log }

// EpochEnd implements replication.History.
func (h history) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	return h.log.EpochEnd(e)
}

// LastEpoch implements replication.History.
func (h history) LastEpoch() model.LeaderEpoch {
	if h.log.End() == h.log.Start() {
		return model.NoEpoch
	}
	return h.log.EpochAt(h.log.End() - 1)
}
