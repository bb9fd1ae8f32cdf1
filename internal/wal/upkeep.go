package wal

import (
	"errors"
	"fmt"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// What upkeep waits for before it writes.
const (
	// indexTail is how many entries may wait in memory while the log is busy, idleTail while it is idle: an
	// idle log needs no index file for less, because a read finds its way from the last entry there is.
	indexTail = 1024
	idleTail  = 8
)

// afterGroup does what can wait until the waiters know. The caller has the turn.
func (l *Log) afterGroup(f *file, g *group) {
	l.makeAhead(f, g)
	l.committer.dropBehind(f.key, g)
	l.listAfter(g)
}

// listAfter has upkeep look after a log that has grown.
func (l *Log) listAfter(g *group) {
	l.mu.Lock()
	list := !l.listed
	l.listed = true
	urgent := len(l.core.index.tail) >= indexTail && !l.upkeep.taken
	l.core.marks.spillAt += g.bytes
	l.mu.Unlock()
	if list {
		l.committer.list(l)
	}
	if urgent {
		select {
		case l.committer.upkeep <- l:
		default: // the next tick does it
		}
	}
}

// keepUp writes what must not be left in memory for long, off the commit path: index entries, snapshot
// files, and the mark of a log that is idle, or whose mark has not gone with a group since the last tick.
func (l *Log) keepUp() {
	l.take(&l.upkeep)
	defer l.give(&l.upkeep)
	l.fenceIdle()
	over, behind, idle, late := l.lookAfter(l.committer.clockMs.Load())
	if over {
		return
	}
	l.trimIndex()
	l.flushIndex(idle)
	_ = l.spill(false)
	if behind && (idle || late) {
		l.takeTurn()
		l.markAlone()
		l.endTurn()
	}
	again := false
	l.locked(func(c *core) {
		again = !l.listed && !l.closed && !l.fenced && (c.marks.onDisk < c.written || c.spillDue())
		l.listed = l.listed || again
	})
	if again {
		l.committer.list(l)
	}
}

// lookAfter forgets what may be forgotten, and tells what has to be written: whether the mark is behind the log, whether the log is idle, and
// whether a mark that was due has gone with no group. over: nothing any more.
func (l *Log) lookAfter(nowMs int64) (over, behind, idle, late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listed = false
	if l.closed || l.fenced {
		return true, false, false, false
	}
	c := &l.core
	l.space.groups, l.space.full = 0, false
	if c.cfg.ProducerExpiryMs > 0 {
		c.producers.Expire(nowMs, c.cfg.ProducerExpiryMs)
	}
	c.producers.Trim()
	behind = c.marks.onDisk < c.written || c.synced < c.written
	idle = c.head == nil && c.inflight == nil
	late = c.marks.due || c.marks.pending != nil
	c.marks.due = behind && !idle
	return false, behind, idle, late
}

// markAlone writes and syncs a mark without a group to go with. The caller has the turn.
func (l *Log) markAlone() {
	l.mu.Lock()
	c := &l.core
	seg, seq := c.active(), c.marks.seq
	if seg == nil || l.fenced || l.closed || c.marks.onDisk >= c.written && c.synced >= c.written {
		l.mu.Unlock()
		return
	}
	unsynced, written := c.synced < c.written, c.written
	l.mu.Unlock()
	f, err := l.segmentFile(seg.file())
	if err == nil {
		defer f.release()
		if unsynced {
			err = l.syncTo(f, written)
		}
	}
	if err != nil {
		l.fence(err)
		return
	}
	var m *mark
	l.locked(func(c *core) { m = c.loneMark() })
	if m == nil {
		return
	}
	if err = l.writeMark(f, seq+1, m); errors.Is(err, vfs.ErrNoSpace) {
		return // the mark before stays good
	}
	if err == nil {
		err = l.syncFile(f)
	}
	if err != nil {
		l.fence(fmt.Errorf("keeping the mark of %s: %w", f.name, err))
		return
	}
	l.settled()
}

// loneMark takes the mark that may be written now, nil if there is none.
func (c *core) loneMark() *mark {
	m := c.marks.pending
	if c.head == nil {
		m = c.capture() // nothing is queued: the state is that of the synced end
	}
	if m == nil || m.offset > c.synced || !c.mayMark() || !c.serves(m) {
		return nil
	}
	c.marks.pending, c.marks.due, c.marks.since = nil, false, 0
	return m
}

// syncWritten makes durable in the segment what relaxed flushing has left unsynced, or only the journal holds. The
// caller has the turn.
func (l *Log) syncWritten() error {
	l.mu.Lock()
	seg, written, done := l.core.active(), l.core.written, l.core.synced >= l.core.written && !l.journaled
	l.mu.Unlock()
	if done {
		return nil
	}
	f, err := l.segmentFile(seg.file())
	if err != nil {
		return err
	}
	defer f.release()
	return l.syncTo(f, written)
}

// syncTo makes durable what was written and, with relaxed flushing, not yet synced.
func (l *Log) syncTo(f *file, written model.Offset) error {
	if err := l.syncFile(f); err != nil {
		return fmt.Errorf("syncing %s: %v", f.name, err) // final (D3), whatever it is
	}
	l.locked(func(c *core) { c.settle(written) })
	l.settled()
	return nil
}
