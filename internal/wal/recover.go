package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal/producer"
)

// Recovery says how a log was found when it was opened.
type Recovery struct {
	Start, End model.Offset
	// Clean: the log had been closed, so that nothing can be missing at its end. Unless it is set, this
	// replica must not be elected before others whose logs are longer (L2).
	Clean bool
	// ScannedBytes is what lay past the synced mark and was checked; TruncatedBytes what was cut off behind
	// it: a torn tail, which nobody was told to be durable.
	ScannedBytes, TruncatedBytes int64
	// Corruption is damage below the synced mark, nil if none was met: an error that matches ErrCorrupt. The
	// log serves what is whole. If the damage is in the active segment it takes no appends.
	Corruption error
}

// Open opens a log and brings it to a prefix that holds all that was synced (L1). It reads what lies past
// the synced mark and needs no free space. A directory that does not exist is an empty log; it is made
// with the first append. The error matches ErrIdentity if the directory belongs to another topic.
func Open(o Options) (*Log, Recovery, error) {
	l := &Log{
		fs: o.FS, dir: o.Dir, tp: o.Partition, topicID: o.TopicID, seed: indexSeed(o.TopicID, o.Partition.Partition),
		committer: o.Committer, now: o.Now, observer: o.Observer, core: newCore(o.Config),
	}
	if l.now == nil {
		l.now = time.Now
	}
	r := recovery{l: l, c: &l.core}
	if err := r.run(); err != nil {
		r.closeFiles()
		return nil, r.out, fmt.Errorf("opening the log of %s in %s: %w", o.Partition, o.Dir, err)
	}
	c := &l.core
	l.startAt.Store(int64(c.start))
	l.visibleAt.Store(int64(c.visible))
	l.endAt.Store(int64(c.end))
	r.out.Start, r.out.End = c.start, c.end
	if len(c.index.tail) >= idleTail || c.index.broken {
		l.listed = true
		l.committer.list(l)
	}
	return l, r.out, nil
}

// recovery is one Open on its way. Nobody else knows the log yet, so it needs no mutex.
type recovery struct {
	l     *Log
	c     *core
	out   Recovery
	found []found
	state [stateKinds]model.Offset // up to where each derived state is known
	index bool                     // there is an index file
}

// found is a segment file as it lies on the disk.
type found struct {
	number int64
	size   int64
	id     identity
	page   []byte // of the last segment only
	mark   mark
	marked bool
	rotten bool // one of its two marks is damaged
	seed   uint32
	err    error // the header is not valid
}

func (r *recovery) run() error {
	if err := r.list(); err != nil {
		return err
	}
	for i := range r.found {
		if err := r.header(&r.found[i], i == len(r.found)-1); err != nil {
			return err
		}
	}
	if err := r.drop(); err != nil {
		return err
	}
	if len(r.found) == 0 {
		r.out.Clean = true
		return nil
	}
	r.install()
	if err := r.measure(); err != nil {
		return err
	}
	if err := r.openIndex(); err != nil {
		return err
	}
	if err := r.restoreState(); err != nil {
		return err
	}
	if err := r.tail(); err != nil {
		return err
	}
	return r.fillIndex()
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
		number, ok := parseSegmentName(e.Name)
		switch {
		case ok:
			r.found = append(r.found, found{number: number})
		case e.Name == indexName:
			r.index = true
		case strings.HasSuffix(e.Name, tmpSuffix):
			_ = r.l.fs.Remove(r.l.path(e.Name)) // a file that was never completed
		}
		if k := slices.Index(stateFiles[:], e.Name); k >= 0 {
			r.c.marks.files[k] = true
		}
	}
	slices.SortFunc(r.found, func(a, b found) int { return int(a.number - b.number) })
	return nil
}

