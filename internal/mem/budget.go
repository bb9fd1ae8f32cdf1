package mem

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"chronik/internal/invariant"
)

// ErrOverBudget is what errors.Is reports for a request larger than the whole budget: waiting would be for ever.
var ErrOverBudget = errors.New("larger than the whole memory budget")

// Budget bounds a number of bytes that many share. Those who wait are served in the order in which they came, however
// much they want: a large request is never starved by small ones behind it.
type Budget struct {
	limit int64

	mu          sync.Mutex
	inUse       int64
	first, last *waiter // the queue; nil when empty
	waiting     int
}

// waiter is one call of Acquire in the queue.
type waiter struct {
	bytes      int64
	granted    chan struct{} // closed, under the lock, when the bytes are its own
	prev, next *waiter
	queued     bool
}

// NewBudget makes a budget of limit bytes, which must be positive.
func NewBudget(limit int64) *Budget {
	invariant.Assert(limit > 0, "mem: a budget of no bytes")
	return &Budget{limit: limit}
}

// Limit returns the size of the budget in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// InUse returns the bytes that are acquired and not yet released.
func (b *Budget) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inUse
}

// Waiting returns how many calls of Acquire wait.
func (b *Budget) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

// TryAcquire takes n bytes if they are free and nobody waits, and tells whether it did.
func (b *Budget) TryAcquire(n int64) bool {
	invariant.Assert(n >= 0, "mem: a negative number of bytes acquired")
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tryLocked(n)
}

func (b *Budget) tryLocked(n int64) bool {
	if b.first != nil || n > b.limit-b.inUse {
		return false
	}
	b.inUse += n
	return true
}

// Acquire takes n bytes, waiting behind those who came before. It fails at once with ErrOverBudget if n exceeds the
// limit, and with ctx's error if that ends before the bytes are free; then nothing is taken.
func (b *Budget) Acquire(ctx context.Context, n int64) error {
	invariant.Assert(n >= 0, "mem: a negative number of bytes acquired")
	if n > b.limit {
		return fmt.Errorf("%d bytes are asked for, %d is the limit: %w", n, b.limit, ErrOverBudget)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if b.tryLocked(n) {
		b.mu.Unlock()
		return nil
	}
	w := b.enqueueLocked(n)
	b.mu.Unlock()

	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.queued {
		b.dequeueLocked(w)
	} else { // granted in the same moment
		b.inUse -= n
	}
	b.grantLocked()
	return ctx.Err()
}

// Release returns n acquired bytes, and serves those who wait for them.
func (b *Budget) Release(n int64) {
	invariant.Assert(n >= 0, "mem: a negative number of bytes released")
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.inUse {
		invariant.Failf("mem: %d bytes released to a budget of which %d are in use", n, b.inUse)
	}
	b.inUse -= n
	b.grantLocked()
}

// grantLocked serves the queue from its head as far as the free bytes go.
func (b *Budget) grantLocked() {
	for w := b.first; w != nil && w.bytes <= b.limit-b.inUse; w = b.first {
		b.dequeueLocked(w)
		b.inUse += w.bytes
		close(w.granted)
	}
}

func (b *Budget) enqueueLocked(n int64) *waiter {
	w := &waiter{bytes: n, granted: make(chan struct{}), prev: b.last, queued: true}
	if b.last == nil {
		b.first = w
	} else {
		b.last.next = w
	}
	b.last = w
	b.waiting++
	return w
}

func (b *Budget) dequeueLocked(w *waiter) {
	if w.prev == nil {
		b.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		b.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
	b.waiting--
}
