package runtime

import (
	"sync"

	"chronik/internal/coordinator/shard"
)

// crew works off the seats to which something has happened, by no more goroutines than there are processors. A goroutine takes one seat after the
// other: many are due at once when a sync has settled batches of many of them, and each goroutine of its own would cost more than what it has to do.
type crew[M shard.Machine] struct {
	running *sync.WaitGroup
	size    int

	mu   sync.Mutex
	due  []*seat[M] // each has the turn, and nobody works on it
	busy int
}

// take has somebody work off a seat whose turn the caller has.
func (c *crew[M]) take(s *seat[M]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.due = append(c.due, s); c.busy < c.size {
		c.busy++
		c.running.Go(c.work)
	}
}

func (c *crew[M]) work() {
	for s := c.next(); s != nil; s = c.next() {
		s.work(false, nil)
	}
}

// next is the seat that is due for the longest; nil: none is, and the caller is not busy any more.
func (c *crew[M]) next() *seat[M] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.due) == 0 {
		c.due = nil
		c.busy--
		return nil
	}
	s := c.due[0]
	c.due[0] = nil
	c.due = c.due[1:]
	return s
}
