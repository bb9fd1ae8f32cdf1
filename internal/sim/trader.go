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
	desk     asker          // of the transactions' coordinator
	clerk    asker          // of the group's
	member   *member        // nil: the process is none, and reads nothing
	shelves  [shelves]asker // of those who lead the partitions
	producer txn.Producer
	next     [shelves]int32 // sequences
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
		t.producer, t.next = p, [shelves]int32{}
	}
}

// rest lets some time pass, or something happen to the process.
func (t *trader) rest(f func()) {
	switch w := t.w; {
	case w.calm && t.superfluous():
		t.end()
		return
	case w.calm:
		t.later(0, 150*time.Millisecond, f)
		return
	case w.one(40):
		t.die()
		return
	case t.till.last(t) && (w.one(50) || t.till.instance != nil && w.one(30)):
		w.note(t.id, "is taken for dead, and goes on")
		if t.till.replace() {
			t.member.silent = w.now + groupSession
			t.later(0, t.till.timeout/2, f)
			return
		}
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
	switch {
	case t.member != nil:
		t.read()
	case t.w.one(6):
		t.look()
	default:
		t.deal = t.begin()
		t.carryOut()
	}
}

// carryOut does all that the transaction is to do.
func (t *trader) carryOut() {
	t.plan = nil
	if t.till.version < txn.V2 {
		t.plan = append(t.plan, t.join)
	}
	for num := range int32(shelves) {
		if slices.ContainsFunc(t.deal.pieces, func(p *piece) bool { return p.of(num) }) {
			t.plan = append(t.plan, func() { t.sell(num) })
		}
	}
	if t.deal.deposit() != nil {
		t.plan = append(t.plan, t.dawdle, t.commitOffset, t.dawdle)
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
		tp := shelf(p.num)
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

// abort gives the transaction up.
func (t *trader) abort() {
	t.plan = []func(){func() { t.finish(hidden) }}
	t.proceed()
}

// finish ends the transaction, however often it must ask for that.
func (t *trader) finish(how fate) {
	d := t.deal
	d.asked = how
	t.noteMoved()
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
	q := fetchOf(t.till.key)
	q.Stable = t.w.one(2)
	t.fetch(q, func(*group.FetchReply) { t.rest(t.start) })
}

// fetch asks for an offset of the group's.
func (t *trader) fetch(q group.FetchRequest, then func(o *group.FetchReply)) {
	t.clerk.fetch(q, func(o *group.FetchReply) {
		if !t.over {
			then(o)
		}
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
	for _, a := range []*asker{&t.desk, &t.clerk, &t.shelves[0], &t.shelves[1], &t.shelves[2]} {
		a.life++
		a.hangUp()
	}
	if t.member != nil {
		t.member.quit()
	}
}
