package sim

import (
	"errors"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// asker asks who leads a partition, as a coordinator mostly, one thing at a time, over a connection: what it asks on one is decided in that order, and nothing that it
// has given up on comes later than what it asks next.
type asker struct {
	client
	conn   *conn
	todo   func()            // what is to be sent when it is known where to
	number int64             // of the request that is not answered; 0: none
	answer func(*groupReply) // its
	life   int               // what an earlier one is told is not heard
}

// ask sends what make returns when the coordinator is known. done runs once in this life: with when it was sent, and nil if no answer came.
func (a *asker) ask(make func() any, patience time.Duration, done func(sent time.Duration, r *groupReply)) {
	life := a.life
	a.todo = func() {
		if life != a.life {
			return
		}
		a.w.made++
		number, sent := a.w.made, a.w.now
		a.number, a.answer = number, func(r *groupReply) {
			a.number = 0
			done(sent, r)
		}
		a.conn.send(a.id, groupRequest{number, make()})
		a.w.after(patience, func() {
			if a.number == number {
				a.hangUp()
			}
		})
	}
	if a.conn != nil {
		a.do()
		return
	}
	a.refresh(a.connect)
}

// do sends what is to be sent, once.
func (a *asker) do() {
	todo := a.todo
	a.todo = nil
	todo()
}

// connect opens a connection to the coordinator, and sends what is to be sent.
func (a *asker) connect() {
	if a.todo == nil { // somebody was faster, in the same life or the one before
		return
	}
	to := a.leader
	var c *conn
	c = a.w.net.dial(a.id, to, func(end nodeID, msg any) {
		if end == a.id {
			if r := msg.(groupReply); r.number == a.number && c == a.conn {
				a.answered(&r)
			}
			return
		}
		if e := a.w.endpoint(to); e != nil {
			e.serve(a.id, msg, func(answer any) { c.send(to, answer) })
		} else {
			c.breakOff()
		}
	}, func(end nodeID) {
		if end == a.id && c == a.conn {
			a.hangUp()
		}
	})
	a.conn = c
	a.do()
}

// answered takes an answer. Who is sent away looks for the coordinator anew.
func (a *asker) answered(r *groupReply) {
	if errors.Is(r.err, shard.ErrNotCoordinator) || errors.Is(r.err, shard.ErrLoading) {
		a.hangUp()
		return
	}
	a.answer(r)
}

// hangUp ends the connection. Whoever waits gets no answer.
func (a *asker) hangUp() {
	if c := a.conn; c != nil {
		a.conn = nil
		c.breakOff()
	}
	if a.number != 0 {
		a.answer(nil)
	}
}

// saver commits offsets for a group without members, and fetches them back (G1).
type saver struct {
	asker
	key        offsetKey
	stopped    bool
	savedAt    time.Duration // the last time, with success
	answeredAt time.Duration // that a fetch was answered
}

func (s *saver) turn() {
	if s.stopped {
		return
	}
	then := func() { s.w.after(s.w.between(10*time.Millisecond, 150*time.Millisecond), s.turn) }
	if s.w.one(2) {
		s.ask(func() any { return s.w.commit(s.key, "", -1) }, 2*time.Second, func(_ time.Duration, r *groupReply) {
			if r != nil {
				if o := r.body.(group.CommitReply); o.Err == nil && o.Offsets[0] == nil {
					s.savedAt = s.w.now
				}
			}
			then()
		})
		return
	}
	s.fetch(fetchOf(s.key), func(o *group.FetchReply) {
		if o != nil && o.Err == nil {
			s.answeredAt = s.w.now
		}
		then()
	})
}

// fetch asks for an offset, and looks whether it is one that may be. done is told nil if there was no answer.
func (a *asker) fetch(q group.FetchRequest, done func(o *group.FetchReply)) {
	k := offsetKey{q.Group, q.Partitions[0].Partition}
	of := a.w.groups.account(k)
	floor, held := of.floor, (*piece)(nil)
	a.ask(func() any {
		if floor = of.floor; q.Stable {
			floor, held = max(floor, of.stable), of.pending
		}
		return q
	}, time.Second, func(_ time.Duration, r *groupReply) {
		if r == nil {
			done(nil)
			return
		}
		o := r.body.(group.FetchReply)
		if o.Err == nil && o.Offsets[0].Err == nil {
			if held != nil && held.fate == undecided {
				a.w.fail("T3", "%v is told that offset %d of %s is stable; a %v is open, which has %d", a.id, o.Offsets[0].Offset, k.group, held.deal, held.offset)
			}
			a.w.fetched(a.id, k, floor, o.Offsets[0].Offset)
		}
		done(&o)
	})
}
