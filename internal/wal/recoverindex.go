package wal

import (
	"errors"
	"io"

	"chronik/internal/model"
)

// unindexed is how many bytes of log before the mark may lack index entries without a walk at open: a read
// steps over them.
const unindexed = 64 << 10

// openIndex finds the last entry of the index file that can be believed. Entries behind it are dropped.
func (r *recovery) openIndex() (err error) {
	x := &r.c.index
	if !r.index {
		return nil
	}
	f, err := r.l.segmentFile(indexNumber)
	if err != nil {
		return err
	}
	defer f.release()
	size, err := f.Size()
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && (size != x.count*entryBytes || r.found[len(r.found)-1].mark.flags&markRedo != 0) {
			err = cutDurably(f, x.count*entryBytes)
		}
	}()
	var buf [entryBytes]byte
	active := r.c.active()
	for x.count = size / entryBytes; x.count > 0; x.count-- {
		e, err := r.l.readEntry(f, x.count-1, buf[:])
		if err != nil && !errors.Is(err, errBadEntry) && err != io.EOF {
			return err
		}
		if err == nil && e.offset < active.end && int64(e.number) <= active.number {
			if int64(e.number) == active.number {
				x.lastPos = int64(e.pos)
			}
			return nil
		}
	}
	return nil
}

// cutDurably cuts a file so that what is behind never comes back: an entry of a batch that was truncated would
// mislead reads once the log has grown past it. The process before may have cut it and not synced it, or
// its sync may have failed: therefore the length changes in any case (D3).
func cutDurably(f *file, size int64) error {
	if err := f.Truncate(size + entryBytes); err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

// fillIndex adds the entries that a crash has lost, if they are so many that reads would feel it. New
// entries of the tail past the mark are there already; these go before them.
func (r *recovery) fillIndex() error {
	x, l := &r.c.index, r.l
	last := indexEntry{number: uint32(r.c.segs[0].number), pos: headerBytes, offset: -1}
	if x.count > 0 {
		f, err := l.segmentFile(indexNumber)
		if err != nil {
			return err
		}
		var buf [entryBytes]byte
		e, err := l.readEntry(f, x.count-1, buf[:])
		f.release()
		if err != nil {
			return err
		}
		if int64(e.number) >= r.c.segs[0].number {
			last = e
		}
	}
	scanned := x.tail
	var missing []indexEntry
	for i, s := range r.c.segs {
		v := viewOf(s)
		if v.number < int64(last.number) || v.broken != nil || v.entries > 0 {
			continue
		}
		if i == len(r.c.segs)-1 && len(scanned) > 0 {
			v.size = int64(scanned[0].pos)
		}
		pos, st := int64(headerBytes), noStats()
		if v.number == int64(last.number) {
			pos, st.maxTs = int64(last.pos), last.maxTs
		}
		if v.size-pos < unindexed {
			continue
		}
		err := l.indexSegment(&v, pos, st, r.c.cfg.indexInterval(), func(e indexEntry) {
			if e.offset > last.offset {
				missing = append(missing, e)
			}
		})
		if err != io.EOF && !errors.Is(err, errBadBatch) {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	x.tail = append(missing, scanned...)
	if e := x.tail[len(x.tail)-1]; int64(e.number) == r.c.active().number {
		x.lastPos = int64(e.pos)
	}
	return nil
}

// note adds an entry for a batch of the active segment if the last one is an interval away. maxTs is the
// greatest timestamp of the segment up to the batch and with it.
func (x *index) note(interval, number, maxTs int64, base model.Offset, pos int64) {
	if x.lastPos == 0 || pos-x.lastPos >= interval {
		x.add(indexEntry{offset: base, maxTs: maxTs, number: uint32(number), pos: uint32(pos)})
	}
}
