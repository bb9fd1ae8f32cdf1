package blackout

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/internal/verify/history"
)

// leaderOnly judges what was acknowledged with acks=1. Nothing is promised if another node leads afterwards. As long as the same one does:
//
//   - D2: the record stays where it was acknowledged, also if the leader loses its power and leads again in the next epoch: it was synced;
//   - T1, as far as it goes without idempotence: within one epoch it stands there once. There is nothing that could make the client try again.
//
// The judge of histories goes by epochs, too. This one is written anew from what clients heard, so that neither is believed alone.
type leaderOnly struct {
	zombies time.Duration // see plan.zombies

	alone  map[int32]bool // producers with acks=1
	writes map[history.Value]*aloneWrite
	led    map[int32][]leadership // by partition, as they were heard of
	read   map[history.Value][]int64
	ended  map[int32]bool // partitions that were read to their end
}

// leadership is an epoch of a partition.
type leadership struct {
	epoch int64
	node  int32 // -1: none
	heard time.Duration
}

type aloneWrite struct {
	partition int32
	sent      time.Duration
	acked     bool
	offset    int64
}

func newLeaderOnly(zombies time.Duration) *leaderOnly {
	return &leaderOnly{
		zombies: zombies, alone: map[int32]bool{}, writes: map[history.Value]*aloneWrite{}, led: map[int32][]leadership{},
		read: map[history.Value][]int64{}, ended: map[int32]bool{},
	}
}

// readLeaderOnly takes a history of JSON lines.
func readLeaderOnly(r io.Reader, zombies time.Duration) (*leaderOnly, error) {
	l := newLeaderOnly(zombies)
	return l, history.Read(r, l.add)
}

func (l *leaderOnly) add(e *history.Event) error {
	switch e.Kind {
	case history.Producing:
		l.alone[e.Client] = e.Producer.Acks == 1
	case history.Invoked:
		if l.alone[e.Value.Producer] {
			l.writes[e.Value] = &aloneWrite{partition: e.Partition, sent: e.Time}
		}
	case history.Acked:
		if w := l.writes[e.Value]; w != nil {
			w.acked, w.offset = true, e.Offset
		}
	case history.Led:
		if now := l.led[e.Partition]; len(now) == 0 || now[len(now)-1].epoch < e.Offset {
			l.led[e.Partition] = append(now, leadership{e.Offset, e.Client, e.Time})
		}
	case history.FinalRead:
		for _, run := range e.Runs {
			for i, v := range run.Values {
				l.read[v] = append(l.read[v], run.Offset+int64(i))
			}
		}
	case history.FinalBounds:
		l.ended[e.Partition] = true
	}
	return nil
}

// wrongs is what must not be; empty if all is well.
func (l *leaderOnly) wrongs() string {
	var b strings.Builder
	for _, v := range slices.SortedFunc(maps.Keys(l.writes), func(a, b history.Value) int { return cmp.Compare(a.Seq, b.Seq) }) {
		w := l.writes[v]
		node, epoch := l.bound(w)
		at := l.read[v]
		if node && !slices.Contains(at, w.offset) {
			fmt.Fprintf(&b, "D2: record %v, sent at %v, was acknowledged with acks=1 at offset %d of partition %d, whose leader still leads; it is not there, but at %v\n",
				v, w.sent, w.offset, w.partition, at)
		}
		if epoch && len(at) > 1 {
			fmt.Fprintf(&b, "T1: record %v, sent at %v with acks=1 to partition %d, is at %v, all in one epoch\n", v, w.sent, w.partition, at)
		}
	}
	return b.String()
}

// counts returns how many records were acknowledged, and of how many of them the leader still leads.
func (l *leaderOnly) counts() (acked, bound int) {
	for _, w := range l.writes {
		if w.acked {
			acked++
		}
		if node, _ := l.bound(w); node {
			bound++
		}
	}
	return acked, bound
}

// bound tells whether an acknowledged write has to be there at the end: the node that it was sent to still leads (node), in the same epoch (epoch).
func (l *leaderOnly) bound(w *aloneWrite) (node, epoch bool) {
	if !w.acked || !l.ended[w.partition] {
		return false, false
	}
	return l.lasts(w)
}

// lasts tells whether the node that leads when a write is sent leads to the end (node), even in the same epoch (epoch). It says no if it does not know.
func (l *leaderOnly) lasts(w *aloneWrite) (node, epoch bool) {
	led := l.led[w.partition]
	now := -1 // the epoch that was heard of last; that a later one is under way does no harm, as it is looked at too
	for now+1 < len(led) && led[now+1].heard <= w.sent {
		now++
	}
	if now < 0 {
		return false, false
	}
	since := now
	for since > 0 && led[since-1].leadsOn(led[since]) {
		since--
	}
	if since > 0 && w.sent < led[since].heard+l.zombies {
		return false, false
	}
	for i := now; i < len(led)-1; i++ {
		if !led[i].leadsOn(led[i+1]) {
			return false, false
		}
	}
	return true, now == len(led)-1
}

// leadsOn tells whether nobody else led in between.
func (l leadership) leadsOn(next leadership) bool {
	return next.node == l.node && next.epoch == l.epoch+1
}
