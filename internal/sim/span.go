package sim

import (
	"cmp"
	"fmt"
	"slices"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// kind is what a batch is to transactions.
type kind int8

const (
	plainBatch kind = iota
	inTxn           // a transaction's
	abortMark
	commitMark
)

// fate is what has become of a transaction, or of one of its batches.
type fate int8

const (
	undecided fate = iota
	visible
	hidden
)

func (f fate) String() string { return [...]string{"undecided", "committed", "aborted"}[f] }

// span is one transaction on one partition, as the committed part of its log says.
type span struct {
	producer model.ProducerID
	first    model.Offset
	marker   model.Offset // model.NoOffset: there is none
	fate     fate
	pieces   []*piece
	bases    []model.Offset // of its batches
}

// transactions are those of one partition: what a log and its index must say of them (T2).
type transactions struct {
	open  map[model.ProducerID]*span
	ended []*span                // by their markers
	at    map[model.Offset]*span // of each of their batches
}

// transacts follows a batch that was committed.
func (l *ledger) transacts(b stored) {
	if l.gone() { // a node that stood still may not know: the coordinator need not have waited for it
		return
	}
	t := &l.transactions
	switch b.kind {
	case inTxn:
		if t.at == nil {
			t.open, t.at = make(map[model.ProducerID]*span), make(map[model.Offset]*span)
		}
		s := t.open[b.producer]
		if s == nil {
			s = &span{producer: b.producer, first: b.base, marker: model.NoOffset}
			t.open[b.producer] = s
		}
		t.at[b.base] = s
		s.bases = append(s.bases, b.base)
		l.w.trades.stands(l, s, b)
	case abortMark, commitMark:
		s := t.open[b.producer]
		if s == nil {
			return
		}
		delete(t.open, b.producer)
		if s.marker, s.fate = b.base, visible; b.kind == abortMark {
			s.fate = hidden
		}
		t.ended = append(t.ended, s)
		l.w.trades.marked(l, s, b)
	}
}

// servedCommitted looks at what a reader of committed records is given, as such a reader does (T2).
func (l *ledger) servedCommitted(who *replica, out *fetchReply) {
	t := &l.transactions
	if out.stable < min(out.start, out.hw) {
		l.w.fail("T2", "%v: the last stable offset is %d, its log begins at %d", who, out.stable, out.start)
	}
	for _, id := range sortedKeys(t.open) {
		if first, ok := t.open[id].from(out.start); ok && first < out.stable {
			l.w.fail("T2", "%v: the last stable offset is %d, the transaction of producer %d that began at %d is open", who, out.stable, id, first)
		}
	}
	for i := len(t.ended) - 1; i >= 0 && t.ended[i].marker >= out.hw; i-- {
		if first, ok := t.ended[i].from(out.start); ok && first < out.stable {
			l.w.fail("T2", "%v: the last stable offset is %d; the transaction that began at %d ends at %d, above the watermark %d", who, out.stable, first, t.ended[i].marker, out.hw)
		}
	}
	slices.SortFunc(out.aborted, func(a, b wal.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) }) // as readers do
	aborting, next := make(map[model.ProducerID]bool), 0
	for _, b := range out.batches {
		for ; next < len(out.aborted) && out.aborted[next].FirstOffset <= b.last; next++ {
			aborting[out.aborted[next].Producer] = true
		}
		sees := visible
		switch {
		case b.kind == abortMark:
			delete(aborting, b.producer)
			continue
		case b.kind != inTxn:
			continue
		case aborting[b.producer]:
			sees = hidden
			l.w.stats[abortedReads]++
		}
		if s := t.at[b.base]; s == nil || s.fate != sees {
			l.w.fail("T2", "%v: a reader of committed records takes %v for %v; that is in %v; aborted are %v", who, b, sees, s, out.aborted)
			return
		}
	}
}

func (s *span) String() string {
	if s == nil {
		return "nothing"
	}
	return fmt.Sprintf("{producer %d from %d to %d, %v}", s.producer, s.first, s.marker, s.fate)
}

// sameAborted compares the index of a log with what it must list (L6, T2).
func (l *ledger) sameAborted(r *replica) {
	var want []wal.AbortedTxn
	got := r.log.AbortedIn(r.log.Start(), r.log.End())
	for i := range got {
		got[i].LastStable = 0
	}
	for _, s := range l.transactions.ended {
		if s.fate != hidden {
			continue
		}
		first := s.first
		if l.forgets || s.first < r.log.Start() { // where a transaction began that is not all there, or that there was one at all, a replica may know or not
			_, all := s.from(r.log.Start())
			i := slices.IndexFunc(got, func(a wal.AbortedTxn) bool { return a.Producer == s.producer && a.LastOffset == s.marker })
			if i < 0 && !all {
				continue
			} else if i >= 0 {
				first = got[i].FirstOffset
			}
		}
		want = append(want, wal.AbortedTxn{Producer: s.producer, FirstOffset: first, LastOffset: s.marker})
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		l.w.fail("T2", "%v lists the aborted transactions %v, there are %v", r, got, want)
	}
	if stable := r.log.LastStable(r.log.End()); stable != r.log.End() && len(l.transactions.open) == 0 {
		l.w.fail("T2", "%v is stable up to %d, it ends at %d, and no transaction is open", r, stable, r.log.End())
	}
}
