package wal

import (
	"errors"
	"fmt"
	"slices"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// replace puts a segment that is written and synced in the place of those that it stands for.
//
// One rename decides: before it the old segments are the log, after it the new one is, and recovery takes what it stands for out of what it
// finds (dropReplaced). The file gets a name that no other ever had, so that whoever is about to open an old one finds that,
// or nothing. Nothing else happens to the log's files until the old ones are gone for good: the caller's upkeep sees to that. So no old
// one can come back beside, or instead of, what follows.
func (l *Log) replace(w *segmentWriter) error {
	l.take(&l.upkeep)
	defer l.give(&l.upkeep)
	if err := l.usable(); err != nil {
		return fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	if err := w.c.interrupted(); err != nil {
		return err
	}
	if !l.holds(w.group) {
		return fmt.Errorf("%w: segments were deleted meanwhile", ErrInterrupted)
	}
	if err := l.fs.Rename(w.temp(), l.path(segmentName(w.file()))); err != nil {
		if errors.Is(err, vfs.ErrNoSpace) {
			return err
		}
		return l.failReplacing(w, err)
	}
	w.made = false
	if err := l.fs.SyncDir(l.dir); err != nil {
		return l.failReplacing(w, err)
	}
	l.publish(w)
	for _, s := range w.group {
		l.forgetFile(s.file())
		if err := l.fs.Remove(l.path(segmentName(s.file()))); err != nil {
			return l.failReplacing(w, err)
		}
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return l.failReplacing(w, err)
	}
	l.dropFloors()
	return nil
}

// failReplacing fences the log: what is on the disk may be the old, the new or both, and only the next open finds out (D3).
func (l *Log) failReplacing(w *segmentWriter, err error) error {
	cause := fmt.Errorf("replacing segments by %s: %w", segmentName(w.file()), err)
	l.takeTurn()
	l.fence(cause)
	l.endTurn()
	return fmt.Errorf("%w: %w", ErrFenced, cause)
}

// holds tells whether the log still consists of these segments, among others.
func (l *Log) holds(group []*segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.core.segs, group[0])
	return at >= 0 && at+len(group) < len(l.core.segs) && slices.Equal(l.core.segs[at:at+len(group)], group)
}

// publish makes the new segment part of the log in memory.
func (l *Log) publish(w *segmentWriter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, s := &l.core, w.segment()
	at := slices.Index(c.segs, w.group[0])
	c.segs = slices.Concat(c.segs[:at], []*segment{s}, c.segs[at+len(w.group):])
	c.txns.Retain(s.base, s.end, func(marker model.Offset) bool { return slices.Contains(w.aborted, marker) })
	c.index.tail = slices.DeleteFunc(c.index.tail, func(e indexEntry) bool {
		return int64(e.number) >= s.number && int64(e.number) <= s.through
	})
	c.index.deleted = true // entries of these are of no use any more
}
