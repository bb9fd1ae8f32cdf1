package txn

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/coordinator/shard"
)

// held is a request that has met a transaction which is being ended.
type held struct {
	until  time.Time
	again  func(now time.Time, wait time.Duration) shard.Result
	refuse func(error)
}

// hold keeps a request until the ID's transaction is complete, and no longer than it may wait. What was decided so far stays.
func (d *decision) hold(id string, wait time.Duration, again func(now time.Time, wait time.Duration) shard.Result, refuse func(error)) shard.Result {
	h := held{until: d.now.Add(wait), again: again, refuse: refuse}
	d.m.held[id] = append(d.m.held[id], h)
	d.watch(id)
	return d.done()
}

// watch sets the timer for the requests that are held about an ID, or takes it away.
func (d *decision) watch(id string) {
	var first time.Time
	for _, h := range d.m.held[id] {
		if first.IsZero() || h.until.Before(first) {
			first = h.until
		}
	}
	d.timer(shard.TimerKey{Kind: HoldTimer, Group: id}, first)
}

// release has all that is held about an ID decided next: its transaction is complete.
func (d *decision) release(id string) {
	if all := d.m.held[id]; all != nil {
		delete(d.m.held, id)
		d.next(all)
		d.watch(id)
	}
}

func (d *decision) next(all []held) {
	for _, h := range all {
		d.out.Next = append(d.out.Next, shard.Decision{
			Decide: func(now time.Time) shard.Result { return h.again(now, h.until.Sub(now)) }, Refuse: h.refuse,
		})
	}
}

// lapse has those decided that have been held for long enough.
func (m *Machine) lapse(now time.Time, id string) shard.Result {
	d := m.decide(now)
	var late []held
	left := slices.DeleteFunc(m.held[id], func(h held) bool {
		over := !now.Before(h.until)
		if over {
			late = append(late, h)
		}
		return over
	})
	if m.held[id] = left; len(left) == 0 {
		delete(m.held, id)
	} else {
		d.watch(id)
	}
	d.next(late)
	return d.done()
}

// End answers who is held.
func (m *Machine) End() {
	for _, id := range slices.Sorted(maps.Keys(m.held)) {
		for _, h := range m.held[id] {
			h.refuse(ErrNotCoordinator)
		}
	}
	clear(m.held)
}
