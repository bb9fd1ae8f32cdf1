package wal

import (
	"errors"
	"io"
	"io/fs"
	"slices"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal/producer"
)

// cutProducers takes the producer state back to the log's new end: by its own means if it can, else from
// the last state before that is known, and the log (L6). The snapshot files, which may know what was cut off, follow.
func (l *Log) cutProducers(end model.Offset) error {
	if err := l.cutProducersTo(end); err != nil {
		return err
	}
	return l.cutSnapshots()
}

func (l *Log) cutProducersTo(end model.Offset) error {
	var segs []*segment
	done := false
	l.locked(func(c *core) {
		done = c.producers.TruncateTo(end)
		segs = slices.Clone(c.segs)
	})
	if done {
		return nil
	}
	state, err := l.producersAt(segs, end)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.core.producers = state
	l.mu.Unlock()
	return nil
}

// filedProducers reads the producer state from its file, if it is one of end or before.
func (l *Log) filedProducers(end model.Offset) (p producer.State, at model.Offset, ok bool, err error) {
	body, err := vfs.ReadFile(l.fs, l.path(producer.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return producer.State{}, 0, false, nil
	}
	if err != nil {
		return producer.State{}, 0, false, err
	}
	p, at, damage := producer.LoadSnapshot(body)
	return p, at, damage == nil && at <= end, nil
}

// markedProducers finds the newest producer state of end or before that lies in a mark. Where the newest mark
// of a segment has left it to a file, the one before it in the other slot often has not.
func (l *Log) markedProducers(segs []*segment, end model.Offset) (p producer.State, at model.Offset, ok bool, err error) {
	page := make([]byte, headerBytes)
	for _, s := range slices.Backward(segs) {
		if s.base > end {
			continue
		}
		if there, err := l.readHeader(s, page); err != nil {
			return producer.State{}, 0, false, err
		} else if !there {
			continue
		}
		latest, valid := latestMark(page)
		if !valid {
			continue
		}
		for slot := range uint64(markSlots) {
			m, valid := decodeMark(page[markPos(slot):][:markBytes], identitySum(page))
			// One above the newest was cut off by a truncation.
			if !valid || m.seq%markSlots != slot || m.offset > min(end, latest.offset) || ok && m.offset < at || m.spilled[stateProducers] {
				continue
			}
			if p2, end2, err := producer.LoadSnapshot(m.inline[stateProducers]); err == nil && end2 == m.offset {
				p, at, ok = p2, m.offset, true
			} else if len(m.inline[stateProducers]) == 0 {
				p, at, ok = producer.State{}, m.offset, true
			}
		}
		if ok {
			return p, at, true, nil
		}
	}
	return producer.State{}, 0, false, nil
}

// readHeader reads a segment's header page, false if there is none.
func (l *Log) readHeader(s *segment, page []byte) (bool, error) {
	f, err := l.segmentFile(s.file())
	if err != nil {
		return false, err
	}
	defer f.release()
	if _, err := f.ReadAt(page, 0); err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	id, damage := decodeIdentity(page)
	return damage == nil && id.number == s.number && id.gen == s.gen && id.topicID == l.topicID, nil
}

// cutSnapshots replaces the snapshot files that know what is cut off by those of the log's new end, before
// anything goes: whatever a crash leaves, they are true. Nothing is queued, and all is synced.
func (l *Log) cutSnapshots() error {
	var stale [stateKinds]bool
	var s snapshots
	l.locked(func(c *core) {
		c.capture() // which finds out what outgrows a mark
		stale, s.end = c.marks.files, c.end
		for k, reach := range c.marks.reach {
			if stale[k] && reach > 0 && reach <= c.end && !c.marks.doubtful[k] {
				stale[k] = false
			} else if stale[k] || c.marks.wanted[k] {
				s.body[k] = c.snapshotOf(k)
			}
		}
	})
	err := l.writeSnapshots(&s)
	if errors.Is(err, vfs.ErrNoSpace) {
		return l.dropSnapshots(stale)
	}
	return err
}

// dropSnapshots removes the snapshot files, which know what is cut off. They are written again when they are
// needed.
func (l *Log) dropSnapshots(have [stateKinds]bool) error {
	if have == [stateKinds]bool{} {
		return nil
	}
	for k, file := range have {
		if !file {
			continue
		}
		if err := l.fs.RemoveAll(l.path(stateFiles[k])); err != nil {
			return err
		}
		l.mu.Lock()
		l.core.marks.files[k], l.core.marks.reach[k], l.core.marks.doubtful[k] = false, 0, false
		l.core.marks.spillAt = spillEvery
		l.mu.Unlock()
	}
	return l.fs.SyncDir(l.dir)
}

// lowerMark writes and syncs a mark of the log's end as it is in memory.
func (l *Log) lowerMark(f *file) error {
	page := make([]byte, headerBytes)
	if _, err := f.ReadAt(page, 0); err != nil {
		return err
	}
	old, _ := latestMark(page)
	var m *mark
	l.locked(func(c *core) {
		l.markSeed = identitySum(page)
		m = c.capture()
		m.flags = markRedo
	})
	if err := l.writeMark(f, old.seq+1, m); err != nil {
		return err
	}
	return l.syncFile(f)
}

// cutIndex drops the entries of a segment at end and above, and of those behind it, from the index file,
// durably: one that came back after a crash could point into a batch that was written later.
func (l *Log) cutIndex(number int64, end model.Offset) error {
	l.mu.Lock()
	count, broken := l.core.index.count, l.core.index.broken
	l.mu.Unlock()
	if count == 0 && !broken {
		return nil
	}
	f, err := l.segmentFile(indexNumber)
	if err != nil {
		return err
	}
	defer f.release()
	keep := count
	var buf [entryBytes]byte
	for lo := int64(0); lo < keep; {
		mid := (lo + keep) / 2
		e, err := l.readEntry(f, mid, buf[:])
		if errors.Is(err, errBadEntry) {
			keep, broken = 0, true
			break
		}
		if err != nil {
			return err
		}
		if int64(e.number) > number || int64(e.number) == number && e.offset >= end {
			keep = mid
		} else {
			lo = mid + 1
		}
	}
	if broken {
		keep = 0
	}
	if err := f.Truncate(keep * entryBytes); err != nil {
		return err
	}
	l.mu.Lock()
	l.core.index.count = keep
	l.mu.Unlock()
	return f.Sync()
}
