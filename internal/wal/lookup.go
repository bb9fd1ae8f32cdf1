package wal

import (
	"errors"
	"fmt"
	"io"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// TimestampOffset is a record's place and time. Offset is model.NoOffset where no record matches.
type TimestampOffset struct {
	Offset    model.Offset
	Timestamp int64 // ms since 1970
}

var notFound = TimestampOffset{Offset: model.NoOffset, Timestamp: record.NoTimestamp}

// maxUnpacked bounds what a batch is decompressed to for a lookup, in bytes.
const maxUnpacked = 256 << 20

// LookupTime finds the first record below limit whose timestamp is ts, in ms, or later.
func (l *Log) LookupTime(ts int64, limit model.Offset) (TimestampOffset, error) {
	for {
		if found, err := l.lookupTime(ts, limit); !errors.Is(err, errReplaced) {
			return found, err
		}
	}
}

func (l *Log) lookupTime(ts int64, limit model.Offset) (TimestampOffset, error) {
	l.mu.Lock()
	limit = min(limit, l.core.visible)
	start := l.core.start
	var candidates []view
	for _, s := range l.core.segs {
		if s.stats.maxTs >= ts && s.end > start && s.base < limit {
			candidates = append(candidates, viewOf(s))
		}
	}
	l.mu.Unlock()
	for i := range candidates {
		v := &candidates[i]
		found, err := l.findTime(v, l.timeFrom(v, ts), start, limit, ts)
		if err != nil || found != notFound {
			return found, err
		}
	}
	return notFound, nil
}

// MaxTimestamp finds the first record that has the greatest timestamp of the log (KIP-734); none if that
// lies at limit or above.
func (l *Log) MaxTimestamp(limit model.Offset) (TimestampOffset, error) {
	for {
		if found, err := l.maxTimestamp(limit); !errors.Is(err, errReplaced) {
			return found, err
		}
	}
}

func (l *Log) maxTimestamp(limit model.Offset) (TimestampOffset, error) {
	l.mu.Lock()
	limit = min(limit, l.core.visible)
	start := l.core.start
	best, partial := view{maxTs: record.NoTimestamp}, view{maxTs: record.NoTimestamp}
	for _, s := range l.core.segs {
		switch {
		case s.end <= start:
		case s.base < start && s.stats.maxTsAt < start: // its newest batch may be deleted
			partial = viewOf(s)
		case s.stats.maxTs > best.maxTs:
			best = viewOf(s)
		}
	}
	l.mu.Unlock()
	if partial.maxTs >= best.maxTs && partial.maxTs != record.NoTimestamp {
		err := l.newestSince(&partial, start)
		if err != nil {
			return notFound, err
		}
		if partial.maxTs >= best.maxTs { // it is the first segment
			best = partial
		}
	}
	if best.maxTs == record.NoTimestamp {
		return notFound, nil
	}
	from := cutPoint{offset: best.base, pos: headerBytes}
	e, ok := l.findEntry(&best, func(e indexEntry) bool { return e.offset > best.maxTsAt })
	if ok {
		from = cutPoint{offset: e.offset, pos: int64(e.pos)}
	}
	return l.findTime(&best, from, start, limit, best.maxTs)
}

// newestSince sets the greatest timestamp of a segment to that of its batches from start on.
func (l *Log) newestSince(v *view, start model.Offset) error {
	if v.broken != nil {
		return fmt.Errorf("%s: %w", l.tp, v.broken)
	}
	f, err := l.segmentFile(v.file)
	if err != nil {
		return fmt.Errorf("%s: %w", l.tp, l.gone(v, err))
	}
	defer f.release()
	s := newScanner(f, headerBytes, v.size, true)
	defer s.close()
	r := reader{log: l, v: *v, gen: l.generation.Load()}
	st := noStats()
	for {
		b, err := s.next()
		if err == io.EOF {
			v.maxTs, v.maxTsAt = st.maxTs, st.maxTsAt
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.tp, r.damage(s.pos, start, err))
		}
		switch {
		case b.head.LastOffset() < start:
		case b.head.BaseOffset() >= start:
			st.add(b.head.BaseOffset(), timeOf(b.head))
		default: // the batch's newest record may be one of those before the log start
			newest := int64(record.NoTimestamp)
			err := eachTime(f, b, func(off model.Offset, ts int64) bool {
				if off >= start {
					newest = max(newest, ts)
				}
				return true
			})
			if err != nil {
				return fmt.Errorf("%s: %w", l.tp, err)
			}
			st.add(b.head.BaseOffset(), newest)
		}
	}
}

