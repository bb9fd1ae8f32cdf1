package wal

import (
	"context"
	"errors"
	"fmt"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal/compact"
)

const (
	// cleanPace is how much a round reads before it may have to rest: some ten microseconds of work. Whoever has to wait until the
	// processor gets to him waits for such a piece, so that it must be short beside a commit.
	cleanPace = 16 << 10
	// cleanChunk is how much it gathers before it writes.
	cleanChunk = 64 << 10
	// cleanSync is how much it writes before it syncs: so little that a commit whose sync meets that one does not wait for long, as it
	// would for a whole segment at the end.
	cleanSync = 128 << 10
)

// rewrite replaces the segments [from, to) by one that holds what stays of them. One that a round has left, and of which everything
// stays, is left alone.
func (c *cleaning) rewrite(pass *compact.Pass, surveyed model.Offset, from, to int) (err error) {
	w := &segmentWriter{c: c, group: c.segs[from:to], views: c.views[from:to], pos: headerBytes, stats: noStats()}
	defer w.discard()
	first := &c.plan[from]
	if !(to-from == 1 && first.Cleaned && first.CleanedTo >= first.End) {
		if err := w.open(); err != nil {
			return err
		}
	}
	before, removed := int64(0), int64(0)
	end := w.views[len(w.views)-1].end // of the last batch, wherever that is: the last segment may be empty
	for i := range w.views {
		v := &w.views[i]
		before += v.size - headerBytes
		err := c.walk(v, func(b batchAt) error {
			k, err := pass.Batch(b.head, b.head.LastOffset()+1 == end)
			if err != nil {
				return fmt.Errorf("the batch at offset %d: %w", b.head.BaseOffset(), err)
			}
			removed += int64(k.Removed)
			if k.Unreadable {
				c.out.Unreadable++
			}
			return w.add(&k, b.head.BaseOffset())
		})
		if err != nil {
			return err
		}
	}
	if !w.made {
		return nil
	}
	if err := w.finish(surveyed); err != nil {
		return err
	}
	if err := c.log.replace(w); err != nil {
		return err
	}
	c.out.Segments, c.out.Into = c.out.Segments+len(w.group), c.out.Into+1
	c.out.Before, c.out.After, c.out.Removed = c.out.Before+before, c.out.After+w.pos-headerBytes, c.out.Removed+removed
	return nil
}

// segmentWriter writes the segment that takes the place of others. Nothing depends on its file before it has its name.
type segmentWriter struct {
	c     *cleaning
	group []*segment
	views []view

	f        vfs.File // nil: what stays is what is there, so far
	made     bool     // the file has its temporary name
	buf      []byte   // to be written, at pos - len(buf)
	pos      int64    // where the next batch goes
	unsynced int64

	id      identity
	page    []byte
	stats   stats
	records int64
	foot    []byte // index entries
	indexed int64  // position of the last one's batch; 0: there is none
	aborted []model.Offset
}

func (w *segmentWriter) log() *Log { return w.c.log }

func (w *segmentWriter) file() int64 { return fileNumber(w.group[0].number, w.group[0].gen+1) }

func (w *segmentWriter) temp() string { return w.log().path(segmentName(w.file()) + vfs.TempSuffix) }

