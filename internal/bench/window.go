package bench

import (
	"context"
	"fmt"
	"time"
)

// Span is the measured part of a run. It is fixed before the load begins, so that a record's place in
// or out of it depends on when it was due, never on when it was answered: a stall at the end counts.
type Span struct{ start, end time.Time }

func newSpan(o *Options) Span {
	start := time.Now().Add(o.Warmup)
	return Span{start, start.Add(o.Duration)}
}

// Holds tells whether a record that was due then is measured.
func (s Span) Holds(t time.Time) bool { return !t.Before(s.start) && t.Before(s.end) }

// reading is what was counted at one moment.
type reading struct {
	at      time.Time
	records int64
	own     time.Duration
	broker  Usage
}

// Window is what happened between two readings.
type Window struct {
	Seconds    float64
	Records    int64
	OwnCPU     time.Duration
	brokerFrom Usage
	brokerTo   Usage
}

// meter watches a load while it runs. It touches only what may be read at the same time.
type meter struct {
	count    func() int64
	broker   Processes
	progress func(Progress)
}

// Progress is the line that appears each second.
type Progress struct {
	Elapsed time.Duration // since the load began
	Warming bool
	PerSec  float64 // since the last line
	Records int64   // since the load began
}

// String is the line that a person reads.
func (p Progress) String() string {
	note := ""
	if p.Warming {
		note = "  (warm-up)"
	}
	return fmt.Sprintf("%4.0fs  %10.0f records/s  %12d records%s", p.Elapsed.Seconds(), p.PerSec, p.Records, note)
}

func (m *meter) read() (reading, error) {
	r := reading{at: time.Now(), records: m.count(), own: ownCPU()}
	var err error
	r.broker, err = m.broker.Usage()
	return r, err
}

// watch returns what was counted within the span. It ends early when done is closed or ctx ends; a load
// that is over before the span begins yields an empty window.
func (m *meter) watch(ctx context.Context, s Span, done <-chan struct{}) (Window, error) {
	begin := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	lastAt, lastCount := begin, int64(0)
	until := func(t time.Time) bool {
		timer := time.NewTimer(time.Until(t))
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return false
			case <-done:
				return false
			case <-timer.C:
				return true
			case now := <-tick.C:
				count := m.count()
				m.progress(Progress{
					Elapsed: now.Sub(begin), Warming: now.Before(s.start), Records: count,
					PerSec: float64(count-lastCount) / now.Sub(lastAt).Seconds(),
				})
				lastAt, lastCount = now, count
			}
		}
	}
	if !until(s.start) {
		return Window{}, ctx.Err()
	}
	from, err := m.read()
	if err != nil {
		return Window{}, err
	}
	until(s.end)
	to, err := m.read()
	if err != nil {
		return Window{}, err
	}
	return Window{
		Seconds: to.at.Sub(from.at).Seconds(), Records: to.records - from.records, OwnCPU: to.own - from.own,
		brokerFrom: from.broker, brokerTo: to.broker,
	}, ctx.Err()
}
