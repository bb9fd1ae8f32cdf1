package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
)

// DeleteBefore moves the log start up to an offset, at most to the durable end, and removes the segments
// that lie wholly below. The new start is durable when it returns. A start at or below the present one
// changes nothing.
func (l *Log) DeleteBefore(off model.Offset) (model.Offset, error) {
	_, err := l.deleteTo(off, false)
	return l.Start(), err
}

// deleteTo moves the log start and removes what lies below. empty says that the active segment is to be
// removed too, if the log still ends there.
func (l *Log) deleteTo(to model.Offset, empty bool) (deleted int, err error) {
	deleted, err = l.tryDelete(to, empty)
	if !errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, ErrFenced) {
		return deleted, err
	}
	// Deleting must get a full disk going again (E3): what is remembered already goes first.
	part := l.remembered(to)
	if part <= l.Start() {
		return deleted, err
	}
	if deleted, err = l.tryDelete(part, false); err != nil {
		return deleted, err
	}
	rest, err := l.tryDelete(to, empty)
	return deleted + rest, err
}

func (l *Log) tryDelete(to model.Offset, empty bool) (deleted int, err error) {
	doomed, err := l.leave(to, empty)
	if err != nil || len(doomed) == 0 {
		return 0, err
	}
	// Nobody but readers knows these files any more, and deleting big ones takes time: not within the turn.
	for i, s := range doomed {
		name := l.path(segmentName(s.file()))
		l.forgetFile(s.file())
		if err := l.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return i, fmt.Errorf("deleting %s, which the next start repeats: %w", name, err)
		}
	}
	return len(doomed), l.fs.SyncDir(l.dir)
}

// leave moves the log start, and returns the segments that the log has left behind.
func (l *Log) leave(to model.Offset, empty bool) (doomed []*segment, err error) {
	l.take(&l.upkeep)
	defer l.give(&l.upkeep)
	if empty {
		l.takeTurn()
		err := l.usable()
		if err == nil {
			err = l.rollEmpty(to)
		}
		l.endTurn()
		if err != nil {
			return nil, err
		}
	}
	if err := l.usable(); err != nil {
		return nil, err
	}
	first, err := l.keepFloor(to)
	if err != nil {
		return nil, err
	}
	l.takeTurn()
	doomed, err = l.moveStart(to, first)
	l.endTurn()
	if len(doomed) > 0 {
		l.dropFloors()
	}
	return doomed, err
}

// remembered is how far the log could be deleted, at most to an offset, without a new snapshot of its
// producers.
func (l *Log) remembered(to model.Offset) model.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.core
	part := c.start
	for _, s := range c.segs {
		if s.end <= min(to, c.marks.reach[stateProducers]) {
			part = max(part, s.end)
		}
	}
	return part
}

// EnforceRetention deletes whole segments from the front by time and by size, as Kafka does, none that
// reaches above limit, the high watermark. It returns how many segments it deleted. A log whose active
// segment has expired too begins a new one.
func (l *Log) EnforceRetention(limit model.Offset) (deleted int, err error) {
	nowMs := l.now().UnixMilli()
	var to model.Offset
	var all, idle bool
	l.locked(func(c *core) {
		to, all = c.expired(nowMs, limit)
		idle = c.start >= to
	})
	if idle {
		return 0, nil
	}
	return l.deleteTo(to, all)
}

// expired is the offset up to which retention deletes. all means that this is the end of the log, and
// that the active segment goes too.
func (c *core) expired(nowMs int64, limit model.Offset) (to model.Offset, all bool) {
	to = c.start
	total := int64(0)
	for _, s := range c.segs {
		total += s.size - headerBytes
	}
	for i, s := range c.segs {
		last := i == len(c.segs)-1
		if s.end > limit || s.end == s.base || last && (c.head != nil || c.inflight != nil || c.end != s.end) {
			break
		}
		data := s.size - headerBytes
		byTime := c.cfg.RetentionMs >= 0 && (s.empty || s.stats.maxTs != record.NoTimestamp && nowMs-s.stats.maxTs > c.cfg.RetentionMs)
		bySize := c.cfg.RetentionBytes >= 0 && total-data >= c.cfg.RetentionBytes && !last
		if !byTime && !bySize {
			break
		}
		total -= data
		to, all = s.end, last
	}
	return to, all
}

