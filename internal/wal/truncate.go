package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// Truncate cuts the log back so that it ends at to, or before it where to lies inside of a batch. Appends
// that are queued fail with ErrTruncated, also those below to: they are not in the log yet. The cut is on
// disk, and no stale byte can come back, when Truncate returns (L3). To cut below the log start is to
// restart the log at to, empty.
//
// A crash in the middle leaves the log with a longer part of what it held before, never with a mixture.
func (l *Log) Truncate(to model.Offset) error {
	return l.shorten(to, func(start, end model.Offset) error {
		switch {
		case to >= end:
			return nil
		case to < start:
			return l.restartAt(to)
		}
		if err := l.leaveJournal(); err != nil {
			return err
		}
		return l.cut(to)
	})
}

// Restart empties the log and has it begin at an offset, wherever that lies. In all else it is like Truncate. A log that is empty and
// begins there already stays as it is.
func (l *Log) Restart(at model.Offset) error {
	return l.shorten(at, func(start, end model.Offset) error {
		if start == at && end == at {
			return nil
		}
		return l.restartAt(at)
	})
}

func (l *Log) restartAt(at model.Offset) error {
	if err := l.leaveJournal(); err != nil {
		return err
	}
	return l.restart(at, false)
}

// shorten changes the log with nothing queued or on its way, and no append let in.
func (l *Log) shorten(to model.Offset, change func(start, end model.Offset) error) error {
	l.take(&l.upkeep)
	defer l.give(&l.upkeep)
	l.takeTurn()
	defer l.endTurn()
	if err := l.usable(); err != nil {
		return err
	}
	// Appends that come while the log is cut have no end to go to: they are refused.
	cutting := fmt.Errorf("%s: %w to %d", l.tp, ErrTruncated, to)
	l.refuse(cutting)
	defer l.accept(cutting)
	l.failQueue(cutting)
	l.stopZeroing()
	l.mu.Lock()
	start, end, err := l.core.start, l.core.end, l.space.failed
	l.mu.Unlock()
	if err == nil {
		err = change(start, end)
	}
	if err != nil {
		l.fence(fmt.Errorf("truncating to %d: %w", to, err))
		return l.usable()
	}
	return nil
}

// accept ends a refusal, unless a graver reason has come.
func (l *Log) accept(refused error) {
	l.mu.Lock()
	if l.core.failure == refused {
		l.core.failure = nil
	}
	l.mu.Unlock()
}

// usable tells why the log takes no changes, nil if it does.
func (l *Log) usable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return fmt.Errorf("%s: %w", l.tp, ErrClosed)
	case l.fenced:
		return l.core.failure
	}
	return nil
}

// cut does the work of Truncate within the log. The order of its steps is what makes a crash harmless: the
// mark goes down first, so that what is about to go is no longer claimed; then the index, which must not
// point at what is gone; then the bytes, and the segments behind.
func (l *Log) cut(to model.Offset) error {
	if err := l.syncWritten(); err != nil { // the lowered mark must not claim what only the page cache holds
		return err
	}
	var seg *segment
	var v view
	l.locked(func(c *core) {
		seg = c.segmentAt(to)
		if i := slices.Index(c.segs, seg); i > 0 && to == seg.base {
			seg = c.segs[i-1]
		}
		v = viewOf(seg)
	})
	f, err := l.segmentFile(v.file)
	if err != nil {
		return err
	}
	defer f.release()
	at, err := l.boundary(f, &v, to)
	if err != nil {
		return err
	}
	if start := l.Start(); at.offset < start { // the batch at the cut holds the log start, too
		if err := l.cutProducersTo(at.offset); err != nil {
			return err
		}
		return l.restart(start, true)
	}
	l.generation.Add(1)
	var doomed []*segment
	l.locked(func(c *core) {
		doomed = c.cutTo(seg, at)
		l.space = space{frontier: at.pos, ahead: minAhead}
		l.hints = [numHints]hint{}
		l.spilling = nil
		l.visibleAt.Store(int64(at.offset))
		l.endAt.Store(int64(at.offset))
	})
	if err := l.cutProducers(at.offset); err != nil {
		return err
	}
	if err := l.lowerMark(f); err != nil {
		return err
	}
	if err := l.cutIndex(v.number, at.offset); err != nil {
		return err
	}
	if err := f.Truncate(at.pos); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return l.removeSegments(doomed)
}

