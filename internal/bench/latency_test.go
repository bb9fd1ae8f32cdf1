package bench

import (
	"math"
	"sync/atomic"
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	a, b := NewLatencies(), NewLatencies()
	for i := 1; i <= 1000; i++ {
		l := a
		if i%2 == 0 {
			l = b
		}
		l.Record(time.Duration(i) * time.Millisecond)
	}
	a.Merge(b)
	s := a.Summary()
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"p50", s.P50, 500}, {"p99", s.P99, 990}, {"p99.9", s.P999, 999}, {"max", s.Max, 1000}, {"mean", s.Mean, 500.5}} {
		if math.Abs(c.got-c.want) > c.want/500 {
			t.Errorf("%s is %.2f ms, want %.2f", c.name, c.got, c.want)
		}
	}
	if s.Count != 1000 {
		t.Errorf("count is %d", s.Count)
	}
}

func TestLatenciesOutOfRange(t *testing.T) {
	l := NewLatencies()
	l.Record(-time.Second)
	l.Record(time.Hour)
	if s := l.Summary(); s.Count != 2 || s.Max < latencyMax.Seconds()*1000 {
		t.Errorf("values outside the range got lost: %+v", s)
	}
}

// An open loop's due times do not depend on when the generator comes round to ask for them.
func TestPacerKeepsItsSchedule(t *testing.T) {
	p := newPacer(1000)
	defer p.close()
	p.start = p.start.Add(-time.Hour) // hopelessly late: it must not wait
	var halted atomic.Bool
	begin := time.Now()
	for i := range 1000 {
		if got, want := p.wait(&halted), p.start.Add(time.Duration(i)*time.Millisecond); got.Sub(want).Abs() > time.Microsecond {
			t.Fatalf("record %d is due %s, want %s", i, got, want)
		}
	}
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("a late pacer waited for %s", took)
	}
}

func TestSpanHolds(t *testing.T) {
	s := Span{time.Unix(10, 0), time.Unix(20, 0)}
	for sec, want := range map[int64]bool{9: false, 10: true, 19: true, 20: false} {
		if s.Holds(time.Unix(sec, 0)) != want {
			t.Errorf("second %d: want %t", sec, want)
		}
	}
}