// rollEmpty begins an empty segment at the log's end, so that the one before can be deleted. It does
// nothing if the log has gone on meanwhile. The caller has the turn.
func (l *Log) rollEmpty(end model.Offset) error {
	var g *group
	l.locked(func(c *core) { g = c.emptyRoll(end) })
	if g == nil {
		return nil
	}
	if err := l.roll(g); err != nil {
		l.failGroup(nil, fmt.Errorf("beginning a segment: %w", err))
		return fmt.Errorf("%s: %w", l.tp, err)
	}
	l.mu.Lock()
	l.core.inflight = nil
	l.mu.Unlock()
	g.recycle()
	return nil
}

// emptyRoll puts a group without batches in flight that begins a segment; nil if the log does not end at
// end. Appends that come meanwhile queue behind it.
func (c *core) emptyRoll(end model.Offset) *group {
	if c.end != end || c.head != nil || c.plan.pos == headerBytes {
		return nil
	}
	g := newGroup()
	g.roll, g.base, g.end, g.before, g.gaps = true, end, end, c.plan, c.plan.gaps
	g.seal, g.floor = c.capture(), c.takeFloor()
	g.seal.flags = markSealed
	c.marks.pending = nil
	c.plan = plan{used: c.plan.used + 1, pos: headerBytes, stats: noStats(), gaps: g.gaps}
	c.inflight = g
	return g
}

// moveStart makes a new log start durable, and takes the segments below first, none if that is nil, out of the log. The
// caller, who has turn and upkeep, deletes their files.
func (l *Log) moveStart(to model.Offset, first *segment) (doomed []*segment, err error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if end := l.DurableEnd(); to > end {
		return nil, fmt.Errorf("%s: %w: cannot delete up to %d, the durable end is %d", l.tp, ErrOutOfRange, to, end)
	}
	l.mu.Lock()
	c := &l.core
	seg, idle := c.active(), to <= c.start || len(c.segs) == 0
	if first == nil && !idle {
		first = c.segs[0]
	}
	l.mu.Unlock()
	if idle {
		return nil, nil
	}
	if err := l.persistStart(seg, first.base, to); err != nil {
		if !errors.Is(err, vfs.ErrNoSpace) {
			l.fence(err)
		}
		return nil, fmt.Errorf("%s: moving the log start to %d: %w", l.tp, to, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return c.startAt(to, first, &l.startAt), nil
}

// startAt moves the start in memory and returns the segments before first, which lie wholly below it.
func (c *core) startAt(to model.Offset, first *segment, published *atomic.Int64) []*segment {
	c.start, c.marks.clean = to, false
	c.marks.lean = false // the log that is left is whole, or rememberProducers has written the file; and this mark alone holds the start
	published.Store(int64(to))
	c.epochs.TruncateFromStart(to)
	c.txns.DropBefore(to)
	n := slices.Index(c.segs, first)
	doomed := c.segs[:n:n]
	if n > 0 {
		c.index.deleted = true
		c.segs = slices.Clone(c.segs[n:])
	}
	return doomed
}

// below counts the segments that lie wholly below an offset, but for the active one.
func (c *core) below(off model.Offset) (n int) {
	for n < len(c.segs)-1 && c.segs[n].end <= off {
		n++
	}
	return n
}

// persistStart writes the last mark again with another log start, and syncs it. The segments below base may
// go then.
func (l *Log) persistStart(seg *segment, base, start model.Offset) error {
	f, err := l.segmentFile(seg.file())
	if err != nil {
		return err
	}
	defer f.release()
	if err := l.syncWritten(); err != nil { // relaxed flushing may have left the mark before unsynced
		return err
	}
	page := make([]byte, headerBytes)
	if _, err := f.ReadAt(page, 0); err != nil {
		return err
	}
	l.mu.Lock()
	seq := l.core.marks.seq
	l.mu.Unlock()
	m, ok := latestMark(page)
	if !ok || m.seq != seq {
		return &CorruptError{Segment: seg.number, Offset: seg.base, Err: fmt.Errorf("the mark %d is damaged", seq)}
	}
	if err := l.rememberProducers(&m, base); err != nil {
		return err
	}
	m.logStart = start
	m.flags = m.flags&^markClean | markRedo
	if err := l.writeMark(f, seq+1, &m); err != nil {
		return err
	}
	if err := l.syncFile(f); err != nil {
		return fmt.Errorf("syncing the log start in %s: %v", f.name, err) // final (D3), whatever it is
	}
	return nil
}
