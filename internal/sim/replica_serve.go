package sim

import (
	"errors"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/wal"
	producers "chronik/internal/wal/producer"
)

// appendTimeout is how long a producer's acks=-1 waits.
const appendTimeout = 1500 * time.Millisecond

// wait is a producer that waits with acks=-1.
type wait struct {
	base, last model.Offset
	answer     func(code)
	done       bool
}

// serve implements endpoint.
func (n *node) serve(from nodeID, req any, reply func(any)) {
	n.guard(func() { n.handle(req, reply) })()
}

func (n *node) handle(req any, reply func(any)) {
	switch m := req.(type) {
	case whereRequest:
		reply(n.where(m))
	case produceRequest:
		n.produce(m, func(c code, base model.Offset) {
			if m.acks != 0 {
				reply(produceReply{m.number, c, base})
			}
		})
	case fetchRequest:
		reply(n.fetch(m))
	case latestRequest:
		reply(n.latest(m))
	case groupRequest:
		n.coordinate(m, reply)
	case marking:
		n.mark(m, reply)
	case readRequest:
		if n.voter != nil {
			n.voter.read(reply)
		}
	default:
		n.handleControl(req, reply)
	}
}

func (n *node) where(m whereRequest) whereAnswer {
	if n.image == nil {
		return whereAnswer{code: notAvailable}
	}
	t := n.image.Topic(m.topic)
	if t == nil {
		return whereAnswer{code: unknownTopic}
	}
	p := t.Partitions[m.num]
	a := whereAnswer{id: t.ID, epoch: p.LeaderEpoch}
	if p.Leader != model.NoBroker {
		a.leader = nodeID(p.Leader)
	}
	return a
}

// led finds the partition that the request is for, if this node leads it in the epoch that the client knows.
func (n *node) led(id model.TopicID, num int32, epoch model.LeaderEpoch) (*replica, code) {
	r := n.find(id, num)
	switch {
	case n.image == nil || n.image.TopicByID(id) == nil:
		return nil, unknownTopic
	case r == nil || r.leader == nil || r.leader.Epoch() != epoch:
		return nil, notLeader
	case r.failed != nil:
		return nil, storageError
	}
	return r, okay
}

func (n *node) produce(m produceRequest, answer func(code, model.Offset)) {
	r, c := n.led(m.id, 0, m.epoch)
	if c == okay {
		_, err := r.append(write{batch: m.batch, acks: m.acks}, answer)
		c = codeOf(err)
	}
	if c != okay {
		answer(c, model.NoOffset)
	}
}

// write is a batch that is to be appended.
type write struct {
	batch    record.Batch
	acks     int8
	origin   producers.Origin
	verified bool // see producers.Batch
	raised   bool // its producer's epoch grows with each transaction (KIP-890)
}

// append appends a batch in the epoch that the replica leads in. An error says that it was refused, and nobody is answered.
func (r *replica) append(x write, answer func(code, model.Offset)) (wal.Appended, error) {
	n, b, acks := r.n, x.batch, x.acks
	if err := r.leader.MayAppend(int16(acks)); err != nil {
		return wal.Appended{BaseOffset: model.NoOffset}, err
	}
	epoch := r.leader.Epoch()
	a := &appending{r: r, acks: acks, answer: answer}
	out, err := r.log.Append(wal.Append{Batch: b, Epoch: epoch, Waiter: a, Origin: x.origin, Verified: x.verified, TV2: x.raised})
	if err != nil {
		return out, err
	}
	a.at = out
	if !out.Duplicate {
		s := storedOf(b)
		r.shadow.append(s)
		r.fresh = append(r.fresh, fresh{s.base, s.last + 1, b})
		r.book.wrote(writer{n.id, n.birth}, s)
	}
	what := "appends %d to %d in epoch %d, acks %d"
	if out.Duplicate {
		what = "has %d to %d already, says epoch %d, acks %d"
	}
	n.w.note(n.id, what, int64(out.BaseOffset), int64(out.LastOffset), int64(epoch), int64(acks))
	r.dirty = true
	if acks == -1 && out.Duplicate && n.w.bugs.earlyDuplicate {
		answer(okay, out.BaseOffset)
		return out, nil
	}
	if acks == -1 {
		a.wait = &wait{base: out.BaseOffset, last: out.LastOffset, answer: func(c code) { answer(c, out.BaseOffset) }}
		r.waits = append(r.waits, a.wait)
		if x.origin == producers.Client { // coordinators have a patience of their own
			n.after(appendTimeout, func() { r.end(a.wait, timedOut) })
		}
		r.answerWaits()
	}
	a.returned = true
	a.finish()
	return out, nil
}

// appending is an append as the log's waiter.
type appending struct {
	r        *replica
	acks     int8
	at       wal.Appended
	wait     *wait
	answer   func(code, model.Offset)
	told     bool
	err      error
	returned bool // Append has
}

// Done implements wal.Waiter.
func (a *appending) Done(err error) {
	a.told, a.err = true, err
	a.r.dirty = true
	a.finish()
}

func (a *appending) finish() {
	if !a.told || !a.returned {
		return
	}
	r := a.r
	if a.err != nil {
		r.n.w.note(r.n.id, "append of %d failed", int64(a.at.BaseOffset))
	}
	switch {
	case a.acks == -1 && a.err != nil:
		r.end(a.wait, codeOf(a.err))
	case a.acks == 1 && a.err != nil:
		a.answer(codeOf(a.err), model.NoOffset)
	case a.acks == 1:
		r.account()
		if r.shadow.durable <= a.at.LastOffset {
			r.n.w.fail("D2", "%v answers acks=1 for %d, durable is %d", r, a.at.LastOffset, r.shadow.durable)
		}
		a.answer(okay, a.at.BaseOffset)
	}
}

