package sim

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// trader is a process that makes one transaction after the other, and does what a client does with what it is told.
type trader struct {
	w        *world
	id       nodeID
	till     *till
	desk     asker                  // of the transactions' coordinator
	clerk    asker                  // of the group's
	shelves  [booksPartitions]asker // of those who lead the partitions
	producer txn.Producer
	next     [booksPartitions]int32 // sequences
	deal     *deal
	plan     []func()      // what is to be done until the transaction ends
	wait     time.Duration // of requests, for a transaction that is being ended
	over     bool
}

// say asks somebody for something, and goes on with the answer, nil: there was none.
func (t *trader) say(a *asker, body func() any, patience time.Duration, then func(r *groupReply)) {
	if t.over {
		return
	}
	a.ask(body, patience, func(_ time.Duration, r *groupReply) {
		if !t.over {
			then(r)
		}
	})
}

// later goes on after a while.
func (t *trader) later(lo, hi time.Duration, f func()) {
	t.w.after(t.w.between(lo, hi), func() {
		if !t.over {
			f()
		}
	})
}

func (t *trader) again(f func()) { t.later(10*time.Millisecond, 100*time.Millisecond, f) }

// open gets the producer. expected is what it has, nil: nothing.
func (t *trader) open(expected *txn.Producer) {
	q := txn.InitRequest{TransactionalID: t.till.id, TimeoutMs: int32(t.till.timeout.Milliseconds()), Expected: expected, Wait: t.wait}
	t.say(&t.desk, func() any { return q }, 2*time.Second, func(r *groupReply) {
		again := func() { t.again(func() { t.open(expected) }) }
		if r == nil {
			again()
			return
		}
		switch o, _ := r.body.(txn.InitReply); {
		case r.err != nil || errors.Is(o.Err, txn.ErrConcurrentTransactions):
			again()
		case o.Err != nil:
			t.fenced()
		default:
			t.renew(o.Producer)
			t.rest(t.start)
		}
	})
}

// renew takes another epoch.
func (t *trader) renew(p txn.Producer) {
	if p != t.producer {
		t.producer, t.next = p, [booksPartitions]int32{}
	}
}

// rest lets some time pass, or something happen to the process.
func (t *trader) rest(f func()) {
	switch w := t.w; {
	case w.calm:
		t.later(0, 150*time.Millisecond, f)
		return
	case w.one(40):
		t.die()
		return
	case w.one(50) && t.till.last(t):
		w.note(t.id, "is taken for dead, and goes on")
		t.till.hire()
	case w.one(50):
		t.later(t.till.timeout/2, t.till.timeout*3/2, f)
		return
	}
	t.later(0, 60*time.Millisecond, f)
}

// die ends the process, within a transaction perhaps.
func (t *trader) die() {
	t.w.note(t.id, "ends")
	t.end()
	t.till.gone(t)
}

// start plans the next transaction.
func (t *trader) start() {
	if t.w.one(6) {
		t.look()
		return
	}
	t.deal = t.begin()
	t.plan = nil
	if t.till.version < txn.V2 {
		t.plan = append(t.plan, t.join)
	}
	for num := range int32(booksPartitions) {
		if slices.ContainsFunc(t.deal.pieces, func(p *piece) bool { return p.of(num) }) {
			t.plan = append(t.plan, func() { t.sell(num) })
		}
	}
	if t.deal.deposit() != nil {
		t.plan = append(t.plan, t.commitOffset)
	}
	end := visible
	if t.w.one(4) {
		end = hidden
	}
	t.plan = append(t.plan, func() { t.finish(end) })
	t.proceed()
}

// of tells whether it is a batch for a partition.
func (p *piece) of(num int32) bool { return p.offset == 0 && p.num == num }

// proceed does what is planned next.
func (t *trader) proceed() {
	f := t.plan[0]
	t.plan = t.plan[1:]
	t.rest(f)
}

// join tells the coordinator what the transaction is about to write to, under the first version of the protocol.
func (t *trader) join() {
	q := joinRequest{add: true, AddRequest: txn.AddRequest{TransactionalID: t.till.id, Producer: t.producer, Version: t.till.version, Wait: t.wait}}
	for _, p := range t.deal.pieces {
		tp := model.TopicPartition{Topic: booksTopic, Partition: p.num}
		if p.offset != 0 {
			tp = model.TopicPartition{Topic: schema.Groups.Name, Partition: t.clerk.num}
		}
		if !slices.Contains(q.Partitions, tp) {
			q.Partitions = append(q.Partitions, tp)
		}
	}
	t.say(&t.desk, func() any { return q }, 2*time.Second, func(r *groupReply) {
		if r == nil || r.err != nil {
			t.again(t.join)
			return
		}
		switch o := r.body.(txn.VerifyReply); {
		case o.Err == nil:
			t.proceed()
		case errors.Is(o.Err, txn.ErrConcurrentTransactions):
			t.again(t.join)
		default:
			t.fenced()
		}
	})
}

