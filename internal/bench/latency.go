package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies is a histogram from 1 microsecond to 10 minutes with three significant digits. One
// goroutine at a time may use it.
type Latencies struct{ h *hdrhistogram.Histogram }

const (
	latencyUnit = time.Microsecond
	latencyMax  = 10 * time.Minute
)

// NewLatencies returns an empty histogram.
func NewLatencies() *Latencies {
	return &Latencies{hdrhistogram.New(1, int64(latencyMax/latencyUnit), 3)}
}

// Record adds one value. What lies outside the range counts as its nearest end, never not at all.
func (l *Latencies) Record(d time.Duration) {
	us := min(max((d+latencyUnit/2)/latencyUnit, 1), latencyMax/latencyUnit)
	_ = l.h.RecordValue(int64(us)) // cannot fail within the range
}

// Merge adds another histogram's values.
func (l *Latencies) Merge(o *Latencies) { l.h.Merge(o.h) }

// LatencySummary is what a histogram says, in milliseconds.
type LatencySummary struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
}

// Summary reads the histogram.
func (l *Latencies) Summary() LatencySummary {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	return LatencySummary{
		Count: l.h.TotalCount(), Mean: l.h.Mean() / 1000, Max: ms(l.h.Max()),
		P50: ms(l.h.ValueAtQuantile(50)), P99: ms(l.h.ValueAtQuantile(99)), P999: ms(l.h.ValueAtQuantile(99.9)),
	}
}

// String is the line that a person reads.
func (s LatencySummary) String() string {
	return fmt.Sprintf("p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, max %.2f ms", s.P50, s.P99, s.P999, s.Max)
}