// answerWaits answers those whose records are below the watermark.
func (r *replica) answerWaits() {
	r.n.sessionNow()
	r.leader.SessionChanged(r.n.session)
	for _, w := range append([]*wait(nil), r.waits...) {
		if w.done {
			continue
		}
		ok, err := r.leader.Acknowledge(w.last)
		switch {
		case err != nil:
			r.end(w, codeOf(err))
		case ok:
			if silent := r.n.w.now - r.n.heard; silent > sessionTimeout && r.n.alone == nil {
				r.n.w.fail("R6", "%v answers acks=-1, %v after it has heard from a controller", r, silent)
			}
			r.book.passed(r.n.id, r.shadow, r.leader.HighWatermark(), r.epoch)
			if r.book.end() <= w.last && !r.book.lossy {
				r.n.w.fail("D2", "%v answers acks=-1 for %d, committed is up to %d", r, w.last, r.book.end())
			}
			r.end(w, okay)
		}
	}
}

func (r *replica) end(w *wait, c code) {
	if w.done {
		return
	}
	w.done = true
	for i, o := range r.waits {
		if o == w {
			r.waits = append(r.waits[:i:i], r.waits[i+1:]...)
			break
		}
	}
	w.answer(c)
}

func (r *replica) failWaits(c code) {
	for _, w := range append([]*wait(nil), r.waits...) {
		r.end(w, c)
	}
}

func (n *node) fetch(m fetchRequest) fetchReply {
	if r := n.find(m.id, m.num); m.near && r != nil && r.follower != nil {
		return r.fetchNear(m)
	}
	r, c := n.led(m.id, m.num, m.epoch)
	if c != okay {
		return fetchReply{code: c}
	}
	return r.serve(m, fetchReply{hw: r.leader.HighWatermark(), start: r.log.Start(), settled: r.leader.Settled()})
}

// fetchNear reads from a follower, as far as it knows that records are committed (KIP-392). It may lie behind where the reader is.
func (r *replica) fetchNear(m fetchRequest) fetchReply {
	hw := r.follower.Watermark()
	switch _, epoch := r.follower.Leader(); {
	case r.failed != nil || r.cutting:
		return fetchReply{code: storageError}
	case epoch != m.epoch:
		return fetchReply{code: notLeader}
	case m.from > hw:
		return fetchReply{code: notAvailable}
	}
	r.n.w.stats[followerReads]++
	return r.serve(m, fetchReply{hw: hw, start: r.log.Start()})
}

// serve reads below the watermark.
func (r *replica) serve(m fetchRequest, out fetchReply) fetchReply {
	n, hw := r.n, out.hw
	if m.committed {
		out.stable = r.log.LastStable(hw)
		if hw = out.stable; n.w.bugs.openIsStable {
			hw = out.hw
			out.stable = hw
		}
	}
	switch {
	case m.from < r.log.Start() || m.from > r.log.End():
		out.code = outOfRange
	case m.from < hw:
		bytes, next, err := r.read(m.from, hw, 4<<10)
		if err != nil {
			r.damaged(err)
			return fetchReply{code: storageError}
		}
		for len(bytes) > 0 {
			b, rest, err := record.Next(bytes)
			if err != nil {
				n.w.fail("E2", "%v serves bytes that are no batches: %v", r, err)
				break
			}
			out.batches, bytes = append(out.batches, storedOf(b)), rest
		}
		out.aborted = r.log.AbortedIn(m.from, next)
	}
	if m.committed {
		r.book.servedCommitted(r, &out)
	}
	return out
}

func (n *node) latest(m latestRequest) fetchReply {
	r, c := n.led(m.id, m.num, m.epoch)
	switch {
	case c != okay:
		return fetchReply{code: c}
	case !r.leader.Settled():
		return fetchReply{code: notAvailable}
	}
	return fetchReply{hw: r.leader.HighWatermark(), start: r.log.Start(), settled: true}
}

// codeOf is what a client is told of an error.
func codeOf(err error) code {
	var few *replication.NotEnoughReplicasError
	var no refusal
	switch {
	case err == nil:
		return okay
	case errors.As(err, &no):
		return code(no)
	case errors.As(err, &few) && few.Appended:
		return notEnoughAfterAppend
	case errors.As(err, &few):
		return notEnoughReplicas
	case errors.Is(err, replication.ErrNotLeading), errors.Is(err, replication.ErrNoController), errors.Is(err, wal.ErrEpoch),
		errors.Is(err, wal.ErrTruncated):
		return notLeader
	case errors.Is(err, producers.ErrOutOfOrderSequence):
		return outOfSequence
	case errors.Is(err, producers.ErrInvalidProducerEpoch), errors.Is(err, txn.ErrProducerFenced), errors.Is(err, txn.ErrInvalidProducerIDMapping):
		return fencedEpoch
	case errors.Is(err, txn.ErrTransactionAbortable), errors.Is(err, producers.ErrInvalidTxnState):
		return abortable
	case errors.Is(err, txn.ErrConcurrentTransactions), errors.Is(err, shard.ErrNotCoordinator), errors.Is(err, shard.ErrLoading):
		return comeAgain
	case errors.Is(err, wal.ErrNoSpace):
		return diskFull
	}
	return storageError
}
