package wal

import (
	"errors"
	"io/fs"
	"slices"
	"sort"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// findEntry returns the last index entry of a segment that is not after what is looked for, false if the
// index has none. after must be true from some entry of the segment on.
func (l *Log) findEntry(v *view, after func(indexEntry) bool) (indexEntry, bool) {
	if v.entries > 0 {
		return l.findInFoot(v, after)
	}
	number := v.number
	var e indexEntry
	var ok, broken bool
	var count int64
	l.locked(func(c *core) {
		e, ok = c.index.before(number, after)
		count, broken = c.index.count, c.index.broken
	})
	if ok || broken || count == 0 {
		return e, ok
	}
	f, err := l.segmentFile(indexNumber)
	if err != nil {
		l.indexBroken()
		return indexEntry{}, false
	}
	defer f.release()
	e, ok, err = l.searchFile(f, 0, count, number, after)
	if err != nil {
		l.indexBroken()
	}
	return e, ok
}

var errBadEntry = errors.New("damaged index entry")

// searchBlock is how many entries are read at once when the search has come close.
const searchBlock = 64

// searchFile is the binary search over the entries in a file, from a position on.
func (l *Log) searchFile(f *file, from, count, number int64, after func(indexEntry) bool) (indexEntry, bool, error) {
	past := func(e indexEntry) bool {
		return int64(e.number) > number || int64(e.number) == number && after(e)
	}
	var buf [searchBlock * entryBytes]byte
	lo, hi := int64(0), count // the first entry past is in [lo, hi]
	var best indexEntry
	found := false
	for hi-lo > searchBlock {
		mid := (lo + hi) / 2
		e, err := l.readEntryAt(f, from+mid*entryBytes, buf[:entryBytes])
		if err != nil {
			return indexEntry{}, false, err
		}
		if past(e) {
			hi = mid
		} else {
			best, found, lo = e, true, mid+1
		}
	}
	block := buf[:(hi-lo)*entryBytes]
	if _, err := f.ReadAt(block, from+lo*entryBytes); err != nil {
		return indexEntry{}, false, err
	}
	for ; len(block) > 0; block = block[entryBytes:] {
		e, ok := decodeEntry(block, l.seed)
		if !ok {
			return indexEntry{}, false, errBadEntry
		}
		if past(e) {
			break
		}
		best, found = e, true
	}
	return best, found && int64(best.number) == number, nil
}

func (l *Log) readEntry(f *file, i int64, buf []byte) (indexEntry, error) {
	return l.readEntryAt(f, i*entryBytes, buf)
}

func (l *Log) readEntryAt(f *file, pos int64, buf []byte) (indexEntry, error) {
	if _, err := f.ReadAt(buf, pos); err != nil {
		return indexEntry{}, err
	}
	e, ok := decodeEntry(buf, l.seed)
	if !ok {
		return indexEntry{}, errBadEntry
	}
	return e, nil
}

// indexBroken has the index rebuilt by the next upkeep; until then reads walk from the segment's start.
func (l *Log) indexBroken() {
	l.mu.Lock()
	l.core.index.broken = true
	list := !l.listed && !l.closed
	l.listed = l.listed || list
	l.mu.Unlock()
	if list {
		l.committer.list(l)
	}
}

// flushIndex writes the entries of durable batches to the file, behind the log. It never writes one whose
// batch a crash could take back. The caller has the upkeep. Failing costs memory, not data: it is tried
// again at the next tick.
func (l *Log) flushIndex(idle bool) {
	var entries []indexEntry
	var count int64
	var broken bool
	l.locked(func(c *core) {
		x := &c.index
		n := sort.Search(len(x.tail), func(i int) bool { return x.tail[i].offset >= c.synced })
		if count, broken = x.count, x.broken; !broken && n > 0 && (!idle || n >= idleTail || count > 0) {
			entries = slices.Clone(x.tail[:n])
		}
	})
	if broken {
		l.rebuildIndex()
	}
	if len(entries) == 0 {
		return
	}
	f, err := l.openIndex()
	if err != nil {
		return
	}
	defer f.release()
	buf := make([]byte, 0, len(entries)*entryBytes)
	for i := range entries {
		buf = entries[i].append(buf, l.seed)
	}
	if _, err := f.WriteAt(buf, count*entryBytes); err != nil {
		// A part may be there. It must not outlive the batches that it names.
		if err := f.Truncate(count * entryBytes); err != nil {
			l.indexBroken()
		}
		return
	}
	l.locked(func(c *core) {
		x := &c.index
		x.count += int64(len(entries))
		if x.tail = append(x.tail[:0], x.tail[len(entries):]...); len(x.tail) == 0 {
			x.tail = nil
		}
	})
	// Not durable is not wrong: recovery finds the last valid entry and walks the log from there. The sync
	// bounds that walk.
	if err := f.Sync(); err != nil {
		l.indexBroken()
	}
}

// openIndex opens the index file, making it if it is the first time.
func (l *Log) openIndex() (*file, error) {
	f, err := l.segmentFile(indexNumber)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	vf, err := l.fs.Create(l.path(indexName))
	if err != nil {
		return nil, err
	}
	f = l.committer.files.put(fileKey{l, indexNumber}, vf)
	if err := l.fs.SyncDir(l.dir); err != nil {
		f.release()
		return nil, err
	}
	return f, nil
}

// rebuildIndex makes a new index by walking the headers of all visible batches. The caller has the upkeep.
func (l *Log) rebuildIndex() {
	var segs []view
	var interval int64
	var synced model.Offset
	l.locked(func(c *core) {
		for _, s := range c.segs {
			segs = append(segs, viewOf(s))
		}
		interval, synced = c.cfg.indexInterval(), c.synced
	})
	var body []byte
	var count int64
	end := model.Offset(0)
	for _, v := range segs {
		if v.broken != nil || v.entries > 0 {
			continue
		}
		_ = l.indexSegment(&v, headerBytes, noStats(), interval, func(e indexEntry) {
			if e.offset < synced {
				body, count, end = e.append(body, l.seed), count+1, e.offset+1
			}
		})
	}
	if err := vfs.ReplaceFile(l.fs, l.path(indexName), body); err != nil {
		return
	}
	l.forgetFile(indexNumber)
	l.locked(func(c *core) {
		x := &c.index
		x.broken, x.count = false, count
		n := sort.Search(len(x.tail), func(i int) bool { return x.tail[i].offset >= end })
		x.tail = append([]indexEntry(nil), x.tail[n:]...)
	})
}

// minTrim is how many entries of deleted segments are left alone.
const minTrim = 1024

// trimIndex rewrites the index without the entries of deleted segments, once they are most of it. The
// caller has the upkeep.
func (l *Log) trimIndex() {
	var count, first int64
	wanted := false
	l.locked(func(c *core) {
		x := &c.index
		count, wanted = x.count, x.deleted && !x.broken && len(c.segs) > 0
		if x.deleted = false; wanted {
			first = c.firstIndexed()
		}
	})
	if !wanted || count < 2*minTrim {
		return
	}
	f, err := l.segmentFile(indexNumber)
	if err != nil {
		return
	}
	defer f.release()
	var buf [entryBytes]byte
	var failed error
	dead := int64(sort.Search(int(count), func(i int) bool {
		e, err := l.readEntry(f, int64(i), buf[:])
		if err != nil {
			failed = err
		}
		return int64(e.number) >= first
	}))
	if failed != nil {
		l.indexBroken()
		return
	}
	if dead < count/2 {
		return
	}
	live := make([]byte, (count-dead)*entryBytes)
	if _, err := f.ReadAt(live, dead*entryBytes); err != nil {
		return
	}
	if err := vfs.ReplaceFile(l.fs, l.path(indexName), live); err != nil {
		return // the dead entries only cost space
	}
	l.mu.Lock()
	l.core.index.count = count - dead
	l.mu.Unlock()
	l.forgetFile(indexNumber)
}

// indexSegment walks a segment's batch headers from pos on and calls add for each entry that the index
// should have. It stops at the first header that makes no sense.
func (l *Log) indexSegment(v *view, pos int64, st stats, interval int64, add func(indexEntry)) error {
	f, err := l.segmentFile(v.file)
	if err != nil {
		return err
	}
	defer f.release()
	s := newScanner(f, pos, v.size, false)
	defer s.close()
	last := int64(0)
	for {
		b, err := s.next()
		if err != nil {
			return err
		}
		base := b.head.BaseOffset()
		st.add(base, timeOf(b.head))
		if last == 0 || b.pos-last >= interval {
			add(indexEntry{offset: base, maxTs: st.maxTs, number: uint32(v.number), pos: uint32(b.pos)})
			last = b.pos
		}
	}
}
