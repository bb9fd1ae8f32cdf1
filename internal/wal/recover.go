package wal

import (
	"errors"
	"fmt"
	"io"
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
	l.key, l.shared = o.Committer.journal.key(l)
	r := recovery{l: l, c: &l.core, beforeCut: o.BeforeCut}
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
	walk  *txnWalk                 // that is not done
	index bool                     // there is an index file
	sure  bool                     // the last segment's header page was made durable by this recovery

	beforeCut func(model.Offset) error // Options.BeforeCut
}

func (r *recovery) run() error {
	if err := r.list(); err != nil {
		return err
	}
	if len(r.found) > 0 && r.l.shared && r.l.committer.unsettled.isLost(r.l.key) {
		return fmt.Errorf("%w: its last records are in the journal only; restart the server to have them put back", ErrFenced)
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
	r.l.dropFloors()
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
	if err := r.dropEnded(); err != nil {
		return err
	}
	return r.fillIndex()
}

// tail recovers the active segment: what lies past its mark is checked, accepted as far as it is valid,
// and the rest cut off. All of it is synced before it counts (L1, L3).
func (r *recovery) tail() error {
	s, seg := &r.found[len(r.found)-1], r.c.active()
	c := r.c
	c.marks.seq, c.marks.onDisk, r.l.markSeed = s.mark.seq, seg.end, s.seed
	c.marks.clean = s.mark.flags&markClean != 0
	c.marks.lean = c.leans(&s.mark) && s.mark.flags&markRedo == 0 // see startAt
	if s.err != nil || !s.marked || s.size < s.mark.pos {
		if s.err == nil && !s.marked {
			r.corrupt(seg, seg.base, errors.New("both marks are damaged"))
		}
		c.failure = fmt.Errorf("%s: %w: %w", r.l.tp, ErrFenced, r.out.Corruption)
		r.l.fenced = true
		r.adopt(seg)
		return nil
	}
	f, err := r.l.segmentFile(s.file)
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
		if r.beforeCut != nil {
			if err := r.beforeCut(seg.end); err != nil {
				return err
			}
		}
	}
	r.l.space.frontier = seg.size
	r.out.Clean = c.marks.clean && !torn && seg.size == s.mark.pos
	switch {
	case torn || seg.size > s.mark.pos || s.mark.flags&markRedo != 0 || seg.size == headerBytes && !r.out.Clean:
		err = r.resync(f, s, seg.size)
	case s.size > seg.size: // zeros, for which a sync may have failed: the length must change, or is not kept (D3)
		err = f.Truncate(seg.size)
	}
	if err != nil {
		return fmt.Errorf("making what was recovered durable: %w", err)
	}
	_, two := decodeMark(s.page[markPos(s.mark.seq+1):][:markBytes], s.seed)
	c.marks.unsure = two && !r.sure // without another to fall back to, it is the one that must stay
	r.adopt(seg)
	return nil
}

// adopt sets the log's end to that of the active segment.
func (r *recovery) adopt(seg *segment) {
	r.endWalk()
	c := r.c
	c.end, c.written, c.visible = seg.end, seg.end, seg.end
	c.settle(seg.end)
	c.plan = plan{used: max(seg.number, r.found[len(r.found)-1].mark.used), pos: seg.size, stats: seg.stats, gaps: seg.gaps, closed: seg.gen > 0}
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
	if r.walk != nil && base >= r.state[stateProducers] {
		r.endWalk()
	} else if r.walk != nil {
		r.walk.replay(b.head, &r.walk.known)
	}
	r.c.replay(b.head, &r.state)
	seg.stats.add(base, timeOf(b.head))
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
		r.l.forgetFile(s.file)
	}
	r.l.forgetFile(indexNumber)
}
