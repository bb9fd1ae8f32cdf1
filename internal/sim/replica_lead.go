package sim

import (
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// messageBytes is the most that goes into one message, but for a single batch that is larger.
const messageBytes = 8 << 10

// beLeader begins a leader epoch.
func (r *replica) beLeader(s replication.State) {
	n := r.n
	r.stopRoles()
	r.epoch = s.LeaderEpoch
	if len(r.book.writers) > 0 {
		n.w.stats[elections]++
	}
	n.w.note(n.id, "leads epoch %d from %d, watermark %d, ISR of %d", int64(s.LeaderEpoch), int64(r.log.End()), int64(r.known), int64(len(s.ISR)))
	if err := r.log.BeginEpoch(s.LeaderEpoch); err != nil {
		n.w.fail("R1", "%v: %v", r, err)
		return
	}
	r.leader = replication.NewLeader(replication.LeaderOptions{
		Broker: n.broker(), BrokerEpoch: n.epoch, State: s, Own: n.w.bugs.own(r.own()), Watermark: r.known, History: n.w.bugs.history(history{r.log}),
		Config: r.config(), Live: liveIn(n.image), Now: n.now(),
	})
	r.leader.SessionChanged(n.session)
	if r.failed != nil {
		r.leader.OwnFailed(n.now())
	}
	r.dirty = true
}

// liveIn answers for brokers as an image knows them.
func liveIn(im *image.Image) func(model.BrokerID) (model.BrokerEpoch, bool) {
	return func(id model.BrokerID) (model.BrokerEpoch, bool) {
		node := im.Node(id)
		if node == nil {
			return model.NoBrokerEpoch, false
		}
		return model.BrokerEpoch(node.Epoch), node.Active()
	}
}

// lead does what the leader wants.
func (r *replica) lead() bool {
	l, n := r.leader, r.n
	e := l.Take()
	did := e.Moved || e.Proposal != nil || e.Resign != 0
	if e.Proposal != nil {
		n.propose(r, *e.Proposal)
		n.w.bugs.proposed(r, e.Proposal)
	}
	if e.Resign != 0 {
		n.w.note(n.id, "resigns from epoch %d, reason %d", int64(l.Epoch()), int64(e.Resign))
		n.resign(r, l.Epoch())
	}
	r.book.passed(n.id, r.shadow, l.HighWatermark(), l.Epoch())
	if e.Moved {
		r.book.covered()
		r.answerWaits()
	}
	for _, f := range n.image.Nodes() { // by ID
		if f.ID != n.broker() {
			did = r.stream(f.ID) || did
		}
	}
	return did
}

// stream sends a follower what it has not been sent.
func (r *replica) stream(to model.BrokerID) bool {
	c := r.n.callers[nodeID(to)]
	if c == nil {
		return false
	}
	did := false
	if m, ok := r.leader.Overtaken(to); ok {
		r.send(c, m)
		return true
	}
	for {
		from, credit, ok := r.leader.Next(to)
		if !ok {
			break
		}
		bytes, end := r.gather(from, min(credit, messageBytes))
		if end <= from {
			break
		}
		m, ok := r.leader.Send(to, from, end, bytes)
		if !ok {
			break
		}
		did = true
		r.send(c, m)
	}
	if m, ok := r.leader.Watermark(to); ok {
		did = true
		r.send(c, m)
	}
	return did
}

// gather returns batches from an offset on: what is durable out of the log, the rest out of memory.
func (r *replica) gather(from model.Offset, most int) (bytes []byte, end model.Offset) {
	if durable := r.log.DurableEnd(); from < durable {
		bytes, next, err := r.read(from, durable, most)
		if err != nil {
			r.damaged(err)
			return nil, from
		}
		return bytes, next
	}
	end = from
	for _, b := range r.fresh {
		if b.base != end || end >= r.log.End() {
			continue
		}
		if len(bytes) > 0 && len(bytes)+len(b.bytes) > most {
			break
		}
		bytes, end = append(bytes, b.bytes...), b.next
	}
	return bytes, end
}

// retain deletes what is too much (retention.bytes).
func (r *replica) retain() {
	if r.leader == nil || r.failed != nil {
		return
	}
	if n, _ := r.log.EnforceRetention(r.leader.HighWatermark()); n > 0 {
		r.n.w.note(r.n.id, "retention moves the start to %d", int64(r.log.Start()))
		r.n.w.stats[deletions]++
	}
	r.account()
	r.dirty = true
}

// deleteRecords moves the start of a partition somewhere below its leader's watermark, between two batches.
func (w *world) deleteRecords() {
	n := w.draw()
	for _, r := range n.replicas {
		if !r.coordinates() && r.topic != booksTopic {
			r.deleteSome(0)
		}
	}
}

// deleteSome does so for one partition, if the replica leads it, and deletes at least what lies at an offset.
func (r *replica) deleteSome(at model.Offset) bool {
	n, w := r.n, r.n.w
	if !n.up || n.paused || r.leader == nil || r.failed != nil {
		return false
	}
	hw := r.leader.HighWatermark()
	i, end := r.shadow.at(max(r.shadow.start, at)), r.shadow.at(hw)
	if i >= end {
		return false
	}
	to := r.shadow.batches[i+w.rng.IntN(end-i)].last + 1
	if to > hw {
		return false
	}
	w.note(n.id, "deletes the records below %d", int64(to))
	w.stats[deletions]++
	r.book.beheads(to)
	r.deleteSoon(to)
	return true
}

// fromFollower takes a message on a stream.
func (n *node) fromFollower(from nodeID, s streamed) {
	r := n.find(s.id, s.num)
	if sub, ok := s.msg.(replication.Subscribe); ok && (r == nil || r.leader == nil) {
		answer := replication.Refused{
			Reply:  replication.Reply{Subscription: sub.Subscription, LeaderEpoch: sub.LeaderEpoch, BrokerEpoch: sub.BrokerEpoch},
			Reason: replication.NotLeading, Current: model.NoEpoch,
		}
		if c := n.callers[from]; c != nil {
			c.send(n.id, streamed{s.id, s.num, answer})
		}
		return
	}
	if r == nil || r.leader == nil {
		return
	}
	switch m := s.msg.(type) {
	case replication.Subscribe:
		r.askedBy[from] = asked{n.callers[from], m.Subscription}
		if a, c := r.leader.Subscribe(m, n.now()), n.callers[from]; a != nil && c != nil {
			r.send(c, a)
		}
	case replication.Ack:
		r.leader.Ack(model.BrokerID(from), n.w.bugs.ackAt(r, from, m), n.now())
	case replication.Credit:
		r.leader.Grant(model.BrokerID(from), m)
	}
}
