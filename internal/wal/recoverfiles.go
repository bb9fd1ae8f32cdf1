package wal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// found is a segment file as it lies on the disk.
type found struct {
	file   int64 // see segment.file
	number int64
	gen    uint32
	size   int64
	id     identity
	page   []byte // of the last segment only
	mark   mark
	marked bool
	rotten bool // one of its two marks is damaged
	seed   uint32
	err    error // the header is not valid
}

// list finds out what is in the directory.
func (r *recovery) list() error {
	entries, err := r.l.fs.ReadDir(r.l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		file, ok := parseSegmentName(e.Name)
		switch {
		case ok:
			r.found = append(r.found, found{file: file, number: file & (1<<genShift - 1), gen: uint32(file >> genShift)})
		case e.Name == indexName:
			r.index = true
		case strings.HasSuffix(e.Name, vfs.TempSuffix):
			_ = r.l.fs.Remove(r.l.path(e.Name)) // a file that was never completed
		}
		if number, ok := parseFloorName(e.Name); ok {
			r.c.floors = append(r.c.floors, number)
		}
		if k := slices.Index(stateFiles[:], e.Name); k >= 0 {
			r.c.marks.files[k] = true
		}
	}
	slices.SortFunc(r.found, func(a, b found) int { return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.gen, b.gen)) })
	return nil
}

// header reads a segment's header page.
func (r *recovery) header(s *found, last bool) error {
	f, err := r.l.segmentFile(s.file)
	if err != nil {
		return err
	}
	defer f.release()
	if s.size, err = f.Size(); err != nil {
		return err
	}
	page := make([]byte, headerBytes)
	if n, err := f.ReadAt(page, 0); err != nil && (err != io.EOF || int64(n) < min(s.size, headerBytes)) {
		return err
	}
	if s.id, s.err = decodeIdentity(page); s.err != nil {
		if errors.Is(s.err, errHeaderVersion) {
			return fmt.Errorf("%s: %w", f.name, s.err)
		}
		return nil
	}
	if s.id.topicID != r.l.topicID || s.id.partition != r.l.tp.Partition {
		return &IdentityError{Dir: r.l.dir, Found: s.id.topicID, Want: r.l.topicID,
			FoundPartition: s.id.partition, WantedPartition: r.l.tp.Partition}
	}
	if s.id.number != s.number || s.id.gen != s.gen {
		s.err = fmt.Errorf("%w: the file says that it is %s", errNoHeader, segmentName(fileNumber(s.id.number, s.id.gen)))
		return nil
	}
	s.mark, s.marked = latestMark(page)
	s.rotten = damagedMark(page)
	s.seed = identitySum(page)
	if last {
		s.page = page // its mark aliases it
	} else {
		s.mark.inline = [stateKinds][]byte{}
	}
	return nil
}

