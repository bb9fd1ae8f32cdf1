package replica

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Watcher is a parked reader: it is woken when a partition that it watches may have news for it. One
// Watcher watches any number of partitions and is meant to be reused by its connection; it costs no
// goroutine, and no timer besides the one that its owner holds.
type Watcher struct {
	c chan struct{}
}

// NewWatcher returns a Watcher that watches nothing.
func NewWatcher() *Watcher { return &Watcher{c: make(chan struct{}, 1)} }

// C receives after something happened since the last receive. Wakeups collapse into one.
func (w *Watcher) C() <-chan struct{} { return w.c }

func (w *Watcher) wake() {
	select {
	case w.c <- struct{}{}:
	default: // a wakeup is already waiting to be taken, and it says the same
	}
}

// watchers is one partition's list of them. Waking costs one atomic load while nobody is parked.
type watchers struct {
	n    atomic.Int32
	mu   sync.Mutex
	list []*Watcher
}

// Watch registers a parked reader. The caller must look at the partition once more after it registered:
// what happened before is not told. Unwatch must follow.
func (r *Replica) Watch(w *Watcher) {
	r.parked.mu.Lock()
	defer r.parked.mu.Unlock()
	r.parked.list = append(r.parked.list, w)
	r.parked.n.Store(int32(len(r.parked.list)))
}

// Unwatch ends one registration of w.
func (r *Replica) Unwatch(w *Watcher) {
	r.parked.mu.Lock()
	defer r.parked.mu.Unlock()
	i := slices.Index(r.parked.list, w)
	if i < 0 {
		return
	}
	last := len(r.parked.list) - 1
	r.parked.list[i] = r.parked.list[last]
	r.parked.list[last] = nil
	r.parked.list = r.parked.list[:last]
	if last == 0 {
		r.parked.list = nil // an idle partition holds no memory for readers that once were
	}
	r.parked.n.Store(int32(last))
}

// wakeAll wakes every parked reader. Sending to a Watcher never blocks, so the lock is held briefly.
func (p *watchers) wakeAll() {
	if p.n.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.list {
		w.wake()
	}
}
