package loop

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
)

const (
	watchEvery = 30 * time.Millisecond
	watchTime  = 2 * time.Second // for one answer
)

// Watch reads a group's committed offsets of one topic all the time (G1).
type Watch struct {
	admin *kadm.Client
	group string
	topic string
	halt  context.CancelFunc
	done  chan struct{}

	mu        sync.Mutex
	committed []int64 // as last read
	acked     []int64 // what a commit was acknowledged for
	reads     int
	rewound   []string
}

// StartWatch watches over a client until it is stopped.
func StartWatch(cl *kgo.Client, group, topic string, partitions int) *Watch {
	ctx, halt := context.WithCancel(context.Background())
	w := &Watch{
		admin: kadm.NewClient(cl), group: group, topic: topic, halt: halt, done: make(chan struct{}),
		committed: make([]int64, partitions), acked: make([]int64, partitions),
	}
	go func() {
		defer close(w.done)
		for wait.For(ctx, watchEvery) == nil {
			w.read(ctx)
		}
	}()
	return w
}

// Acked says that a commit was acknowledged: no read that begins now may find less. It is for groups whose commits only go forward.
func (w *Watch) Acked(partition int32, offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[partition] = max(w.acked[partition], offset)
}

// read notes what is committed. No answer, as when the coordinator is dead, says nothing; an answer without an offset that was there says that it is lost.
func (w *Watch) read(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, watchTime)
	defer cancel()
	w.mu.Lock()
	least := slices.Clone(w.acked) // before anybody is asked
	w.mu.Unlock()
	offsets, err := w.admin.FetchOffsets(ctx, w.group)
	if err != nil || offsets.Error() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	for p := range w.committed {
		var now int64
		if o, ok := offsets.Lookup(w.topic, int32(p)); ok {
			now = max(o.At, 0)
		}
		if least := max(least[p], w.committed[p]); now < least {
			w.rewound = append(w.rewound, fmt.Sprintf("%s %s: %s-%d went back from %d to %d", time.Now().UTC().Format("15:04:05.000"), w.group, w.topic, p, least, now))
		}
		w.committed[p] = now
	}
}

// Offsets is what was last read to be committed.
func (w *Watch) Offsets() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.committed)
}

// CaughtUp returns when the group has committed all that the feed had acknowledged when it was called.
func (w *Watch) CaughtUp(ctx context.Context, f *Feed) error {
	goal, err := f.Ends()
	if err != nil {
		return fmt.Errorf("the input: %w", err)
	}
	for {
		at, behind := w.Offsets(), false
		for p := range at {
			behind = behind || at[p] < goal[p] || goal[p] == 0 && at[p] == 0
		}
		if !behind {
			return nil
		}
		if wait.For(ctx, watchEvery) != nil {
			return fmt.Errorf("group %s stays at %v, want %v", w.group, at, goal)
		}
	}
}

// Stop ends the watch, and returns how often it had an answer and each time that an offset had gone back.
func (w *Watch) Stop() (reads int, rewound []string) {
	w.halt()
	<-w.done
	return w.reads, w.rewound
}
