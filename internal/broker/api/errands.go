package api

import (
	"context"
	"sync"
)

// errands are what a Broker has under way that no handler waits for: questions to coordinators, and topics that are being created. They stand on what
// the Broker stands on, and end before it.
type errands struct {
	ctx  context.Context // ends with the Broker
	stop context.CancelFunc

	mu   sync.Mutex
	out  int
	home sync.Cond // none is out any more
}

func (e *errands) open() {
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.home.L = &e.mu
}

// begin sends one out; end must follow.
func (e *errands) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out++
}

func (e *errands) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.out--; e.out == 0 {
		e.home.Broadcast()
	}
}

// run has one done on a goroutine of its own.
func (e *errands) run(f func()) {
	e.begin()
	go func() {
		defer e.end()
		f()
	}()
}

// close hurries them, and returns when all are done.
func (e *errands) close() {
	e.stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.out > 0 {
		e.home.Wait()
	}
}
