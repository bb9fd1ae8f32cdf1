package runtime

import (
	"slices"
	"sync"
	"sync/atomic"
)

// gate bounds how many load at a time. Those that somebody has asked for come first, then who came first.
type gate struct {
	mu    sync.Mutex
	free  int
	queue []*queued
}

// queued is one who waits for a place.
type queued struct {
	wanted *atomic.Bool
	ready  chan struct{} // closed when it has one
}

// enter waits for a place; leave must follow. False: gone was closed before.
func (g *gate) enter(wanted *atomic.Bool, gone <-chan struct{}) bool {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return true
	}
	q := &queued{wanted, make(chan struct{})}
	g.queue = append(g.queue, q)
	g.mu.Unlock()
	select {
	case <-q.ready:
		return true
	case <-gone:
	}
	g.mu.Lock()
	i := slices.Index(g.queue, q)
	if i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // it was given one meanwhile
		g.leave()
	}
	return false
}

// leave gives a place to the next one.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.free++
		return
	}
	i := max(0, slices.IndexFunc(g.queue, func(q *queued) bool { return q.wanted.Load() }))
	close(g.queue[i].ready)
	g.queue = slices.Delete(g.queue, i, i+1)
}
