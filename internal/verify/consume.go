package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/bench"
	"chronik/internal/verify/history"
	"chronik/internal/wait"
)

// consumer polls all partitions.
type consumer struct {
	run    *Run
	number int32
	how    Consumer

	mu   sync.Mutex
	next []int64 // positions
	last []int32 // leader epochs of the records before them, -1: not known
	want []int64 // set at the end: where to get to
	done chan struct{}
}

func (r *Run) newConsumer(number int32, how Consumer) *consumer {
	return &consumer{run: r, number: number, how: how, next: slices.Clone(r.base), last: slices.Repeat([]int32{-1}, len(r.base)), done: make(chan struct{})}
}

// read polls until ctx ends, with one client after the other.
func (c *consumer) read(ctx context.Context) {
	for ctx.Err() == nil {
		life, cancel := ctx, context.CancelFunc(func() {})
		if c.how.Restart > 0 {
			life, cancel = context.WithTimeout(ctx, c.how.Restart)
		}
		err := c.live(life)
		cancel()
		if err != nil {
			c.run.trouble(fmt.Sprintf("consumer %d", c.number), err)
			_ = wait.For(ctx, time.Second)
		}
	}
}

// live is one client's life, from the positions to which the one before had come.
func (c *consumer) live(ctx context.Context) error {
	at := make(map[int32]kgo.Offset)
	c.mu.Lock()
	for p, offset := range c.next {
		// With the epoch the client asks whether the log was cut meanwhile (KIP-320). Without one it would ask a broker that says
		// FENCED_LEADER_EPOCH again and again without a pause, as long as the partition has no leader.
		at[int32(p)] = kgo.NewOffset().At(offset).WithEpoch(c.last[p])
		c.run.record(&history.Event{Kind: history.Positioned, Client: c.number, Partition: int32(p), Offset: offset})
	}
	c.mu.Unlock()
	cl, err := kgo.NewClient(c.run.readerOptions(c.how.Rack, at)...)
	if err != nil {
		return fmt.Errorf("options that the client refuses: %w", err)
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		var failed error
		fetches.EachPartition(func(f kgo.FetchTopicPartition) {
			if f.Err != nil {
				failed = errors.Join(failed, c.failed(ctx, f.Partition, &f.FetchPartition))
			}
			c.take(&f.FetchPartition)
		})
		if failed != nil {
			return failed
		}
	}
	return nil
}

// take records what a poll gave from one partition.
func (c *consumer) take(f *kgo.FetchPartition) {
	if len(f.Records) == 0 {
		return
	}
	e := &history.Event{Kind: history.Polled, Client: c.number, Partition: f.Partition, Start: max(f.LogStartOffset, 0), End: f.HighWatermark, Runs: c.run.runs(f.Records)}
	if c.how.Rack != "" {
		e.End = -1 // a follower hears of the high watermark later than its leader
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Offset = c.next[f.Partition]
	last := f.Records[len(f.Records)-1]
	c.next[f.Partition], c.last[f.Partition] = last.Offset+1, last.LeaderEpoch
	c.run.record(e)
	c.arrive()
}

// failed records what a client was told of a partition that it cannot go on reading.
func (c *consumer) failed(ctx context.Context, partition int32, f *kgo.FetchPartition) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lost *kgo.ErrDataLoss
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.As(f.Err, &lost):
		c.run.record(&history.Event{Kind: history.Truncated, Client: c.number, Partition: partition, Offset: lost.ConsumedTo, End: lost.ResetTo})
		c.next[partition], c.last[partition] = lost.ResetTo, lost.ResetToEpoch
	case errors.Is(f.Err, kerr.OffsetOutOfRange):
		c.run.record(&history.Event{Kind: history.OutOfRange, Client: c.number, Partition: partition, Offset: c.next[partition], Start: max(f.LogStartOffset, 0)})
	}
	if partition < 0 {
		return f.Err // of the client, not of a partition
	}
	return fmt.Errorf("partition %d at offset %d: %w", partition, c.next[partition], f.Err)
}

// expect tells the consumer where it is to get to; done is closed when it has.
func (c *consumer) expect(ends []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.want = ends
	c.arrive()
}

func (c *consumer) arrive() {
	if c.want == nil {
		return
	}
	for p, end := range c.want {
		if c.next[p] < end {
			return
		}
	}
	c.want = nil
	close(c.done)
}

// behind says how far the consumer is from where it should be.
func (c *consumer) behind() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("consumer %d stands at %v, the log ends at %v", c.number, c.next, c.want)
}

func (r *Run) readerOptions(rack string, at map[int32]kgo.Offset) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.cluster.topic: at}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.ConsiderMissingTopicDeletedAfter(time.Hour), // a broker that has just started does not know yet
		kgo.RecheckPreferredReplicaInterval(10 * time.Second),
	}
	if rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	return r.opts.clientOptions(opts...)
}

// runs tells which records these are.
func (r *Run) runs(records []*kgo.Record) (out []history.Run) {
	for _, rec := range records {
		if n := len(out); n == 0 || out[n-1].Offset+int64(len(out[n-1].Values)) != rec.Offset {
			out = append(out, history.Run{Offset: rec.Offset})
		}
		last := &out[len(out)-1]
		last.Values = append(last.Values, r.identify(rec))
	}
	return out
}

func (r *Run) identify(rec *kgo.Record) history.Value {
	if !bench.IsOurs(rec.Value) {
		if r.cluster.ours {
			return history.Corrupt // nobody else knows of the topic
		}
		return history.Foreign
	}
	p, err := bench.Parse(rec.Value)
	switch {
	case err == nil && p.Seed != r.seed:
		return history.Foreign
	case err == nil:
		_, err = r.payloads.Check(rec.Key, rec.Value, r.opts.MessageSize)
	}
	if err != nil {
		r.trouble("damage", fmt.Errorf("partition %d, offset %d: %w", rec.Partition, rec.Offset, err))
		return history.Corrupt
	}
	return history.Value{Producer: int32(p.Client()), Seq: p.Number()}
}