// sell writes what the transaction has for a partition, and what of it is not acknowledged again.
func (t *trader) sell(num int32) {
	var sent []*piece
	q := sellRequest{till: t.till.id, version: t.till.version, num: num}
	for _, p := range t.deal.pieces {
		if p.of(num) && !p.acked {
			sent, q.batches = append(sent, p), append(q.batches, p.bytes)
		}
	}
	a := &t.shelves[num]
	var to nodeID
	late := !t.w.calm && t.w.net.echo > 0 && t.w.one(8)
	t.say(a, func() any {
		q.id, to = a.known, a.leader
		switch {
		case late:
			return stuck{}
		case !t.w.calm && t.w.one(10):
			t.later(0, 5*time.Millisecond, t.die)
		}
		return q.clone()
	}, t.w.between(300*time.Millisecond, 2*time.Second), func(r *groupReply) {
		if r == nil || r.err != nil {
			if late || t.w.net.echo > 0 && t.w.one(2) {
				t.echo(to, &q)
			}
			t.retry(a, func() { t.sell(num) })
			return
		}
		worst := okay
		for i, c := range r.body.([]code) {
			if c == okay {
				sent[i].acked = true
			}
			if worst == okay || c == fencedEpoch {
				worst = c
			}
		}
		switch worst {
		case okay:
			t.proceed()
		case fencedEpoch:
			t.fenced()
		case abortable, outOfSequence:
			t.deal.loose = true
			t.abort()
		default:
			t.retry(a, func() { t.sell(num) })
		}
	})
}

// clone is the request with bytes that are the receiver's.
func (q sellRequest) clone() sellRequest {
	batches := q.batches
	q.batches = nil
	for _, b := range batches {
		q.batches = append(q.batches, slices.Clone(b))
	}
	return q
}

// stuck is a request that comes when its client has given it up: it was received before the connection broke.
type stuck struct{}

// echo has a request come late: mostly when the client is about to give up the transaction, or much later.
func (t *trader) echo(to nodeID, q *sellRequest) {
	w, late := t.w, 40*time.Millisecond
	if w.one(3) {
		late = 2 * time.Second
	}
	sent := q.clone()
	w.after(w.between(0, late), func() {
		if e := w.endpoint(to); e != nil {
			e.serve(t.id, groupRequest{body: sent}, func(any) {})
		}
	})
}

// retry asks again, at whoever leads now, or gives the transaction up.
func (t *trader) retry(a *asker, f func()) {
	a.hangUp()
	if t.w.one(2) {
		t.deal.loose = true
		t.abort()
		return
	}
	t.again(f)
}

// commitOffset commits the group's offset in the transaction.
func (t *trader) commitOffset() {
	p := t.deal.deposit()
	t.say(&t.clerk, func() any {
		if !t.w.calm && t.w.one(10) {
			t.later(0, 5*time.Millisecond, t.die)
		}
		return t.commitOf(p)
	}, 2*time.Second, func(r *groupReply) {
		if r == nil || r.err != nil {
			t.retry(&t.clerk, t.commitOffset)
			return
		}
		o := r.body.(group.CommitReply)
		err := o.Err
		if err == nil {
			err = o.Offsets[0]
		}
		switch {
		case err == nil:
			p.acked = true
			t.proceed()
		case errors.Is(err, txn.ErrProducerFenced), errors.Is(err, txn.ErrInvalidProducerIDMapping):
			t.fenced()
		case errors.Is(err, txn.ErrConcurrentTransactions):
			t.retry(&t.clerk, t.commitOffset)
		default:
			t.deal.loose = true
			t.abort()
		}
	})
}

// abort gives the transaction up.
func (t *trader) abort() {
	t.plan = []func(){func() { t.finish(hidden) }}
	t.proceed()
}

// finish ends the transaction, however often it must ask for that.
func (t *trader) finish(how fate) {
	d := t.deal
	d.asked = how
	q := endRequest{txn.EndRequest{TransactionalID: t.till.id, Producer: t.producer, Version: t.till.version, Commit: how == visible, Wait: t.wait}, d}
	t.say(&t.desk, func() any { return q }, 2*time.Second, func(r *groupReply) {
		if r == nil || r.err != nil {
			t.again(func() { t.finish(how) })
			return
		}
		switch o := r.body.(txn.EndReply); {
		case errors.Is(o.Err, txn.ErrConcurrentTransactions):
			t.again(func() { t.finish(how) })
		case o.Err != nil:
			t.fenced()
		default:
			t.till.doneAt = t.w.now
			if t.till.version >= txn.V2 {
				t.renew(o.Producer)
			} else if d.loose { // what may come late must not be taken for the next transaction's (KIP-360)
				p := t.producer
				t.open(&p)
				return
			}
			t.rest(t.start)
		}
	})
}

// look reads the group's offset: one that a transaction has committed.
func (t *trader) look() {
	k, a := t.till.key, t.w.groups.account(t.till.key)
	q := fetchOf(k)
	q.Stable = t.w.one(2)
	floor := a.floor
	t.say(&t.clerk, func() any {
		if floor = a.floor; q.Stable {
			floor = max(floor, a.stable)
		}
		return q
	}, time.Second, func(r *groupReply) {
		if r != nil && r.err == nil {
			if o := r.body.(group.FetchReply); o.Err == nil && o.Offsets[0].Err == nil {
				t.w.fetched(t.id, k, floor, o.Offsets[0].Offset)
			}
		}
		t.rest(t.start)
	})
}

// fenced is what a process does that is told that another one has come, or that its transaction was ended.
func (t *trader) fenced() {
	t.w.stats[fencings]++
	t.w.note(t.id, "is fenced, its epoch was %d", int64(t.producer.Epoch))
	t.end()
	t.till.gone(t)
}

// end ends the process.
func (t *trader) end() {
	if t.over {
		return
	}
	t.over = true
	for _, a := range []*asker{&t.desk, &t.clerk, &t.shelves[0], &t.shelves[1]} {
		a.life++
		a.hangUp()
	}
}