// timeFrom is where to begin looking for a timestamp in a segment: the last index entry before which
// everything is older.
func (l *Log) timeFrom(v *view, ts int64) cutPoint {
	e, ok := l.findEntry(v, func(e indexEntry) bool { return e.maxTs >= ts })
	if !ok {
		return cutPoint{offset: v.base, pos: headerBytes}
	}
	return cutPoint{offset: e.offset, pos: int64(e.pos)}
}

// findTime walks a segment from a batch boundary on to the first record in [start, limit) that is not
// older than ts. It checks what it reads.
func (l *Log) findTime(v *view, from cutPoint, start, limit model.Offset, ts int64) (TimestampOffset, error) {
	if v.broken != nil {
		return notFound, fmt.Errorf("%s: %w", l.tp, v.broken)
	}
	f, err := l.segmentFile(v.file)
	if err != nil {
		return notFound, fmt.Errorf("%s: %w", l.tp, l.gone(v, err))
	}
	defer f.release()
	s := newScanner(f, from.pos, v.size, true)
	defer s.close()
	chk := checker{log: l, gaps: v.gaps, expect: from.offset, end: v.end}
	r := reader{log: l, v: *v, gen: l.generation.Load()}
	for {
		b, err := s.next()
		if err == nil {
			err = chk.check(b.head)
		}
		if err == io.EOF || err == nil && b.head.BaseOffset() >= limit {
			return notFound, nil
		}
		if err != nil {
			return notFound, fmt.Errorf("%s: %w", l.tp, r.damage(s.pos, chk.expect, err))
		}
		if b.head.LastOffset() < start || timeOf(b.head) < ts {
			continue
		}
		found, err := firstSince(f, b, start, ts)
		if err != nil {
			return notFound, fmt.Errorf("%s: %w", l.tp, err)
		}
		switch {
		case found == notFound:
		case found.Offset >= limit:
			return notFound, nil
		default:
			return found, nil
		}
	}
}

// firstSince looks for the record inside of a batch.
func firstSince(f *file, at batchAt, start model.Offset, ts int64) (TimestampOffset, error) {
	if b := at.head; b.TimestampType() == record.LogAppendTime && b.RecordCount() == b.LastOffsetDelta()+1 {
		return TimestampOffset{max(b.BaseOffset(), start), b.MaxTimestamp()}, nil
	}
	found := notFound
	err := eachTime(f, at, func(off model.Offset, t int64) bool {
		if t >= ts && off >= start {
			found = TimestampOffset{off, t}
		}
		return found == notFound
	})
	return found, err
}

// eachTime visits the records of a batch, with their times, until visit returns false.
func eachTime(f *file, at batchAt, visit func(off model.Offset, ts int64) bool) error {
	b := at.head
	if int64(len(b)) < at.size {
		b = make(record.Batch, at.size)
		if _, err := f.ReadAt(b, at.pos); err != nil {
			return err
		}
	}
	appended := b.TimestampType() == record.LogAppendTime
	data := b.Records()
	if c := b.Codec(); c != compress.None {
		var err error
		if data, err = compress.Decompress(nil, data, c, maxUnpacked); err != nil {
			return fmt.Errorf("the batch at offset %d: %w", b.BaseOffset(), err)
		}
	}
	it := record.NewIterator(data, b.RecordCount())
	var r record.Record
	for it.Next(&r) {
		off := b.BaseOffset() + model.Offset(r.OffsetDelta)
		t := b.BaseTimestamp() + r.TimestampDelta
		if appended {
			t = b.MaxTimestamp()
		}
		if !visit(off, t) {
			return nil
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("the batch at offset %d: %w", b.BaseOffset(), err)
	}
	return nil
}
