package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// step is one request, or one round of them, of a closed loop that is not about single records. It returns the latency that counts.
type step func(ctx context.Context) (took time.Duration, err error)

// steps is such a loop: each worker makes one step after the other.
type steps struct {
	halted atomic.Bool
	made   atomic.Int64

	mu        sync.Mutex
	latencies *Latencies
	first     error
}

// steps runs the workers through warm-up and window, fills in rates and latencies, and returns how many steps were made
// in all. It returns the first error of any step, after all workers have ended.
func (r *run) steps(ctx context.Context, workers []step) (int64, error) {
	s := &steps{latencies: NewLatencies()}
	span := newSpan(&r.opts)
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() { s.work(ctx, span, w) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	m := meter{count: s.made.Load, broker: r.opts.BrokerPIDs, progress: r.progress}
	w, err := m.watch(ctx, span, done)
	s.halted.Store(true)
	<-done
	if err = errors.Join(s.first, err); err != nil {
		return 0, fmt.Errorf("the load ended after %d steps: %w", s.made.Load(), err)
	}
	r.result.SetWindow(w, 0, r.opts.BrokerPIDs)
	sum := s.latencies.Summary()
	r.result.Latency = &sum
	return s.made.Load(), nil
}

func (s *steps) work(ctx context.Context, span Span, next step) {
	own := NewLatencies()
	for !s.halted.Load() {
		began := time.Now()
		took, err := next(ctx)
		if err != nil {
			s.halted.Store(true)
			s.mu.Lock()
			if s.first == nil {
				s.first = err
			}
			s.mu.Unlock()
			break
		}
		s.made.Add(1)
		if span.Holds(began) {
			own.Record(took)
		}
	}
	s.mu.Lock()
	s.latencies.Merge(own)
	s.mu.Unlock()
}
