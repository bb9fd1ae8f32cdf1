package sim

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// hangs names a transaction that is still open; empty: none is.
func (t *trades) hangs(w *world) string {
	for _, id := range sortedKeys(t.states) {
		if v := t.states[id]; v.Status == schema.TxnOngoing || ending(v.Status) != undecided {
			return fmt.Sprintf("%s is %v", id, v.Status)
		}
	}
	for _, l := range w.order {
		if l.gone() {
			continue
		}
		for _, id := range sortedKeys(l.transactions.open) {
			return fmt.Sprintf("%s has %v", l.name, l.transactions.open[id])
		}
	}
	return ""
}

// stuck names a transaction that is being ended and does not come to its end, though all is well for long; empty: none.
func (t *trades) stuck(w *world) string {
	for _, id := range sortedKeys(t.states) {
		if v := t.states[id]; ending(v.Status) != undecided && w.now-t.changed[id] > patience/2 {
			return fmt.Sprintf("%s is %v since %v", id, v.Status, t.changed[id])
		}
	}
	return ""
}

// conclude ends all clients, some of them within transactions, which end at their timeouts (T4): then all that was promised must be so, and
// nothing else (T3).
func (t *trades) conclude(w *world) {
	if !w.transacted {
		return
	}
	for _, l := range t.tills {
		l.stop()
	}
	looked := 0
	ended := func() bool { looked++; return looked%16 == 0 && t.hangs(w) == "" }
	if !w.until(2*mostTxnTime+hangTime, ended) {
		if w.failed == nil {
			w.fail("T4", "%v after its client has ended, %s", 2*mostTxnTime+hangTime, t.hangs(w))
		}
		return
	}
	for _, d := range t.deals {
		for _, p := range d.pieces {
			if p.gone() {
				continue
			}
			if p.acked && p.fate != visible && d.told == visible {
				w.fail("T3", "of a %v the batch %08x of partition %d (offset %d of the group) was acknowledged, and is %v", d, crcOf(p), p.num, p.offset, p.fate)
			}
			if p.fate != d.fate && p.there {
				w.fail("T3", "a %v is %v; the batch %08x of partition %d is %v", d, d.fate, crcOf(p), p.num, p.fate)
			}
		}
	}
}

func crcOf(p *piece) uint32 {
	if p.bytes == nil {
		return 0
	}
	return p.bytes.CRC()
}

// missing says which healed client has not come to the end of a transaction; empty if all have.
func (t *trades) missing(w *world, since time.Duration) string {
	if !w.transacted {
		return ""
	}
	for _, l := range t.tills {
		if l.doneAt < since && !l.closed {
			return fmt.Sprintf("%s has last ended a transaction at %v", l.id, l.doneAt)
		}
	}
	for _, c := range w.consumers {
		if c.committed && c.servedAt < since {
			return fmt.Sprintf("%v has last read committed records at %v", c.id, c.servedAt)
		}
	}
	return ""
}

// compareTransactions looks whether two coordinators of transactions know the same.
func (w *world) compareTransactions(r *replica, serves, loaded *txn.Machine) {
	describe := func(m *txn.Machine, id string) (out txn.Description) {
		decided(m.Describe(r.n.now(), id, func(d txn.Description) { out = d }))
		return out
	}
	for _, l := range w.trades.tills {
		if has, loads := fmt.Sprint(describe(serves, l.id)), fmt.Sprint(describe(loaded, l.id)); has != loads {
			w.fail("G3", "%v has %s of %s, and would load %s", r, has, l.id, loads)
		}
	}
}

// decided answers what was decided, when all is settled.
func decided(r shard.Result) { r.Reply(nil) }

// compareDeposits looks whether a coordinator of groups has the offset of the last transaction that was committed, and of none that was not (T3).
func (w *world) compareDeposits(r *replica, m *group.Machine) {
	var keys []offsetKey
	want := make(map[offsetKey]model.Offset)
	for _, d := range w.trades.deals {
		p := d.deposit()
		if p == nil {
			continue
		}
		if _, ok := want[p.key]; !ok {
			keys, want[p.key] = append(keys, p.key), model.NoOffset
		}
		if p.fate == visible {
			want[p.key] = max(want[p.key], p.offset)
		}
	}
	for _, k := range keys {
		if w.coordinatorOf(r.topic, k.group) != r.num {
			continue
		}
		o := m.Fetch(fetchOf(k))
		if got := o.Offsets; o.Err != nil || !slices.ContainsFunc(got, func(f group.FetchedOffset) bool { return f.Offset == want[k] }) {
			w.fail("T3", "%v has the offset %d of partition %d of %s; the newest that a transaction has committed is %d", r, got[0].Offset, k.partition, k.group, want[k])
		}
	}
}