// cutPoint is where a log ends after a truncation.
type cutPoint struct {
	offset model.Offset
	pos    int64
	stats  stats
}

// boundary finds the last batch boundary of a segment at or below an offset.
func (l *Log) boundary(f *file, v *view, to model.Offset) (cutPoint, error) {
	at := cutPoint{offset: v.base, pos: headerBytes, stats: noStats()}
	s := newScanner(f, headerBytes, v.size, false)
	defer s.close()
	for {
		b, err := s.next()
		if err == io.EOF || err == nil && b.head.LastOffset() >= to {
			return at, nil
		}
		if err != nil {
			if errors.Is(err, errBadBatch) {
				return at, nil // what is damaged lies above the cut and goes
			}
			return at, err
		}
		at.stats.add(b.head.BaseOffset(), timeOf(b.head))
		at.offset, at.pos = b.head.LastOffset()+1, b.pos+b.size
	}
}

// cutTo makes seg the active segment, ending at a point, and returns those behind it.
func (c *core) cutTo(seg *segment, at cutPoint) (doomed []*segment) {
	for i, s := range c.segs {
		if s == seg {
			doomed = append(doomed, c.segs[i+1:]...)
			c.segs = append([]*segment(nil), c.segs[:i+1]...)
			break
		}
	}
	seg.end, seg.size, seg.stats = at.offset, at.pos, at.stats
	seg.clean.cut(at.pos, at.offset)
	c.visible, c.written, c.end = at.offset, at.offset, at.offset
	c.plan = plan{used: c.plan.used, pos: at.pos, stats: at.stats, gaps: seg.gaps, closed: seg.gen > 0}
	c.uncleaned(seg)
	c.epochs.TruncateFromEnd(at.offset)
	c.txns.TruncateTo(at.offset)
	c.index.cutTail(at.offset)
	c.index.lastPos = 0
	c.marks.pending, c.marks.clean = nil, false
	if len(doomed) > 0 {
		c.marks.unsure = false // the mark that counts now is a seal, which was synced before the next segment was begun
	}
	c.replayed = min(c.replayed, at.offset)
	c.synced, c.unsynced = min(c.synced, at.offset), 0
	return doomed
}

// removeSegments deletes segment files, newest first, durably. Readers that hold one read on.
func (l *Log) removeSegments(segs []*segment) error {
	l.dropFloors()
	if len(segs) == 0 {
		return nil
	}
	for i := len(segs) - 1; i >= 0; i-- {
		l.forgetFile(segs[i].file())
		if err := l.fs.Remove(l.path(segmentName(segs[i].file()))); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.dir)
}

// restart empties the log and has it begin at an offset. The new segment says that those before it are
// leftovers, so that a crash before they are removed brings nothing back. remember says that its producers are those of the new
// beginning.
func (l *Log) restart(at model.Offset, remember bool) error {
	l.generation.Add(1)
	l.mu.Lock()
	c := &l.core
	doomed, number, epoch := c.segs, c.plan.used, c.epoch
	have := c.marks.files
	fresh := newCore(c.cfg)
	fresh.epoch, fresh.plan.used, fresh.failure = epoch, number, c.failure
	fresh.start, fresh.visible, fresh.synced, fresh.written, fresh.end = at, at, at, at, at
	fresh.index.count, fresh.index.broken = c.index.count, c.index.broken
	fresh.floors = c.floors
	if remember {
		fresh.producers = c.producers
	}
	l.mu.Unlock()
	if err := l.dropSnapshots(have); err != nil {
		return err
	}
	if fresh.producers.Len() > 0 {
		err := l.writeFloor(number+1, fresh.producers.AppendSnapshot(nil, at))
		if err != nil && !errors.Is(err, vfs.ErrNoSpace) {
			return err
		}
		fresh.floors = l.core.floors
	}
	g := newGroup()
	g.roll, g.first, g.base, g.end, g.before = true, true, at, at, plan{used: number}
	l.locked(func(c *core) {
		*c = fresh
		g.seal = c.capture()
		l.startAt.Store(int64(at))
		l.visibleAt.Store(int64(at))
		l.endAt.Store(int64(at))
		l.hints, l.spilling = [numHints]hint{}, nil
	})
	if err := l.roll(g); err != nil {
		return err
	}
	l.mu.Lock()
	l.core.plan = g.before
	l.mu.Unlock()
	g.recycle()
	return l.removeSegments(doomed)
}