// open makes the file, with what has stayed so far: all of the only segment, up to pos.
func (w *segmentWriter) open() (err error) {
	fsys := w.log().fs
	if err := fsys.RemoveAll(w.temp()); err != nil {
		return err
	}
	w.f, err = fsys.Create(w.temp())
	w.made = err == nil
	if err != nil || w.pos == headerBytes {
		return err
	}
	src, err := w.log().segmentFile(w.views[0].file)
	if err != nil {
		return err
	}
	defer src.release()
	for at := int64(headerBytes); at < w.pos; {
		n := min(w.pos-at, cleanSync)
		pace := func(_ context.Context, bytes int) error { return w.c.pace(2 * int64(bytes)) }
		if _, err := copyBytes(w.c.ctx, w.f, src, at, at+n, pace); err != nil {
			return err
		}
		if err := w.f.Sync(); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// add appends what stays of a batch.
func (w *segmentWriter) add(k *compact.Kept, base model.Offset) error {
	if !k.Same && w.f == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	if k.Aborted {
		w.aborted = append(w.aborted, base)
	}
	b := k.Batch
	if b == nil {
		return nil
	}
	w.records += int64(b.RecordCount())
	w.stats.add(base, timeOf(b))
	if w.indexed == 0 || w.pos-w.indexed >= w.c.cfg.indexInterval() {
		e := indexEntry{offset: base, maxTs: w.stats.maxTs, number: uint32(w.group[0].number), pos: uint32(w.pos)}
		w.foot, w.indexed = e.append(w.foot, w.log().seed), w.pos
	}
	w.pos += int64(len(b))
	if w.f == nil {
		return nil
	}
	if w.buf = append(w.buf, b...); len(w.buf) < cleanChunk {
		return nil
	}
	return w.flush()
}

func (w *segmentWriter) flush() error {
	n := int64(len(w.buf))
	if n == 0 {
		return nil
	}
	if err := w.c.pace(n); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.buf, w.pos-n); err != nil {
		return err
	}
	w.buf = w.buf[:0]
	if w.unsynced += n; w.unsynced < cleanSync {
		return nil
	}
	w.unsynced = 0
	return w.f.Sync()
}

// finish writes what is missing and makes the file durable.
func (w *segmentWriter) finish(surveyed model.Offset) error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.header(surveyed); err != nil {
		return err
	}
	foot := w.foot
	for _, marker := range w.aborted {
		foot = appendAborted(foot, marker, w.log().seed)
	}
	if _, err := w.f.WriteAt(foot, w.pos); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.page, 0); err != nil {
		return err
	}
	if err := w.f.Sync(); err != nil {
		return err
	}
	err := w.f.Close()
	w.f = nil
	return err
}

// header makes the header page: the first segment's identity, and the last one's marks, which know the producers as of the same
// offset. A seal that leans on the mark before it does so here, too.
func (w *segmentWriter) header(surveyed model.Offset) error {
	first, last := w.group[0], w.group[len(w.group)-1]
	id, _, err := w.headerOf(first)
	if err != nil {
		return err
	}
	_, old, err := w.headerOf(last)
	if err != nil {
		return err
	}
	m, ok := latestMark(old)
	if !ok || m.offset != last.end || m.flags&markSealed == 0 {
		return &CorruptError{Segment: last.file(), Offset: last.end, Err: errors.New("its mark does not seal it")}
	}
	id.gaps = true
	id.cleaned = cleaned{
		gen: first.gen + 1, empty: w.records == 0, surveyed: surveyed, foot: w.pos, through: w.through(),
		entries: uint32(len(w.foot) / entryBytes), aborted: uint32(len(w.aborted)),
	}
	w.id, w.page = id, make([]byte, headerBytes)
	id.encode(w.page)
	m.pos, m.stats, m.flags = w.pos, w.stats, markSealed|markCleaned
	m.encode(w.page[markPos(m.seq):], identitySum(w.page))
	before, ok := decodeMark(old[markPos(m.seq+1):][:markBytes], identitySum(old))
	if ok && m.spilled[stateProducers] && !before.spilled[stateProducers] {
		before.pos = min(before.pos, w.pos)
		before.encode(w.page[markPos(before.seq):], identitySum(w.page))
	}
	return nil
}

func (w *segmentWriter) headerOf(s *segment) (identity, []byte, error) {
	page := make([]byte, headerBytes)
	f, err := w.log().segmentFile(s.file())
	if err != nil {
		return identity{}, nil, err
	}
	defer f.release()
	if _, err := f.ReadAt(page, 0); err != nil {
		return identity{}, nil, err
	}
	id, err := decodeIdentity(page)
	if err != nil {
		return id, nil, &CorruptError{Segment: s.file(), Offset: s.base, Err: err}
	}
	return id, page, nil
}

// through is the number of the last segment that the new one stands for.
func (w *segmentWriter) through() int64 {
	last := w.group[len(w.group)-1]
	return max(last.number, last.through)
}

// segment is the new segment as memory knows it.
func (w *segmentWriter) segment() *segment {
	first, last := w.group[0], w.group[len(w.group)-1]
	s := &segment{number: first.number, base: first.base, end: last.end, size: w.pos, stats: w.stats, gaps: true, cleaned: w.id.cleaned}
	s.whole = true
	s.clean.add(span{from: headerBytes, to: w.pos, next: last.end})
	return s
}

// discard removes the file if it did not get its name. One that stays is found by the next open.
func (w *segmentWriter) discard() {
	if w.f != nil {
		_ = w.f.Close()
	}
	if w.made {
		_ = w.log().fs.RemoveAll(w.temp())
	}
}
