package producer

import (
	"errors"
	"math"
	"testing"

	"chronik/internal/model"
)

// log drives a State the way the log does: it hands out offsets, checks, then applies.
type log struct {
	*testing.T
	s   State
	end model.Offset
}

func data(id model.ProducerID, epoch int16, seq int32) Batch {
	return Batch{Producer: id, Epoch: epoch, FirstSeq: seq, Verified: true}
}

func txn(id model.ProducerID, epoch int16, seq int32) Batch {
	b := data(id, epoch, seq)
	b.Transactional = true
	return b
}

func (l *log) place(b Batch, records int) *Batch {
	b.BaseOffset, b.LastOffset = l.end, l.end+model.Offset(records)-1
	return &b
}

// append expects the batch to be accepted.
func (l *log) append(b Batch, records int) model.Offset {
	l.Helper()
	p := l.place(b, records)
	if v, err := l.s.Check(p, Client); err != nil || v.Duplicate {
		l.Fatalf("Check(%+v) = %+v, %v; want accepted", *p, v, err)
	}
	l.s.Apply(p)
	l.end = p.LastOffset + 1
	return p.BaseOffset
}

// refuse expects the batch to be refused for the reason given.
func (l *log) refuse(b Batch, records int, want error) {
	l.Helper()
	if v, err := l.s.Check(l.place(b, records), Client); !errors.Is(err, want) {
		l.Errorf("Check(%+v) = %+v, %v; want %v", b, v, err, want)
	}
}

// retry expects the batch to be recognised as the one at base.
func (l *log) retry(b Batch, records int, base model.Offset) {
	l.Helper()
	v, err := l.s.Check(l.place(b, records), Client)
	if err != nil || !v.Duplicate || v.BaseOffset != base || v.LastOffset != base+model.Offset(records)-1 {
		l.Errorf("Check(%+v) = %+v, %v; want a duplicate of %d", b, v, err, base)
	}
}

func (l *log) mark(m Marker) (Completed, bool) {
	l.Helper()
	m.Offset = l.end
	if err := l.s.CheckMarker(&m, Coordinator); err != nil {
		l.Fatalf("CheckMarker(%+v) = %v", m, err)
	}
	l.end++
	return l.s.ApplyMarker(&m)
}

func TestSequencesOfOneEpoch(t *testing.T) {
	l := log{T: t}
	a := l.append(data(1, 0, 0), 3)
	b := l.append(data(1, 0, 3), 1)
	l.refuse(data(1, 0, 5), 1, ErrOutOfOrderSequence)
	l.refuse(data(1, 0, -1), 1, ErrOutOfOrderSequence)
	l.retry(data(1, 0, 0), 3, a)
	l.retry(data(1, 0, 3), 1, b)
	l.refuse(data(1, 0, 0), 2, ErrOutOfOrderSequence) // not the same range: no retry
	for i := range int32(Retained) {
		l.append(data(1, 0, 4+i), 1)
	}
	l.refuse(data(1, 0, 3), 1, ErrOutOfOrderSequence) // forgotten: the five after it are remembered
	l.retry(data(1, 0, 4), 1, 4)
}

func TestSequencesWrap(t *testing.T) {
	l := log{T: t}
	base := l.append(data(1, 0, math.MaxInt32-1), 4) // unknown producer: any sequence
	l.retry(data(1, 0, math.MaxInt32-1), 4, base)
	if got := l.s.List()[0].LastSeq; got != 1 {
		t.Errorf("last sequence %d, want 1", got)
	}
	l.append(data(1, 0, 2), 1)
	l.append(data(2, 0, math.MaxInt32), 1)
	l.refuse(data(2, 0, 1), 1, ErrOutOfOrderSequence)
	l.append(data(2, 0, 0), 1)
}

func TestEpochs(t *testing.T) {
	l := log{T: t}
	l.append(data(1, 3, 0), 1)
	l.refuse(data(1, 2, 1), 1, ErrInvalidProducerEpoch)
	l.refuse(data(1, 4, 1), 1, ErrOutOfOrderSequence) // a new epoch begins with 0 (KIP-360)
	l.append(data(1, 4, 0), 1)
	l.refuse(data(1, 3, 0), 1, ErrInvalidProducerEpoch) // a retry, but its producer is fenced
}

