package sim

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/txn"
)

// sell writes what the transaction has for a partition, and what of it is not acknowledged again.
func (t *trader) sell(num int32) {
	var sent []*piece
	q := sellRequest{till: t.till.id, version: t.till.version, num: shelf(num).Partition}
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
			if t.deal.badge != nil {
				t.w.stats[refusedMembers]++
			}
			t.deal.loose = true
			t.abort()
		}
	})
}