// header reads a segment's header page.
func (r *recovery) header(s *found, last bool) error {
	f, err := r.l.segmentFile(s.number)
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
	if s.id.number != s.number {
		s.err = fmt.Errorf("%w: the file says that it is number %d", errNoHeader, s.id.number)
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
	if r.unborn() {
		n := len(r.found) - 1
		gone, r.found = append(gone, r.found[n]), r.found[:n]
	}
	for i := range slices.Backward(r.found) { // what lies before a restart is leftovers, and so are their marks
		if s := &r.found[i]; s.err == nil && s.id.first {
			gone, r.found = append(gone, r.found[:i]...), r.found[i:]
			break
		}
	}
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
	gone, r.found = append(gone, r.found[:first]...), r.found[first:]
	if err := r.settleHeader(len(gone) > 0); err != nil {
		return err
	}
	for _, s := range gone {
		r.l.forgetFile(s.number)
		if err := r.l.fs.Remove(r.l.path(segmentName(s.number))); err != nil {
			return err
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return r.l.fs.SyncDir(r.l.dir)
}

// unborn tells whether the last file is a segment that never came to be: the process, or the power, ended
// while its header was written. The one before is still there then, unless this is the very first.
func (r *recovery) unborn() bool {
	n := len(r.found)
	if n == 0 || n == 1 && r.found[0].number > 0 {
		return false
	}
	s := &r.found[n-1]
	return s.size <= headerBytes && (s.err != nil || !s.marked)
}

// install makes segments of the files. Those before the last are sealed: their size is known, and their
// bytes are checked when they are first read.
func (r *recovery) install() {
	for i := range r.found {
		s := &r.found[i]
		seg := &segment{number: s.number, base: s.id.base, end: s.mark.offset, size: s.mark.pos, stats: s.mark.stats, gaps: s.id.gaps}
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
	e := &CorruptError{Segment: s.number, Pos: s.size, Offset: off, Err: err}
	if r.out.Corruption == nil {
		r.out.Corruption = fmt.Errorf("%s: %w", r.l.tp, e)
	}
	return e
}

// tail recovers the active segment: what lies past its mark is checked, accepted as far as it is valid,
// and the rest cut off. All of it is synced before it counts (L1, L3).
func (r *recovery) tail() error {
	s, seg := &r.found[len(r.found)-1], r.c.active()
	c := r.c
	c.marks.seq, c.marks.onDisk, r.l.markSeed = s.mark.seq, seg.end, s.seed
	c.marks.clean = s.mark.flags&markClean != 0
	if s.err != nil || !s.marked || s.size < s.mark.pos {
		if s.err == nil && !s.marked {
			r.corrupt(seg, seg.base, errors.New("both marks are damaged"))
		}
		c.failure = fmt.Errorf("%s: %w: %w", r.l.tp, ErrFenced, r.out.Corruption)
		r.l.fenced = true
		r.adopt(seg)
		return nil
	}
	f, err := r.l.segmentFile(s.number)
	if err != nil {
		return err
	}
	defer f.release()
	torn, err := r.scanTail(f, seg, s.size)
	if err != nil {
		return err
	}
	r.out.ScannedBytes = seg.size - s.mark.pos
	if torn {
		r.out.TruncatedBytes = s.size - seg.size
	}
	r.l.space.frontier = s.size
	r.out.Clean = c.marks.clean && !torn && seg.size == s.mark.pos
	if torn || seg.size > s.mark.pos || s.mark.flags&markRedo != 0 || seg.size == headerBytes && !r.out.Clean {
		if err := r.resync(f, s, seg.size); err != nil {
			return fmt.Errorf("making what was recovered durable: %w", err)
		}
	}
	r.adopt(seg)
	return nil
}

// adopt sets the log's end to that of the active segment.
func (r *recovery) adopt(seg *segment) {
	c := r.c
	c.end, c.written, c.visible = seg.end, seg.end, seg.end
	c.settle(seg.end)
	c.plan = plan{number: seg.number, pos: seg.size, stats: seg.stats, gaps: seg.gaps}
	c.start = min(c.start, c.end)
	c.epochs.TruncateFromStart(c.start) // the mark may be older than the log start
	c.txns.DropBefore(c.start)
}

// scanTail accepts the valid batches past the mark. torn means that what follows them is neither a batch
// nor zeros.
func (r *recovery) scanTail(f *file, seg *segment, size int64) (torn bool, err error) {
	if size <= seg.size {
		return false, nil
	}
	s := newScanner(f, seg.size, size, true)
	defer s.close()
	if size-seg.size < scanChunk {
		s.chunk = int(max(size-seg.size, record.HeaderSize))
	}
	from := seg.size
	for {
		b, err := s.next()
		if err == io.EOF {
			seg.clean.add(span{from, seg.size, seg.end})
			return false, nil
		}
		if err == nil {
			err = r.accept(seg, &b)
		}
		if errors.Is(err, errBadBatch) {
			seg.clean.add(span{from, seg.size, seg.end})
			zero, err := s.zeroUntil(seg.size)
			return !zero, err
		}
		if err != nil {
			return false, err
		}
	}
}

// accept takes one batch past the mark into the log.
func (r *recovery) accept(seg *segment, b *batchAt) error {
	base := b.head.BaseOffset()
	if base < seg.end || base > seg.end && !seg.gaps {
		return fmt.Errorf("%w: it has offset %d where %d belongs", errBadBatch, base, seg.end)
	}
	if latest, ok := r.c.epochs.Latest(); ok && b.head.LeaderEpoch() < latest.Epoch {
		return fmt.Errorf("%w: its leader epoch %d is older than %d", errBadBatch, b.head.LeaderEpoch(), latest.Epoch)
	}
	r.c.replay(b.head, &r.state)
	seg.stats.add(base, b.head.MaxTimestamp())
	r.c.index.note(r.c.cfg.indexInterval(), seg.number, seg.stats.maxTs, base, b.pos)
	seg.size, seg.end = b.pos+b.size, b.head.LastOffset()+1
	return nil
}

// replay applies a batch to those derived states that do not know it yet.
func (c *core) replay(b record.Batch, known *[stateKinds]model.Offset) {
	base := b.BaseOffset()
	if base >= known[stateEpochs] {
		_, _ = c.epochs.Assign(b.LeaderEpoch(), base) // checked by the caller, or else only a shorter cache
	}
	if !b.HasProducer() || base < known[stateProducers] {
		return
	}
	ev := producerEvent{base: base, last: b.LastOffset(), nowMs: b.MaxTimestamp(), origin: producer.Replication}
	if _, err := c.checkProducer(b, &ev); err != nil {
		return // a control batch that nobody can read
	}
	before := c.txns.Len()
	c.applyProducer(b, &ev)
	if c.txns.Len() > before && base < known[stateTxns] {
		c.txns.TruncateTo(base)
	}
}

// closeFiles lets go of the files after an Open that failed, so that the directory can be moved.
func (r *recovery) closeFiles() {
	for _, s := range r.found {
		r.l.forgetFile(s.number)
	}
	r.l.forgetFile(indexNumber)
}