func TestTransactions(t *testing.T) {
	l := log{T: t}
	unverified := txn(1, 0, 0)
	unverified.Verified = false
	l.refuse(unverified, 1, ErrInvalidTxnState)
	l.append(data(9, 0, 0), 5)
	first := l.append(txn(1, 0, 0), 2)
	second := l.append(txn(2, 0, 0), 1)
	unverified.FirstSeq = 2
	l.append(unverified, 1) // inside its transaction nobody asks again
	l.refuse(data(1, 0, 3), 1, ErrInvalidTxnState)
	if got := l.s.LastStable(l.end); got != first {
		t.Errorf("last stable offset %d, want %d", got, first)
	}

	marker := l.end
	c, ok := l.mark(Marker{Producer: 1, Epoch: 0, CoordinatorEpoch: 7})
	if want := (Completed{Producer: 1, FirstOffset: first, LastOffset: marker, LastStable: second, Aborted: true}); !ok || c != want {
		t.Errorf("ended %+v, %v; want %+v", c, ok, want)
	}
	if got := l.s.LastStable(marker); got != first {
		t.Errorf("marker not replicated: last stable offset %d, want %d", got, first)
	}
	if got := l.s.LastStable(l.end); got != second {
		t.Errorf("marker replicated: last stable offset %d, want %d", got, second)
	}
	c, ok = l.mark(Marker{Producer: 2, Epoch: 0, Commit: true})
	if !ok || c.Aborted || c.LastStable != l.end {
		t.Errorf("ended %+v, %v; want a commit that leaves nothing open", c, ok)
	}
	l.s.Replicated(l.end)
	if len(l.s.done) != 0 || l.s.LastStable(l.end) != l.end {
		t.Errorf("left over: %v", l.s.done)
	}
	if _, ok := l.mark(Marker{Producer: 5, Epoch: 0}); ok {
		t.Error("a marker of an unknown producer ended a transaction")
	}
	if err := l.s.CheckMarker(&Marker{Producer: 1, CoordinatorEpoch: 6}, Coordinator); !errors.Is(err, ErrCoordinatorFenced) {
		t.Errorf("marker of an old coordinator: %v", err)
	}
}

// KIP-890: the marker of a TV2 transaction carries the next epoch, and data goes on in that one, from 0.
func TestTransactionsVersion2(t *testing.T) {
	l := log{T: t}
	v2 := func(epoch int16, seq int32) Batch { b := txn(1, epoch, seq); b.TV2 = true; return b }
	l.refuse(v2(0, 4), 1, ErrOutOfOrderSequence) // no producer state: its earlier batches went elsewhere, or are late
	l.append(v2(0, 0), 1)
	same := Marker{Producer: 1, Epoch: 0, TV2: true}
	if err := l.s.CheckMarker(&same, Coordinator); !errors.Is(err, ErrInvalidProducerEpoch) {
		t.Errorf("marker without a bump: %v", err)
	}
	bumped := Marker{Producer: 1, Epoch: 1, TV2: true, Commit: true}
	if _, ok := l.mark(bumped); !ok {
		t.Error("the transaction did not end")
	}
	if _, ok := l.mark(bumped); ok { // a retry of the marker is taken
		t.Error("the transaction ended twice")
	}
	l.refuse(v2(0, 1), 1, ErrInvalidProducerEpoch) // a late batch of the ended transaction
	l.refuse(v2(1, 1), 1, ErrOutOfOrderSequence)
	l.append(v2(1, 0), 1)

	last := Marker{Producer: 3, Epoch: math.MaxInt16, TV2: true}
	l.append(txn(3, math.MaxInt16, 0), 1)
	if _, ok := l.mark(last); !ok {
		t.Error("a producer without a next epoch could not end its transaction")
	}
}

