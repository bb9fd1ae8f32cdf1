package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"

	"chronik/internal/model"
	"chronik/internal/record"
)

// view is what a reader needs of a segment, copied under the mutex.
type view struct {
	number    int64
	file      int64 // see segment.file
	base, end model.Offset
	size      int64
	foot      int64 // position of its own index, if it has entries there
	entries   int64
	broken    error
	gaps      bool
	maxTs     int64
	maxTsAt   model.Offset
}

func viewOf(s *segment) view {
	return view{number: s.number, file: s.file(), foot: s.foot, entries: int64(s.entries), base: s.base, end: s.end, size: s.size, broken: s.broken, gaps: s.gaps,
		maxTs: s.stats.maxTs, maxTsAt: s.stats.maxTsAt}
}

// hint remembers where a read ended: most readers go on there.
type hint struct {
	offset model.Offset
	file   int64 // see segment.file
	pos    int64 // 0: empty
}

// numHints is how many readers may go on in different places of a log and each find its own.
const numHints = 8

const (
	// walkChunk is how much of a segment is read at once to step over a few headers.
	walkChunk = 4 << 10
	// jumpFrom is from how many such steps on they are taken with the index's help, which costs about as many reads.
	jumpFrom = 4
)

// Read returns the batches from the one that holds offset from up to limit, which is exclusive, cut at
// batch boundaries: at most maxBytes of them, or one batch if that alone is larger and minOne is set. It
// reads from one segment, so that the next call may find more. A region may be empty. It must be released.
//
// Only what is durable is returned, whatever the limit. Bytes that were not written since the log was
// opened are held against their checksums once before they are returned; damage is reported as ErrCorrupt
// and never served (L2). An offset outside of the log is ErrOutOfRange, but for one below the log start in the same batch: a
// replica takes batches whole.
func (l *Log) Read(from, limit model.Offset, maxBytes int, minOne bool) (*Region, error) {
	for {
		region, err := l.tryRead(from, limit, maxBytes, minOne)
		if err == nil || !errors.Is(err, errReplaced) {
			return region, err
		}
	}
}

func (l *Log) tryRead(from, limit model.Offset, maxBytes int, minOne bool) (*Region, error) {
	r := reader{log: l, from: from, limit: limit, max: int64(maxBytes), minOne: minOne}
	region, start, err := r.look()
	switch {
	case err == errBelowStart:
		return l.readBelow(from, start, limit, maxBytes, minOne)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", l.tp, err)
	case region != nil && region.n == 0:
		return region, nil
	}
	if r.f, err = l.segmentFile(r.v.file); err != nil {
		return nil, fmt.Errorf("%s: %w", l.tp, l.gone(&r.v, err))
	}
	if region != nil {
		region.f = r.f
		return region, nil
	}
	if region, err = r.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", l.tp, err)
	}
	return region, nil
}

// errBelowStart: the offset lies below the log start, but perhaps in the batch that holds it.
var errBelowStart = errors.New("below the log start")

// look finds the segment to read in, and also the region if nothing must be read to find that.
func (r *reader) look() (region *Region, start model.Offset, err error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.core
	switch {
	case l.closed:
		return nil, 0, ErrClosed
	case r.from < c.start && c.start < r.limit:
		return nil, c.start, errBelowStart
	case r.from < c.start || r.from > c.end:
		return nil, 0, fmt.Errorf("%w: %d, it holds %d to %d", ErrOutOfRange, r.from, c.start, c.end)
	}
	if r.limit = min(r.limit, c.visible); r.from >= r.limit {
		return &Region{next: r.from}, 0, nil
	}
	seg := c.segmentAt(r.from)
	if seg.broken != nil {
		return nil, 0, seg.broken
	}
	r.v, r.gen = viewOf(seg), l.generation.Load()
	if at, ok := l.hinted(r.from, seg.file()); ok {
		r.at, r.expect = at, r.from
	}
	return r.rest(seg), 0, nil
}

// readBelow is Read from an offset below the log start, which is there if the batch that holds the start holds it too.
func (l *Log) readBelow(from, start, limit model.Offset, maxBytes int, minOne bool) (*Region, error) {
	region, err := l.Read(start, limit, maxBytes, minOne)
	if err != nil {
		return nil, err
	}
	if region.n > 0 {
		var base [8]byte // begins a batch
		if err := region.readAt(base[:], region.pos); err != nil {
			region.Release()
			return nil, err
		}
		if model.Offset(binary.BigEndian.Uint64(base[:])) <= from {
			return region, nil
		}
	}
	region.Release()
	return nil, fmt.Errorf("%s: %w: %d, it holds %d on", l.tp, ErrOutOfRange, from, start)
}

// hinted finds where a read that began at an offset would begin, if one ended there.
func (l *Log) hinted(off model.Offset, file int64) (pos int64, ok bool) {
	for _, h := range l.hints {
		if h.pos > 0 && h.offset == off && h.file == file {
			return h.pos, true
		}
	}
	return 0, false
}

