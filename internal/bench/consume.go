package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// consumers is the reading side of a run: clients with disjoint sets of partitions, assigned directly.
type consumers struct {
	clients []*consumer
	stop    context.CancelFunc
	done    chan struct{} // closed when all have ended
}

// consumer reads its partitions in order from where they began, and checks what it gets.
type consumer struct {
	cl        *kgo.Client
	opts      *Options
	gen       *Generator
	span      Span
	next, end []int64 // by partition
	open      int     // partitions that have not reached their end
	received  Counter
	bytes     int64
	checked   int64
	foreign   int64 // records that no generator made
	problems  []string
	latencies *Latencies
	strict    bool // everything must be of this run's generator
}

// checkEvery is how many records of a consumer go by for each that is compared byte for byte. All
// offsets are checked, and while latency is measured all checksums.
const checkEvery = 16

// newConsumers connects readers of the offsets from..to of each partition; to nil: without end.
func newConsumers(o *Options, t Topic, gen *Generator, from, to []int64, strict bool) (*consumers, error) {
	cs := &consumers{done: make(chan struct{})}
	clients := min(o.Connections, t.Partitions)
	if o.Mode == RoundTrip {
		clients = 1
	}
	for i := range clients {
		c := &consumer{
			opts: o, gen: gen, strict: strict, latencies: NewLatencies(),
			next: slices.Clone(from), end: make([]int64, t.Partitions),
		}
		assigned := make(map[int32]kgo.Offset)
		for p := range c.end {
			c.end[p] = math.MaxInt64
			if p%clients != i {
				continue
			}
			if to != nil {
				if from[p] == to[p] {
					continue
				}
				c.end[p] = to[p]
			}
			c.open++
			assigned[int32(p)] = kgo.NewOffset().At(from[p])
		}
		var err error
		c.cl, err = kgo.NewClient(append(o.baseOptions(),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{t.Name: assigned}),
			kgo.FetchMaxBytes(int32(o.FetchBytes)), kgo.FetchMaxPartitionBytes(int32(o.FetchPartitionBytes)),
			kgo.ConsumeResetOffset(kgo.NoResetOffset()))...)
		if err != nil {
			cs.close()
			return nil, fmt.Errorf("options that the client refuses: %w", err)
		}
		cs.clients = append(cs.clients, c)
	}
	return cs, nil
}

// start begins to read; done is closed when every partition has come to its end, or after stop.
func (cs *consumers) start(ctx context.Context, s Span) {
	ctx, cs.stop = context.WithCancel(ctx)
	ended := make(chan struct{})
	for _, c := range cs.clients {
		c.span = s
		go func() {
			c.run(ctx)
			ended <- struct{}{}
		}()
	}
	go func() {
		for range cs.clients {
			<-ended
		}
		close(cs.done)
	}()
}

func (c *consumer) run(ctx context.Context) {
	for c.open > 0 && len(c.problems) < maxProblems {
		fetches := c.cl.PollFetches(ctx)
		now := time.Now()
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, p int32, err error) {
			if !errors.Is(err, context.Canceled) {
				c.problem("partition %d: %v", p, err)
			}
		})
		fetches.EachPartition(func(f kgo.FetchTopicPartition) { c.take(f.Partition, f.Records, now) })
	}
}

func (c *consumer) take(partition int32, records []*kgo.Record, now time.Time) {
	end, was := c.end[partition], c.next[partition]
	count := int64(0)
	for _, r := range records {
		if r.Offset >= end {
			break
		}
		count++
		if r.Offset != c.next[partition] {
			c.problem("partition %d: offset %d came after %d", partition, r.Offset, c.next[partition]-1)
		}
		c.next[partition] = r.Offset + 1
		c.bytes += int64(len(r.Key) + len(r.Value))
		c.check(r, now)
	}
	c.received.Add(count)
	if was < end && c.next[partition] >= end {
		c.open--
	}
}

func (c *consumer) check(r *kgo.Record, now time.Time) {
	timed := c.opts.Mode == RoundTrip
	exact := r.Offset%checkEvery == 0
	if !timed && !exact {
		return
	}
	if !c.strict && !IsOurs(r.Value) {
		c.foreign++
		return
	}
	var p Payload
	var err error
	if exact && c.strict {
		c.checked++
		p, err = c.gen.Check(r.Key, r.Value, c.opts.MessageSize)
	} else {
		c.checked++
		p, err = Parse(r.Value)
	}
	if err != nil {
		c.problem("partition %d, offset %d: %v", r.Partition, r.Offset, err)
		return
	}
	if timed && c.span.Holds(p.Due) {
		c.latencies.Record(now.Sub(p.Due))
	}
}

func (c *consumer) problem(format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

func (cs *consumers) received() (n int64) {
	for _, c := range cs.clients {
		n += c.received.Load()
	}
	return n
}

// await returns when n records have come, or with the time out, or when none has come for quiet.
func (cs *consumers) await(ctx context.Context, n int64, quiet time.Duration) {
	last, since := int64(-1), time.Now()
	for {
		got := cs.received()
		if got != last {
			last, since = got, time.Now()
		}
		if got >= n || time.Since(since) > quiet || wait.For(ctx, 5*time.Millisecond) != nil {
			return
		}
	}
}

func (cs *consumers) close() {
	for _, c := range cs.clients {
		c.cl.Close()
	}
}

// judge adds what the readers found to a verdict.
func (cs *consumers) judge(v *Verification) (bytes int64) {
	for _, c := range cs.clients {
		bytes += c.bytes
		v.ReadBack += c.checked
		v.Foreign += c.foreign
		for _, p := range c.problems {
			v.problem("consumer: %s", p)
		}
	}
	return bytes
}

func (cs *consumers) latencies() *Latencies {
	sum := NewLatencies()
	for _, c := range cs.clients {
		sum.Merge(c.latencies)
	}
	return sum
}
