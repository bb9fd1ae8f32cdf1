package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/chaos/rig"
)

const (
	probeTopic = "probe"
	probeEvery = 5 * time.Millisecond
)

// probe writes one small record after the other to one partition, acks=-1, and remembers when each was begun and acknowledged.
type probe struct {
	partition int32
	cl        *kgo.Client

	mu     sync.Mutex
	writes []write
	grew   chan struct{} // closed and replaced when a write is acknowledged
}

// write is a record's way: begun when it was given to the client.
type write struct{ begun, acked time.Time }

func newProbe(c *rig.Cluster, partition int32) *probe {
	return &probe{partition: partition, cl: c.Client(kgo.ProducerLinger(0)), grew: make(chan struct{})}
}

func (p *probe) run(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		p.cl.Produce(ctx, &kgo.Record{Topic: probeTopic, Partition: p.partition, Value: []byte("are you there?")}, func(_ *kgo.Record, err error) {
			if err == nil {
				p.acked(write{begun, time.Now()})
			}
		})
	}
}

func (p *probe) acked(w write) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, w)
	close(p.grew)
	p.grew = make(chan struct{})
}

// after returns when the first write was acknowledged that had been begun after a moment, which is one at which the fault was complete:
// an acknowledgement that was on its way, or a write that slipped through, does not count.
func (p *probe) after(ctx context.Context, moment time.Time) (time.Time, error) {
	for {
		p.mu.Lock()
		grew := p.grew
		i := slices.IndexFunc(p.writes, func(w write) bool { return w.begun.After(moment) })
		var w write
		if i >= 0 {
			w = p.writes[i]
		}
		p.mu.Unlock()
		if i >= 0 {
			return w.acked, nil
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("partition %d has taken no write for %v: %w", p.partition, time.Since(moment), context.Cause(ctx))
		}
	}
}

// silence returns the longest time between two acknowledgements within a span.
func (p *probe) silence(from, to time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest, last := time.Duration(0), from
	for _, w := range p.writes {
		if w.acked.Before(from) || w.acked.After(to) {
			continue
		}
		longest, last = max(longest, w.acked.Sub(last)), w.acked
	}
	return max(longest, to.Sub(last))
}

// figures are measured times of one kind.
type figures struct {
	what string
	list []time.Duration
}

func (f *figures) add(d time.Duration) { f.list = append(f.list, d) }

func (f *figures) median() time.Duration {
	if len(f.list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func (f *figures) String() string {
	if len(f.list) == 0 {
		return f.what + ": none"
	}
	var all strings.Builder
	for _, d := range f.list {
		fmt.Fprintf(&all, " %d", d.Milliseconds())
	}
	return fmt.Sprintf("%s: %d times, median %d ms, max %d ms:%s", f.what, len(f.list), f.median().Milliseconds(), slices.Max(f.list).Milliseconds(), all.String())
}
