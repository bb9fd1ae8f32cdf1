package wal

import (
	"errors"

	"chronik/internal/model"
	"chronik/internal/wal/producer"
)

// cutProducers takes the producer state back to the log's new end: by its own means if it can, else from
// the last mark before, and the log (L6).
func (l *Log) cutProducers(seg *segment, end model.Offset) error {
	l.mu.Lock()
	done := l.core.producers.TruncateTo(end)
	segs := append([]*segment(nil), l.core.segs...)
	start := segs[0].base
	spilled := l.core.marks.files
	l.mu.Unlock()
	if done {
		return l.dropSnapshots(spilled)
	}
	scratch := newCore(Config{})
	scratch.segs = segs
	known := [stateKinds]model.Offset{end, start, end}
	for i := len(segs) - 2; i >= 0; i-- {
		if p, ok := l.producersAt(segs[i]); ok {
			scratch.producers, known[stateProducers] = p, max(start, segs[i].end)
			break
		}
	}
	if err := l.replayFrom(&scratch, known[stateProducers], end, &known); err != nil {
		return err
	}
	scratch.producers.Settle(end)
	l.mu.Lock()
	l.core.producers = scratch.producers
	l.mu.Unlock()
	return l.dropSnapshots(spilled)
}

// producersAt reads the producer state at the end of a sealed segment from its mark.
func (l *Log) producersAt(s *segment) (producer.State, bool) {
	f, err := l.segmentFile(s.number)
	if err != nil {
		return producer.State{}, false
	}
	defer f.release()
	page := make([]byte, headerBytes)
	if _, err := f.ReadAt(page, 0); err != nil {
		return producer.State{}, false
	}
	if _, err := decodeIdentity(page); err != nil {
		return producer.State{}, false
	}
	m, ok := latestMark(page)
	if !ok || m.spilled[stateProducers] || m.offset != s.end {
		return producer.State{}, false
	}
	if len(m.inline[stateProducers]) == 0 {
		return producer.State{}, true
	}
	p, end, err := producer.LoadSnapshot(m.inline[stateProducers])
	return p, err == nil && end == s.end
}

// dropSnapshots removes the snapshot files, which may know what was cut off. They are written again when
// they are needed.
func (l *Log) dropSnapshots(have [stateKinds]bool) error {
	any := false
	for k, file := range have {
		if file {
			any = true
			if err := l.fs.RemoveAll(l.path(stateFiles[k])); err != nil {
				return err
			}
		}
	}
	if !any {
		return nil
	}
	l.mu.Lock()
	l.core.marks.files = [stateKinds]bool{}
	l.core.marks.spillAt = spillEvery
	l.mu.Unlock()
	return l.fs.SyncDir(l.dir)
}

// lowerMark writes and syncs a mark of the log's end as it is in memory.
func (l *Log) lowerMark(f *file) error {
	page := make([]byte, headerBytes)
	if _, err := f.ReadAt(page, 0); err != nil {
		return err
	}
	old, _ := latestMark(page)
	l.mu.Lock()
	l.markSeed = identitySum(page)
	m := l.core.capture()
	m.flags = markRedo
	l.mu.Unlock()
	if err := l.writeMark(f, old.seq+1, m); err != nil {
		return err
	}
	return f.Sync()
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
