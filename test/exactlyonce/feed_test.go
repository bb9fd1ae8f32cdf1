package exactlyonce

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

// pace is between two records of a partition.
const pace = 30 * time.Millisecond

// feed writes numbered records: record n of a partition says n, and is at offset n of the input. Its producer is idempotent and does not give up.
type feed struct {
	halt context.CancelFunc
	done chan struct{}

	mu     sync.Mutex
	acked  [partitions]int64
	failed error
}

func startFeed(t *testing.T, bootstrap string) *feed {
	t.Helper()
	cl := connect(t, bootstrap, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1<<30), kgo.ProducerLinger(0))
	ctx, halt := context.WithCancel(context.Background())
	f := &feed{halt: halt, done: make(chan struct{})}
	t.Cleanup(f.stop)
	go func() {
		defer close(f.done)
		for n := 0; wait.For(ctx, pace) == nil; n++ {
			for p := range int32(partitions) {
				cl.Produce(context.Background(), &kgo.Record{Topic: input, Partition: p, Value: strconv.AppendInt(nil, int64(n), 10)}, f.note)
			}
		}
		rest, cancel := context.WithTimeout(context.Background(), roundTime)
		defer cancel()
		if err := cl.Flush(rest); err != nil {
			f.note(new(kgo.Record), err)
		}
	}()
	return f
}

func (f *feed) note(r *kgo.Record, err error) {
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

// ends is how many records of each partition were acknowledged.
func (f *feed) ends() ([partitions]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked, f.failed
}

// stop returns when everything is acknowledged.
func (f *feed) stop() {
	f.halt()
	<-f.done
}

// watch reads the group's committed offsets all the time.
type watch struct {
	halt context.CancelFunc
	done chan struct{}

	mu        sync.Mutex
	committed [partitions]int64
	reads     int
	rewound   []string
}

func startWatch(t *testing.T, bootstrap string) *watch {
	t.Helper()
	admin := kadm.NewClient(connect(t, bootstrap))
	ctx, halt := context.WithCancel(context.Background())
	w := &watch{halt: halt, done: make(chan struct{})}
	t.Cleanup(w.stop)
	go func() {
		defer close(w.done)
		for wait.For(ctx, 30*time.Millisecond) == nil {
			w.read(ctx, admin)
		}
	}()
	return w
}

// read notes what is committed. No answer, as when the coordinator is dead, says nothing; an answer without an offset that was there says that it is lost.
func (w *watch) read(ctx context.Context, admin *kadm.Client) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil || offsets.Error() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	for p := range int32(partitions) {
		var now int64
		if o, ok := offsets.Lookup(input, p); ok {
			now = max(o.At, 0)
		}
		if now < w.committed[p] {
			w.rewound = append(w.rewound, fmt.Sprintf("%s partition %d went back from %d to %d", time.Now().UTC().Format("15:04:05.000"), p, w.committed[p], now))
		}
		w.committed[p] = now
	}
}

func (w *watch) offsets() [partitions]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed
}

func (w *watch) stop() {
	w.halt()
	<-w.done
}
