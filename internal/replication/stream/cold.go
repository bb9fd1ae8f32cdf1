package stream

import (
	"sync"

	"chronik/internal/model"
	"chronik/internal/replication"
)

const (
	// coldPerLink is how many reads of one link may be waiting, under way or not yet sent. It bounds the memory that they take.
	coldPerLink = 4
	// coldBytes is how much one read asks for. It is sent a quantum at a time: a disk is read best in large pieces, a link is shared best in small ones.
	coldBytes = 1 << 20
)

// coldRead is one read from a log, before and after.
type coldRead struct {
	lane   *Lane
	number replication.Subscription // that it is read for
	from   model.Offset
	most   int
	wakes  uint64 // of the lane, before it was known that something has to be read
	found  Batches
	err    error
}

// ColdReads is the lane in which batches are read from logs for followers that are too far behind to be fed from memory. All links of a broker share
// it, so that they never take more than a few readers' part of the disk.
type ColdReads struct {
	mu      sync.Mutex
	readers int // that may run
	running int
	waiting []*coldRead
}

// NewColdReads makes a lane of so many readers. They are goroutines only while there is something to read.
func NewColdReads(readers int) *ColdReads { return &ColdReads{readers: max(1, readers)} }

func (c *ColdReads) submit(r *coldRead) {
	c.mu.Lock()
	c.waiting = append(c.waiting, r)
	start := c.running < c.readers
	if start {
		c.running++
	}
	c.mu.Unlock()
	if start {
		go c.work()
	}
}

// work reads until there is nothing more to read. Each link has only so many reads here, so the oldest first is fair.
func (c *ColdReads) work() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.running--
			c.waiting = nil
			c.mu.Unlock()
			return
		}
		r := c.waiting[0]
		c.waiting[0] = nil
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		if s := r.lane.sender; !s.over() {
			r.found, r.err = r.lane.partition.Read(r.from, r.most)
			s.coldDone(r)
		}
	}
}

// drop lets go of what was read.
func (r *coldRead) drop() {
	if r.found.Owner != nil {
		r.found.Owner.Release()
	}
	r.found = Batches{}
}
