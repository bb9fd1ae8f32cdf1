package bench

import (
	"errors"
	"testing"
)

func TestAccountSamplesEvenly(t *testing.T) {
	const limit, n = 50, 12_345
	a := NewAccount(3, limit, true)
	for i := range int64(n) {
		a.Ack(int32(i%3), i/3, Sequence(0, i), 10)
	}
	l := Sum(limit, a)
	if len(l.Samples) != limit {
		t.Fatalf("%d samples, want %d", len(l.Samples), limit)
	}
	thirds := [3]int{}
	for _, s := range l.Samples {
		number := Payload{Sequence: s.Sequence}.Number()
		if want := number / 3; s.Offset != want || int64(s.Partition) != number%3 {
			t.Errorf("sample %+v is not what was acknowledged", s)
		}
		thirds[number*3/n]++
	}
	for i, got := range thirds {
		if got < limit/6 {
			t.Errorf("third %d of the run has %d of %d samples", i, got, limit)
		}
	}
}

func TestSumMergesAccounts(t *testing.T) {
	a, b := NewAccount(2, 10, true), NewAccount(2, 10, true)
	a.Ack(0, 5, 1, 100)
	b.Ack(0, 4, 2, 100)
	b.Ack(1, 0, 3, 50)
	first := errors.New("first")
	b.Fail(1, first)
	b.Fail(-1, errors.New("never had a partition"))
	l := Sum(10, a, b)
	if got, want := l.Partitions[0], (PartitionLedger{Acked: 2, Min: 4, Max: 5, OffsetSum: 9}); got != want {
		t.Errorf("partition 0: %+v, want %+v", got, want)
	}
	if got, want := l.Partitions[1], (PartitionLedger{Acked: 1, Failed: 1}); got != want {
		t.Errorf("partition 1: %+v, want %+v", got, want)
	}
	if l.Acked != 3 || l.Failed != 2 || l.Bytes != 250 || l.FirstError != first || !l.Offsets {
		t.Errorf("totals: %+v", l)
	}
	if l.Samples[0].Offset != 4 || l.Samples[1].Offset != 5 {
		t.Errorf("samples are not ordered by offset: %+v", l.Samples)
	}
}

func TestSumWithoutOffsets(t *testing.T) {
	a := NewAccount(1, 10, false)
	a.Ack(0, -1, 1, 10)
	if l := Sum(10, a); l.Offsets || l.Acked != 1 || len(l.Samples) != 0 {
		t.Errorf("acks=0: %+v", l)
	}
}
