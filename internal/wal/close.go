package wal

import (
	"fmt"
)

// Close refuses new appends, writes and syncs what is queued, and leaves a clean mark, so that the next
// Open has nothing to scan. A fenced log is closed without one; the error says so. Closing again does
// nothing.
func (l *Log) Close() error {
	l.refuse(ErrClosed)
	l.stopCleaning()
	l.take(&l.upkeep)
	defer l.give(&l.upkeep)
	l.takeTurn()
	defer l.endTurn()
	if l.isClosed() {
		return nil
	}
	l.refuse(ErrClosed) // again: a truncation may have ended in between
	for l.commit(false) {
	}
	l.stopZeroing()
	err := l.finish()
	l.shut()
	if err != nil {
		return fmt.Errorf("closing the log of %s: %w", l.tp, err)
	}
	return nil
}

// Abandon refuses new appends, fails those that are queued with cause (nil: ErrClosed), and leaves the
// files as they are: the log was fenced, or is being deleted. When it returns nothing uses the files but
// regions that were read before.
func (l *Log) Abandon(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	err := fmt.Errorf("%w: %w", ErrClosed, cause)
	l.refuse(err)
	l.stopCleaning()
	l.take(&l.upkeep)
	defer l.give(&l.upkeep)
	l.takeTurn()
	defer l.endTurn()
	if l.isClosed() {
		return
	}
	l.failQueue(fmt.Errorf("%s: %w", l.tp, err))
	l.stopZeroing()
	l.shut()
}

// refuse has every append from now on fail.
func (l *Log) refuse(err error) {
	l.mu.Lock()
	if l.core.failure == nil {
		l.core.failure = err
	}
	l.mu.Unlock()
}

// Failure is why the log takes no appends, for good or as long as it is being cut; nil if it does.
func (l *Log) Failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.failure
}

func (l *Log) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// shut ends the use of the files.
func (l *Log) shut() {
	l.partJournal()
	l.mu.Lock()
	l.closed = true
	if l.core.failure == nil {
		l.core.failure = ErrClosed // a truncation has ended in between
	}
	segs := l.core.segs
	l.mu.Unlock()
	l.forgetFile(indexNumber)
	for _, s := range segs {
		l.forgetFile(s.file())
	}
}

// keepForNext writes the snapshot files that the last mark is going to count on. Without them a mark may only
// say what the log that is left can tell.
func (l *Log) keepForNext(m *mark) error {
	err := l.spill(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.core.segs[0].base == 0 || l.core.serves(m) {
		return nil
	}
	return err
}

// finish leaves the files as a clean stop does: derived state written, the active segment cut to its data,
// and a mark that says so. The caller has turn and upkeep, and nothing is queued.
func (l *Log) finish() error {
	l.mu.Lock()
	seg, fenced, failure := l.core.active(), l.fenced, l.core.failure
	done := seg == nil || l.core.marks.clean
	l.mu.Unlock()
	if fenced {
		return failure
	}
	if done {
		return nil
	}
	f, err := l.segmentFile(seg.file())
	if err != nil {
		return err
	}
	defer f.release()
	var m *mark
	var size, frontier int64
	var seq uint64
	l.locked(func(c *core) {
		size, frontier, seq = seg.size, l.space.frontier, c.marks.seq
		m = c.capture()
		m.flags = markClean
	})
	if err := l.syncWritten(); err != nil {
		l.fence(err)
		return err
	}
	l.flushIndex(true)
	if err := l.keepForNext(m); err != nil {
		return err
	}
	if frontier > size {
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	if err := l.writeMark(f, seq+1, m); err != nil {
		return err
	}
	if err := l.syncFile(f); err != nil {
		l.fence(fmt.Errorf("syncing the clean mark of %s: %w", f.name, err))
		return err
	}
	return nil
}