func TestCoordinatorBatchesHaveNoSequence(t *testing.T) {
	l := log{T: t}
	for range 2 {
		b := l.place(txn(1, 2, NoSequence), 1)
		if v, err := l.s.Check(b, Coordinator); err != nil || v.Duplicate {
			t.Fatalf("Check = %+v, %v", v, err)
		}
		l.s.Apply(b)
		l.end++
	}
	old := l.place(txn(1, 1, NoSequence), 1)
	if _, err := l.s.Check(old, Coordinator); !errors.Is(err, ErrInvalidProducerEpoch) {
		t.Errorf("old epoch: %v", err)
	}
	if _, err := l.s.Check(old, Replication); err != nil {
		t.Errorf("what a leader accepted is taken as it is: %v", err)
	}
}

func TestRevertTakesARetryBack(t *testing.T) {
	l := log{T: t}
	l.append(data(1, 0, 0), 1)
	l.s.Settle(l.end)
	from := l.append(data(1, 0, 1), 1)
	l.append(data(2, 0, 0), 1)
	l.s.Revert(from)
	l.end = from
	if l.s.Len() != 1 {
		t.Errorf("%d producers, want 1", l.s.Len())
	}
	l.append(data(1, 0, 1), 1) // appended, not taken for a retry of what failed
	if l.s.TruncateTo(0) {
		t.Error("TruncateTo went below what is settled")
	}
	if !l.s.TruncateTo(1) || l.s.List()[0].LastSeq != 0 {
		t.Errorf("after TruncateTo(1): %+v", l.s.List())
	}
}

func TestExpire(t *testing.T) {
	l := log{T: t}
	seen := func(b Batch, ms int64) Batch { b.SeenMs = ms; return b }
	for id := range model.ProducerID(8) {
		l.append(seen(data(id, 0, 0), 100), 1)
	}
	l.append(seen(txn(10, 0, 0), 100), 1)
	l.append(seen(data(11, 0, 0), 900), 1)
	if n := l.s.Expire(1000, 500); n != 0 {
		t.Errorf("%d expired that are not settled", n)
	}
	l.s.Settle(l.end)
	if n := l.s.Expire(1000, 500); n != 8 || len(l.s.slots) != 2 {
		t.Errorf("%d expired, %d slots left; want 8 and 2", n, len(l.s.slots))
	}
	from := l.append(data(11, 0, 1), 1) // the slot that moved is found
	l.s.Revert(from)
	l.end = from
	l.mark(Marker{Producer: 10, Epoch: 0})
	l.s.Settle(l.end)
	if n := l.s.Expire(5000, 500); n != 2 || l.s.slots != nil || l.s.index != nil {
		t.Errorf("%d expired, slots %v", n, l.s.slots)
	}
}

func TestNoProducerCostsNothing(t *testing.T) {
	var s State
	b := data(1, 0, 0)
	allocs := testing.AllocsPerRun(100, func() {
		_, _ = s.Check(&b, Client)
		s.Settle(10)
		s.Revert(10)
		s.Expire(0, 0)
		s.Trim()
	})
	if allocs != 0 || s.index != nil || s.slots != nil || s.undo.entries != nil {
		t.Errorf("%v allocations, state %+v", allocs, s)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	var s State
	b := data(1, 0, 0)
	one := func() {
		if v, err := s.Check(&b, Client); err != nil || v.Duplicate {
			t.Fatal(v, err)
		}
		s.Apply(&b)
		b.BaseOffset, b.LastOffset, b.FirstSeq = b.BaseOffset+1, b.LastOffset+1, b.FirstSeq+1
		s.Settle(b.BaseOffset - 100) // 100 batches in flight
	}
	for range 1000 {
		one()
	}
	if allocs := testing.AllocsPerRun(1000, one); allocs != 0 {
		t.Errorf("%v allocations per batch, want 0", allocs)
	}
	if n := cap(s.undo.entries); n > 1024 {
		t.Errorf("the undo log holds %d entries for 100 batches in flight", n)
	}
}

func BenchmarkCheckApplySettle(b *testing.B) {
	var s State
	x := data(1, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Check(&x, Client); err != nil {
			b.Fatal(err)
		}
		s.Apply(&x)
		x.BaseOffset, x.LastOffset, x.FirstSeq = x.BaseOffset+1, x.LastOffset+1, nextSequence(x.FirstSeq)
		s.Settle(x.BaseOffset - 64)
	}
}
