package wal

import (
	"errors"

	"chronik/internal/model"
	"chronik/internal/record"
)

// dropReplaced takes out of what was found the files that a round of compaction has replaced and not removed yet. It had renamed the new
// segment before, whole and synced; that name is made durable before the old ones go.
func (r *recovery) dropReplaced() (gone []found, err error) {
	var keep []found
	through := int64(-1)
	for i := range r.found {
		s := &r.found[i]
		again := i+1 < len(r.found) && r.found[i+1].number == s.number
		switch {
		case s.number <= through && (len(keep) == 0 || keep[len(keep)-1].number != s.number):
			gone = append(gone, *s)
		case again && r.found[i+1].err == nil:
			gone = append(gone, *s)
		case len(keep) > 0 && keep[len(keep)-1].number == s.number: // its header is damaged, and what it replaces is there
			gone = append(gone, *s)
		default:
			keep = append(keep, *s)
			if s.err == nil && s.gen > 0 {
				through = max(through, s.id.through)
			}
		}
	}
	if len(gone) == 0 {
		return nil, nil
	}
	r.found = keep
	return gone, r.l.fs.SyncDir(r.l.dir)
}

// installCleaned takes over what a round of compaction says of a segment.
func (r *recovery) installCleaned(seg *segment, s *found) {
	seg.gen = s.gen
	if s.gen == 0 || s.err != nil {
		return
	}
	seg.cleaned = s.id.cleaned
	seg.whole = s.marked && s.mark.flags&markCleaned != 0 && s.mark.pos == s.id.foot && s.size >= s.id.footEnd()
	if !seg.whole {
		seg.entries, seg.aborted, seg.empty = 0, 0, false
		r.c.index.broken = r.index // it may have entries of what the segment was before
	}
}

// dropEnded takes those transactions out of the index that no longer count: a snapshot may be older than the round that has
// found nothing left of them. Their markers may be gone, so that readers would take what follows for aborted too (T2).
func (r *recovery) dropEnded() error {
	for _, s := range r.c.segs {
		if !s.whole || r.c.txns.Len() == 0 {
			continue
		}
		stays, err := r.l.abortedOf(s)
		if err != nil {
			return err
		}
		r.c.txns.Retain(s.base, s.end, func(marker model.Offset) bool { return stays[marker] })
	}
	return nil
}

// abortedOf returns the markers of the aborted transactions that a segment says still count; if that is damaged, all those that are
// in the segment.
func (l *Log) abortedOf(s *segment) (map[model.Offset]bool, error) {
	stays := make(map[model.Offset]bool)
	if s.aborted == 0 {
		return stays, nil
	}
	f, err := l.segmentFile(s.file())
	if err != nil {
		return nil, err
	}
	defer f.release()
	b := make([]byte, int64(s.aborted)*abortedBytes)
	if _, err := f.ReadAt(b, s.footEnd()-int64(len(b))); err != nil {
		return nil, err
	}
	for ; len(b) > 0; b = b[abortedBytes:] {
		marker, ok := decodeAborted(b, l.seed)
		if !ok {
			return l.markersIn(f, s)
		}
		stays[marker] = true
	}
	return stays, nil
}

func (l *Log) markersIn(f *file, s *segment) (map[model.Offset]bool, error) {
	markers := make(map[model.Offset]bool)
	scan := newScanner(f, headerBytes, s.size, true)
	defer scan.close()
	for {
		b, err := scan.next()
		if err != nil {
			if errors.Is(err, errBadBatch) || scan.pos >= s.size {
				return markers, nil
			}
			return nil, err
		}
		if !b.head.IsControl() || int64(len(b.head)) < b.size {
			continue
		}
		if m, err := record.ParseControl(b.head); err == nil && m.Type == record.Abort {
			markers[b.head.BaseOffset()] = true
		}
	}
}