// hint remembers where a read ended.
func (l *Log) hint(off model.Offset, file, pos int64) {
	if _, ok := l.hinted(off, file); ok {
		return
	}
	l.hints[l.nextHint%uint8(len(l.hints))] = hint{off, file, pos}
	l.nextHint++
}

// rest is the whole remainder of the segment, if a reader that goes on where it was gets all of that and it
// needs no check: then there is nothing to look for. Most reads at the end of the log are of this kind. The
// caller holds the mutex.
func (r *reader) rest(seg *segment) *Region {
	if r.at == 0 || r.limit < seg.end || seg.size-r.at > r.max || r.at >= seg.size {
		return nil
	}
	if known, ok := seg.clean.covering(r.at); !ok || known.to < seg.size {
		return nil
	}
	r.log.hint(seg.end, seg.file(), seg.size)
	return &Region{log: r.log, gen: r.gen, pos: r.at, n: seg.size - r.at, next: seg.end}
}

// segmentAt finds the segment that holds an offset, the first one if it lies below all.
func (c *core) segmentAt(off model.Offset) *segment {
	i := sort.Search(len(c.segs), func(i int) bool { return c.segs[i].base > off })
	return c.segs[max(i-1, 0)]
}

// reader is one Read on its way.
type reader struct {
	log         *Log
	v           view
	from, limit model.Offset
	max         int64
	minOne      bool
	gen         uint32
	f           *file

	at     int64        // a batch boundary to begin the walk at
	guess  bool         // at comes from the index, which may be wrong
	expect model.Offset // the offset that stands there
	jumped bool         // skip has looked into the index
}

func (r *reader) read() (*Region, error) {
	l := r.log
	if r.at == 0 {
		r.begin(r.from)
	}
	region, err := r.locate()
	if err != nil && r.misled(err) { // the bytes are bad, or the index is: the entry before tells
		wrong := r.expect
		r.begin(wrong - 1)
		if region, err = r.locate(); err == nil || r.misled(err) {
			l.indexBroken()
		}
	}
	if err != nil {
		r.f.release()
		return nil, err
	}
	if region.n == 0 {
		r.f.release()
		region.f = nil
	}
	return region, nil
}

// errReplaced: compaction has put another segment in the place of the one that was to be read. It is looked up again.
var errReplaced = errors.New("the segment was replaced")

// gone explains why a segment that was there under the mutex cannot be opened.
func (l *Log) gone(v *view, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	for _, s := range l.core.segs {
		if s.file() == v.file {
			return err
		}
		if s.base <= v.base && v.base < s.end {
			return errReplaced
		}
	}
	return fmt.Errorf("%w: the segment was deleted meanwhile", ErrOutOfRange)
}

// misled tells whether a walk failed at the very place that the index had named.
func (r *reader) misled(err error) bool {
	var e *CorruptError
	return r.guess && errors.As(err, &e) && e.Pos == r.at
}

// begin finds the batch boundary to walk from, at an offset or below.
func (r *reader) begin(off model.Offset) {
	r.guess = false
	e, ok := r.log.findEntry(&r.v, func(e indexEntry) bool { return e.offset > off })
	if ok && int64(e.pos) < r.v.size {
		r.at, r.expect, r.guess = int64(e.pos), e.offset, true
	} else {
		r.at, r.expect = headerBytes, r.v.base
	}
}

// locate walks to the batch that holds from and on to where the region ends.
func (r *reader) locate() (*Region, error) {
	if known, ok := r.trusted(); ok {
		region, err := r.walk(false)
		if known >= r.v.size || err == nil && region.n > 0 && region.pos+region.n <= known {
			return region, err
		}
		r.jumped = false // it went further than what was checked: the batch of from was not near
	}
	l := r.log
	l.committer.cold <- struct{}{}
	defer func() { <-l.committer.cold }()
	return r.walk(true)
}

// trusted tells whether what this read begins with has been checked since open, and up to where the segment has. It may go
// further than that; to find out costs a few headers, and saves those who follow close behind another reader the checking.
func (r *reader) trusted() (known int64, ok bool) {
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	for _, s := range r.log.core.segs {
		if s.file() == r.v.file {
			known, ok := s.clean.covering(r.at)
			return known.to, ok && known.to > r.at
		}
	}
	return 0, false
}