// drop removes the files that are not segments of the log: a roll that did not get as far as a synced
// header, what a truncation or a reset was about to remove, and what lies below the log start.
func (r *recovery) drop() error {
	var gone []found
	unborn, err := r.unborn()
	if err != nil {
		return err
	}
	if unborn {
		n := len(r.found) - 1
		gone, r.found = append(gone, r.found[n]), r.found[:n]
	}
	for i := range slices.Backward(r.found) { // what lies before a restart is leftovers, and so are their marks
		if s := &r.found[i]; s.err == nil && s.id.first {
			gone, r.found = append(gone, r.found[:i]...), r.found[i:]
			break
		}
	}
	replaced, err := r.dropReplaced()
	if err != nil {
		return err
	}
	gone = append(gone, replaced...)
	for i := range r.found {
		if s := &r.found[i]; s.err == nil && s.marked {
			r.c.start = max(r.c.start, s.mark.logStart)
		}
	}
	for i := range r.found {
		s := &r.found[i]
		if s.err != nil || !s.marked || s.mark.flags&markSealed != 0 || i == len(r.found)-1 {
			continue
		}
		if s.rotten { // the damaged mark was the newest: no truncation leaves one beside another
			s.marked = false
			continue
		}
		gone = append(gone, r.found[i+1:]...) // a segment is sealed before the next is begun
		r.found = r.found[:i+1]
		break
	}
	first := 0
	for i := range r.found {
		if s := &r.found[i]; s.err == nil && s.id.base <= r.c.start {
			first = i
		}
	}
	if err := r.readLast(); err != nil {
		return err
	}
	if first > 0 && r.tellsOfProducers(first-1) {
		first--
	}
	gone, r.found = append(gone, r.found[:first]...), r.found[first:]
	if len(gone) > 0 {
		if err := r.settleHeader(); err != nil {
			return err
		}
	}
	for _, s := range gone {
		r.l.forgetFile(s.file)
		if err := r.l.fs.Remove(r.l.path(segmentName(s.file))); err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return r.l.fs.SyncDir(r.l.dir)
}

// tellsOfProducers tells whether a segment below the log start may be all that knows of some producers (T1). A deletion
// sees to it that the first segment that it leaves has a floor. One that reaches the log's end leaves the active segment: once
// that is rolled it lies below the start, and its batches, or the mark in it that the seal leans on, may be in no
// snapshot. It waits for the next deletion then.
func (r *recovery) tellsOfProducers(i int) bool {
	last, next := &r.found[len(r.found)-1], &r.found[i+1]
	if s := &r.found[i]; s.err != nil || !s.marked || s.mark.offset != next.id.base {
		return false // what is left of a deletion that was cut short
	}
	if slices.Contains(r.c.floors, next.number) {
		return false
	}
	m := &last.mark
	return last.err != nil || !last.marked || m.spilled[stateProducers] || len(m.inline[stateProducers]) > 0 || m.offset < next.id.base
}

// unborn tells whether the last file is a segment that never came to be: the process, or the power, ended
// while its header was written. The one before is still there then, unless this is the very first.
func (r *recovery) unborn() (bool, error) {
	n := len(r.found)
	if n == 0 || n == 1 && r.found[0].number > 0 {
		return false, nil
	}
	s := &r.found[n-1]
	if s.err == nil && s.marked || s.size <= headerBytes {
		return s.err != nil || !s.marked, nil
	}
	f, err := r.l.segmentFile(s.file)
	if err != nil {
		return false, err
	}
	defer f.release()
	scan := newScanner(f, headerBytes, s.size, false)
	defer scan.close()
	return scan.zeroUntil(headerBytes)
}

// install makes segments of the files. Those before the last are sealed: their size is known, and their
// bytes are checked when they are first read.
func (r *recovery) install() {
	for i := range r.found {
		s := &r.found[i]
		seg := &segment{number: s.number, base: s.id.base, end: s.mark.offset, size: s.mark.pos, stats: s.mark.stats, gaps: s.id.gaps}
		r.installCleaned(seg, s)
		if !s.marked {
			seg.size, seg.stats = max(s.size, headerBytes), noStats()
		}
		if i > 0 {
			prev := r.c.segs[i-1]
			if s.err != nil {
				seg.base = prev.end
			}
			if r.found[i-1].err != nil || !r.found[i-1].marked {
				prev.end = seg.base
			}
			if prev.end != seg.base {
				r.corrupt(prev, prev.end, fmt.Errorf("the next segment begins at offset %d", seg.base))
			}
		}
		seg.end = max(seg.end, seg.base)
		switch {
		case s.err != nil:
			seg.broken = r.corrupt(seg, seg.base, s.err)
		case s.marked && s.size < s.mark.pos:
			r.corrupt(seg, seg.base, fmt.Errorf("the file has %d bytes, %d were synced", s.size, s.mark.pos))
			seg.size = max(s.size, headerBytes)
		}
		r.c.segs = append(r.c.segs, seg)
	}
	r.c.start = max(r.c.start, r.c.segs[0].base)
}

// corrupt notes damage; the first that is met is reported.
func (r *recovery) corrupt(s *segment, off model.Offset, err error) error {
	e := &CorruptError{Segment: s.file(), Pos: s.size, Offset: off, Err: err}
	if r.out.Corruption == nil {
		r.out.Corruption = fmt.Errorf("%s: %w", r.l.tp, e)
	}
	return e
}
