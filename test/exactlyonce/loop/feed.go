package loop

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// Feed writes numbered records: record n of a partition says n, and is at offset n of the input. Its producer is idempotent and does not give up.
type Feed struct {
	halt context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	acked  []int64
	failed error
}

// FeedOptions are those of a feed's client.
func FeedOptions() []kgo.Opt {
	return []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1 << 30), kgo.ProducerLinger(0)}
}

// StartFeed writes one record into each partition, again and again, pace apart, over a client that has FeedOptions. When it is stopped, what is not acknowledged has
// as long as flush to be it.
func StartFeed(cl *kgo.Client, topic string, partitions int, pace, flush time.Duration) *Feed {
	ctx, halt := context.WithCancel(context.Background())
	f := &Feed{halt: halt, done: make(chan struct{}), acked: make([]int64, partitions)}
	go func() {
		defer close(f.done)
		for n := 0; wait.For(ctx, pace) == nil; n++ {
			for p := range int32(partitions) {
				cl.Produce(context.Background(), &kgo.Record{Topic: topic, Partition: p, Value: strconv.AppendInt(nil, int64(n), 10)}, f.note)
			}
		}
		rest, cancel := context.WithTimeout(context.Background(), flush)
		defer cancel()
		if err := cl.Flush(rest); err != nil {
			f.note(new(kgo.Record), err)
		}
	}()
	return f
}

func (f *Feed) note(r *kgo.Record, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.failed != nil:
	case err != nil:
		f.failed = err
	case r.Offset != f.acked[r.Partition] || string(r.Value) != strconv.FormatInt(r.Offset, 10):
		f.failed = fmt.Errorf("record %s of partition %d is at offset %d, after %d others", r.Value, r.Partition, r.Offset, f.acked[r.Partition])
	default:
		f.acked[r.Partition]++
	}
}

// Ends is how many records of each partition were acknowledged. The error is a promise broken to the feed itself (T1), or that it had to give up.
func (f *Feed) Ends() ([]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.acked), f.failed
}

// Stop returns when everything is acknowledged.
func (f *Feed) Stop() {
	f.halt()
	<-f.done
}