// walk steps from batch to batch. If the bytes are not known to be good, it checks them on its way, and
// ends the region before a batch that is bad, unless it is the first one.
func (r *reader) walk(verify bool) (*Region, error) {
	s := newScanner(r.f, r.at, r.v.size, verify)
	defer s.close()
	if !verify {
		s.chunk = walkChunk
	}
	chk := checker{log: r.log, gaps: r.v.gaps, expect: r.expect, end: r.v.end}
	region := &Region{f: r.f, log: r.log, gen: r.gen, next: r.from}
	checkedTo := r.at
	for {
		if verify && region.n > 0 && r.exceeds(&s, region) {
			break
		}
		b, err := s.next()
		if err == nil && verify {
			err = chk.check(b.head)
		}
		if err == nil && b.pos == r.at && b.head.BaseOffset() != r.expect && !r.v.gaps {
			err = fmt.Errorf("%w: offset %d where the index says %d", errBadBatch, b.head.BaseOffset(), r.expect)
		}
		if err == io.EOF && region.n == 0 {
			err = fmt.Errorf("%w: the bytes end at offset %d", errBadBatch, chk.expect)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			if region.n > 0 {
				break // the next read meets it first
			}
			return nil, r.damage(s.pos, chk.expect, err)
		}
		checkedTo = b.pos + b.size
		last := b.head.LastOffset()
		if last >= r.limit {
			break
		}
		if last < r.from {
			continue
		}
		if b.pos+b.size-region.start(b.pos) > r.max && (region.n > 0 || !r.minOne) {
			break
		}
		if region.n == 0 {
			region.pos = b.pos
			s.enough = b.pos + r.max + record.HeaderSize
		}
		region.n, region.next = b.pos+b.size-region.pos, last+1
		if !verify && r.skip(&s, region, b.size) {
			break
		}
	}
	r.remember(region, verify, span{from: r.at, to: checkedTo, next: chk.expect})
	return region, nil
}

// exceeds tells from the header alone, of which nothing is known to be true, whether the next batch is one too many.
// If the header is damaged and lies, the region ends before it, where it ends before any damage. Checking a large batch to
// find that it does not fit would double the work, as the next read checks it again.
func (r *reader) exceeds(s *scanner, region *Region) bool {
	if s.pos >= s.limit {
		return false
	}
	b, err := s.peek(s.pos)
	if err != nil {
		return false // next says what is wrong with it
	}
	size, err := record.SizeOf(b)
	return err == nil && (s.pos+int64(size)-region.pos > r.max || b.LastOffset() >= r.limit)
}

// skip jumps over headers that need not be looked at: to the segment's end if all of it is wanted, else to
// the last index entry before the cut. It reports whether the region is complete. last is the size of the batch before.
func (r *reader) skip(s *scanner, region *Region, last int64) bool {
	if r.limit >= r.v.end && r.v.size-region.pos <= r.max {
		region.n, region.next = r.v.size-region.pos, r.v.end
		return true
	}
	if region.n >= r.max {
		return true
	}
	if r.jumped || r.max-region.n < jumpFrom*max(walkChunk, last) {
		return false
	}
	r.jumped = true
	e, ok := r.log.findEntry(&r.v, func(e indexEntry) bool {
		return int64(e.pos) > region.pos+r.max || e.offset >= r.limit
	})
	if !ok || int64(e.pos) <= s.pos {
		return false
	}
	if b, err := s.peek(int64(e.pos)); err != nil || b.BaseOffset() != e.offset {
		r.log.indexBroken() // walk on
		return false
	}
	s.pos = int64(e.pos)
	region.n, region.next = s.pos-region.pos, e.offset
	return false
}

// damage turns what a walk met into an error: damaged bytes are corruption, as they were durable.
func (r *reader) damage(pos int64, off model.Offset, err error) error {
	if r.log.generation.Load() != r.gen {
		return ErrTruncated
	}
	if errors.Is(err, errBadBatch) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &CorruptError{Segment: r.v.file, Pos: pos, Offset: off, Err: err}
	}
	return err
}

// remember notes what was checked, and where the region ended.
func (r *reader) remember(region *Region, verified bool, checked span) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation.Load() != r.gen {
		return
	}
	if verified {
		for _, s := range l.core.segs {
			if s.file() == r.v.file {
				s.clean.add(checked)
			}
		}
	}
	if region.n > 0 {
		l.hint(region.next, r.v.file, region.pos+region.n)
	}
}

// checker holds what a checksum does not cover against what is known: offsets follow each other, and the
// epoch is the one that the log was in.
type checker struct {
	log    *Log
	gaps   bool
	expect model.Offset
	end    model.Offset // of the segment
	epoch  model.LeaderEpoch
	until  model.Offset // epoch is that of the offsets below
}

func (c *checker) check(b record.Batch) error {
	base := b.BaseOffset()
	if base < c.expect || base > c.expect && !c.gaps {
		return fmt.Errorf("%w: it has offset %d where %d belongs", errBadBatch, base, c.expect)
	}
	if last := b.LastOffset(); last >= c.end {
		return fmt.Errorf("%w: it has offsets up to %d, the segment ends at %d", errBadBatch, last, c.end)
	}
	if last := b.LastOffset(); last >= c.until { // of the last one: the log may start inside of the batch
		c.epoch, c.until = c.log.epochSpan(last)
	}
	if c.epoch >= 0 && b.LeaderEpoch() != c.epoch {
		return fmt.Errorf("%w: offset %d has leader epoch %d, it was written in %d", errBadBatch, base, b.LeaderEpoch(), c.epoch)
	}
	c.expect = b.LastOffset() + 1
	return nil
}

// epochSpan returns the epoch at an offset and the offset up to which it holds.
func (l *Log) epochSpan(off model.Offset) (model.LeaderEpoch, model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.core.epochs.At(off)
	if e < 0 {
		return e, off + 1
	}
	_, end := l.core.epochs.EndOffset(e, l.core.end)
	return e, end
}
