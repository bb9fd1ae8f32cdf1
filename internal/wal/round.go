package wal

import (
	"errors"
	"fmt"
	"sync/atomic"

	"chronik/internal/vfs"
	"chronik/internal/wal/journal"
)

const (
	// shareAt is how many logs may be committed on their own at the same time. Past it, the queued ones share the
	// journal: one sync for all of them.
	shareAt = 3
	// calmRounds is after how many rounds in a row of no more than shareAt logs they go on alone.
	calmRounds = 32
	// A round takes so many logs at most, and stops at so many bytes.
	maxRoundLogs  = 1024
	maxRoundBytes = 1 << 20
	// maxShared is the largest group that goes to the journal: one that is larger pays for its own sync, and would
	// be written twice.
	maxShared = 32 << 10
)

// rounds is the state of a committer's rounds, guarded by its mutex but for the atomics.
type rounds struct {
	journal   *Journal // nil: there are no rounds
	unsettled unsettled
	limit     int         // shareAt
	shareable atomic.Bool // the journal is prepared and has room
	wanted    atomic.Bool // its preparation was asked for
	sharing   atomic.Bool // all that is queued is taken in rounds; set with the mutex held
	calm      int         // rounds in a row that were small
	open      bool        // a round is under way
	alone     fifo        // logs whose next group a round has left to the workers
	busy      atomic.Int32
	order     chan struct{} // to the settler: something to prepare, or to settle
	taken     []*Log        // by the round under way
	joined    []joined      // and what of them takes part in it
	ranges    []journal.Range
}

// joined is a log's part in a round.
type joined struct {
	log   *Log
	group *group
	file  *file
}

// next waits for work: a log to be committed alone, or all that is queued as one round. Neither: the committer
// closes.
func (c *Committer) next() (l *Log, round []*Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.alone.len() > 0:
			return c.alone.pop(), nil
		case c.queue.len() > 0 && !c.shares():
			c.waiting.Add(-1)
			return c.queue.pop(), nil
		case c.queue.len() > 0 && !c.open:
			c.open = true
			return nil, c.takeAll()
		case c.closed && c.queue.len() == 0:
			return nil, nil
		}
		c.wake.Wait()
	}
}

// shares tells whether what is queued goes to the journal. The caller holds the mutex, and the queue is not empty.
func (c *Committer) shares() bool {
	switch {
	case c.journal == nil:
		return false
	case c.sharing.Load():
		return true
	case c.queue.len()+int(c.busy.Load()) <= c.limit:
		return false
	case !c.shareable.Load():
		c.wantJournal()
		return false
	}
	c.sharing.Store(true)
	c.calm = 0
	return true
}

// wantJournal asks the settler to prepare the journal, once.
func (c *Committer) wantJournal() {
	if c.wanted.CompareAndSwap(false, true) {
		c.wakeSettler()
	}
}

func (c *Committer) wakeSettler() {
	select {
	case c.order <- struct{}{}:
	default:
	}
}

// admit tells whether a caller may commit a log itself. If so, done must follow.
func (c *Committer) admit() bool {
	n := c.busy.Add(1)
	switch {
	case c.journal == nil || int(n) <= c.limit && !c.sharing.Load():
		return true
	case !c.shareable.Load():
		c.wantJournal()
		return true
	}
	c.busy.Add(-1)
	return false
}

// takeAll empties the queue, as far as one round goes. The caller holds the mutex.
func (c *Committer) takeAll() []*Log {
	c.taken = c.taken[:0]
	for c.queue.len() > 0 && len(c.taken) < maxRoundLogs {
		c.taken = append(c.taken, c.queue.pop())
	}
	c.waiting.Add(-int32(len(c.taken)))
	return c.taken
}

// pushAlone hands a log, whose turn the committer has, to the workers for a commit of its own.
func (c *Committer) pushAlone(l *Log) {
	c.mu.Lock()
	c.alone.push(l)
	c.mu.Unlock()
	c.wake.Signal()
}

// round commits the next groups of many logs with one sync. Each group is first written into its own segment, which
// is not synced; the journal's record is what makes them all durable.
func (c *Committer) round(logs []*Log) {
	if c.gather(logs) {
		c.commitJoined()
	}
	c.endRound()
}

// gather writes the groups of a round into their segments. It reports whether there is one that the journal is needed for.
func (c *Committer) gather(logs []*Log) bool {
	bytes := int64(0)
	for _, l := range logs {
		if bytes >= maxRoundBytes {
			c.push(l)
			continue
		}
		if g, f := l.join(); g != nil {
			c.joined = append(c.joined, joined{l, g, f})
			bytes += g.bytes
		}
	}
	clear(logs)
	return len(c.joined) > 0
}

// endRound makes way for the next one.
func (c *Committer) endRound() {
	clear(c.joined)
	small := len(c.joined) <= c.limit
	c.joined = c.joined[:0]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	if c.calm++; !small {
		c.calm = 0
	}
	if c.calm >= calmRounds && c.limit > 0 || !c.shareable.Load() {
		c.sharing.Store(false)
	}
	if c.closed || !c.sharing.Load() {
		c.wake.Broadcast() // nobody was woken for what was queued meanwhile
	}
}

// commitJoined makes the groups of a round durable.
func (c *Committer) commitJoined() {
	if len(c.joined) == 1 && c.limit > 0 {
		j := c.joined[0]
		j.group.release()
		j.log.finishAlone(j.file, j.group)
		return
	}
	for _, j := range c.joined {
		seg := j.log.core.active() // changes with the turn only
		c.ranges = append(c.ranges, journal.Range{Key: j.log.key, Segment: seg.number, Pos: j.group.pos, Bufs: j.group.bufs})
	}
	gen, err := c.journal.files.Add(c.ranges)
	clear(c.ranges)
	c.ranges = c.ranges[:0]
	for _, j := range c.joined {
		j.group.release()
	}
	switch {
	case err == nil:
		for _, j := range c.joined {
			j.log.finishShared(j.file, j.group, gen)
		}
		if c.unsettled.fill(gen) {
			c.wakeSettler()
		}
	case errors.Is(err, journal.ErrFull), errors.Is(err, journal.ErrFailed), errors.Is(err, vfs.ErrNoSpace):
		c.withoutJournal(err)
	default:
		c.shareable.Store(false)
		for _, j := range c.joined {
			j.log.fence(fmt.Errorf("sharing the journal: %w", err))
			c.unsettled.lose(j.log.key)
			j.file.release()
			j.log.endTurn()
		}
	}
}

// withoutJournal finishes a round that the journal did not take: each log syncs its own segment.
func (c *Committer) withoutJournal(err error) {
	c.shareable.Store(false)
	if errors.Is(err, journal.ErrFull) {
		c.wakeSettler()
	}
	for _, j := range c.joined {
		j.log.unfinished = j
		c.pushAlone(j.log)
	}
}
