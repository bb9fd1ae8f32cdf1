package wal

import (
	"fmt"

	"chronik/internal/invariant"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal/epoch"
	"chronik/internal/wal/producer"
	"chronik/internal/wal/txn"
)

// core is the log without its files: it decides what goes where and knows what is durable. It does no I/O,
// reads no clock and starts no goroutine; Log guards it with its mutex, and a simulator may drive it with
// write and sync as events of its own:
//
//	append* -> formGroup -> (roll, write) -> onWritten -> (sync) -> onSynced
//	                                      or -> fail
//
// Offsets, from the top: end (assigned) >= written >= synced, and visible, which is synced, or written
// where the topic has relaxed its flushing (D1).
type core struct {
	cfg  Config
	segs []*segment // by number; the last one is active; empty before the first append

	start, visible, synced, written, end model.Offset

	plan       plan
	head, tail *group // queued
	inflight   *group // taken by formGroup
	dups       []duplicate

	epoch     model.LeaderEpoch // appends must be for it
	epochs    epoch.Cache
	producers producer.State
	txns      txn.Index
	floors    []int64      // numbers of the segments that have a floor, see floor.go
	replayed  model.Offset // high watermark that the producers were last told

	marks    marks
	index    index
	unsynced int64 // records written since the last sync, when flushing is relaxed
	failure  error // why nothing can be appended any more
}

// plan is where the next batch will go, once all that is queued is written.
type plan struct {
	used  int64 // highest segment number so far: of this segment, or of one that a truncation removed; -1: none
	pos   int64
	stats stats // of that segment
	gaps  bool  // of that segment
	// closed: compaction has written that segment, and a truncation has made it the last one. It is not appended to: the name of its
	// file is not the one by which the journal would find it.
	closed bool
}

// duplicate is a retry whose original is not durable yet (T1).
type duplicate struct {
	last   model.Offset // of the original
	waiter Waiter
}

func newCore(cfg Config) core {
	return core{cfg: cfg, epoch: model.NoEpoch, plan: plan{used: -1, stats: noStats()}}
}

func (c *core) active() *segment {
	if len(c.segs) == 0 {
		return nil
	}
	return c.segs[len(c.segs)-1]
}

// append is the one ordered step of D5: check, stamp, queue, and register the waiter. done means that
// there is nothing to wait for: the batch repeats one that is durable.
func (c *core) append(a *Append, nowMs int64) (out Appended, done bool, err error) {
	b := a.Batch
	if c.failure != nil {
		return Appended{}, false, c.failure
	}
	if a.Epoch != c.epoch && a.Origin != producer.Replication {
		return Appended{}, false, fmt.Errorf("%w: the append is for epoch %d, the log is in %d", ErrEpoch, a.Epoch, c.epoch)
	}
	if int64(len(b)) > c.cfg.segmentBytes() {
		return Appended{}, false, fmt.Errorf("%w: %d bytes, a segment holds %d", ErrTooLarge, len(b), c.cfg.segmentBytes())
	}
	if c.end < a.ExpectEnd {
		return Appended{}, false, fmt.Errorf("%w: the log ends at %d, the append is to follow %d", ErrUndone, c.end, a.ExpectEnd)
	}
	base := c.end
	if a.Origin == producer.Replication {
		if base, err = c.replicatedBase(b); err != nil {
			return Appended{}, false, err
		}
	}
	last := base + model.Offset(b.LastOffsetDelta())
	ev := producerEvent{base: base, last: last, nowMs: nowMs, origin: a.Origin, verified: a.Verified, tv2: a.TV2}
	if b.HasProducer() {
		v, err := c.checkProducer(b, &ev)
		if err != nil {
			return Appended{}, false, err
		}
		if v.Duplicate {
			return c.appendDuplicate(a, &v)
		}
	}
	if a.Origin != producer.Replication {
		b.SetBaseOffset(base)
		b.SetLeaderEpoch(a.Epoch)
	}
	g := c.groupFor(b, base)                      // before the derived state moves: a roll captures it as it is up to here
	_, _ = c.epochs.Assign(b.LeaderEpoch(), base) // not below the latest, see BeginEpoch and replicatedBase
	if b.HasProducer() {
		c.applyProducer(b, &ev)
	}
	g.add(b, a.Owner, a.Waiter)
	g.end = last + 1
	g.records += int64(b.RecordCount())
	c.plan.pos += int64(len(b))
	c.plan.stats.add(base, timeOf(b))
	c.end = last + 1
	return Appended{BaseOffset: base, LastOffset: last, LogAppendTimeMs: logAppendTime(b), LogStart: c.start}, false, nil
}

// replicatedBase checks that a batch that another leader has stamped continues this log, in offset and epoch.
// Compaction on the leader may have left a gap.
func (c *core) replicatedBase(b record.Batch) (model.Offset, error) {
	base := b.BaseOffset()
	if base < c.end {
		return 0, fmt.Errorf("%w: it begins at %d, the log ends at %d", ErrOffset, base, c.end)
	}
	if latest, ok := c.epochs.Latest(); ok && b.LeaderEpoch() < latest.Epoch {
		return 0, fmt.Errorf("%w: the batch is of epoch %d, the log is in %d", ErrEpoch, b.LeaderEpoch(), latest.Epoch)
	}
	return base, nil
}

// appendDuplicate answers a retry with the original's offsets, when the original is durable (T1) and its waiter
// is being told.
func (c *core) appendDuplicate(a *Append, v *producer.Verdict) (out Appended, done bool, err error) {
	out = Appended{BaseOffset: v.BaseOffset, LastOffset: v.LastOffset, LogAppendTimeMs: record.NoTimestamp, LogStart: c.start, Duplicate: true}
	if a.Waiter != nil && (v.LastOffset >= c.visible || c.inflight != nil && v.LastOffset >= c.inflight.base) {
		c.dups = append(c.dups, duplicate{v.LastOffset, a.Waiter})
		return out, false, nil
	}
	return out, true, nil
}

func logAppendTime(b record.Batch) int64 {
	if b.TimestampType() == record.LogAppendTime {
		return b.MaxTimestamp()
	}
	return record.NoTimestamp
}

// groupFor returns the group that b joins: the one queued last, or a new one if that is full or b begins a
// segment.
func (c *core) groupFor(b record.Batch, base model.Offset) *group {
	gap := base > c.end
	roll := c.mustRoll(b, gap)
	g := c.tail
	if g != nil && !roll && (g.bytes == 0 || g.bytes+int64(len(b)) <= maxGroupBytes) {
		return g
	}
	g = newGroup()
	g.before, g.base = c.plan, c.end
	if c.marks.clean {
		g.unclean = true
		if !roll {
			c.marks.pending = c.capture() // the same without the clean flag; it goes with this group
		}
	}
	c.marks.clean = false
	if roll {
		g.roll = true
		g.seal, g.floor = c.capture(), c.takeFloor()
		g.seal.flags = markSealed
		c.plan = plan{used: c.plan.used + 1, pos: headerBytes, stats: noStats(), gaps: gap || c.plan.gaps && !c.plan.closed}
	}
	g.pos, g.gaps = c.plan.pos, c.plan.gaps
	if c.tail == nil {
		c.head = g
	} else {
		c.tail.next = g
	}
	c.tail = g
	return g
}

// mustRoll is Kafka's rule: the batch does not fit any more, or it is segment.ms younger than the first one; and ours for logs that must
// not have too much that is uncleaned.
func (c *core) mustRoll(b record.Batch, gap bool) bool {
	p := &c.plan
	if p.used < 0 || p.closed || gap && !p.gaps {
		return true
	}
	if p.pos == headerBytes {
		return false
	}
	if p.pos-headerBytes+int64(len(b)) > c.cfg.segmentBytes() || c.outgrown() {
		return true
	}
	return c.cfg.SegmentMs > 0 && p.stats.firstTs != record.NoTimestamp &&
		b.MaxTimestamp()-p.stats.firstTs > max(c.cfg.SegmentMs-c.cfg.SegmentJitterMs, 0)
}

// formGroup takes the next group to write, nil if there is none. Its mark is set if one is due and may go
// along.
func (c *core) formGroup() *group {
	g := c.head
	if g == nil {
		return nil
	}
	invariant.Assert(c.inflight == nil, "D5: two groups of one log in flight")
	c.head = g.next
	if c.head == nil {
		c.tail = nil
	}
	g.next, c.inflight = nil, g
	g.relaxed = c.cfg.relaxed() && !g.unclean // for all of its way, whatever Configure changes meanwhile
	if g.roll {
		c.marks.pending = nil // the seal and the new header take its place
	}
	c.marks.since += g.bytes
	if m := c.marks.pending; m != nil && m.offset <= c.synced && (g.unclean || c.serves(m)) {
		g.mark, c.marks.pending = m, nil
	}
	if c.marks.pending == nil && (c.marks.due || c.marks.since >= markEveryBytes) && c.mayMark() {
		if m := c.capture(); c.mayMark() {
			c.marks.pending, c.marks.due, c.marks.since = m, false, 0
		}
	}
	return g
}

// beginSegment installs the segment that a group begins; its file is on disk. If the group fails now, the
// log goes back to the empty segment.
func (c *core) beginSegment(g *group) {
	number := g.before.used + 1
	c.segs = append(c.segs, &segment{number: number, base: g.base, end: g.base, size: headerBytes, stats: noStats(), gaps: g.gaps})
	c.index.lastPos = 0
	g.roll, g.seal = false, nil
	g.before = plan{used: number, pos: headerBytes, stats: noStats(), gaps: g.gaps}
}

// onWritten notes that a group is in the file. Its batches may be released after it.
func (c *core) onWritten(g *group) {
	seg := c.active()
	pos, st := g.pos, seg.stats
	for _, buf := range g.bufs {
		b := record.Batch(buf)
		base, maxTs := b.BaseOffset(), timeOf(b)
		st.add(base, maxTs)
		c.index.note(c.cfg.indexInterval(), seg.number, st.maxTs, base, pos)
		pos += int64(len(buf))
	}
	g.stats, c.written = st, g.end
	c.unsynced += g.records
	if g.relaxed {
		c.show(g)
	}
}

// show makes a group visible: complete for its waiters, and for readers.
func (c *core) show(g *group) {
	seg := c.active()
	seg.clean.add(span{from: g.pos, to: g.pos + g.bytes, next: g.end})
	seg.size, seg.end, seg.stats = g.pos+g.bytes, g.end, g.stats
	c.visible = g.end
}

// onSynced notes that everything up to a group's end is durable.
func (c *core) onSynced(g *group) {
	if c.visible < g.end {
		c.show(g)
	}
	c.settle(g.end)
}

// settle notes that everything up to an offset is durable.
func (c *core) settle(synced model.Offset) {
	c.synced, c.unsynced = synced, 0
	c.producers.Settle(synced)
}

// groupDone ends a group's flight, and returns the retries that its end answers.
func (c *core) groupDone() (answered []duplicate) {
	c.inflight = nil
	if len(c.dups) == 0 {
		return nil
	}
	keep := c.dups[:0]
	for _, d := range c.dups {
		if d.last < c.visible {
			answered = append(answered, d)
		} else {
			keep = append(keep, d)
		}
	}
	if c.dups = keep; len(keep) == 0 {
		c.dups = nil
	}
	return answered
}

// fail undoes everything that is not written: the group in flight, if there is one, and all that is queued
// behind it. It returns the groups and retries whose waiters must be told, oldest first.
func (c *core) fail() (*group, []duplicate) {
	g := c.inflight
	if g != nil {
		g.next = c.head
	} else {
		g = c.head
	}
	c.inflight, c.head, c.tail = nil, nil, nil
	if g == nil {
		return nil, nil
	}
	c.plan = g.before
	if g.mark != nil {
		c.marks.pending = g.mark
	}
	c.revert(g.base)
	var dups []duplicate
	keep := c.dups[:0]
	for _, d := range c.dups {
		if d.last >= c.end {
			dups = append(dups, d)
		} else {
			keep = append(keep, d)
		}
	}
	c.dups = keep
	return g, dups
}

// revert takes the log's end back to an offset that nothing durable lies above.
func (c *core) revert(end model.Offset) {
	c.end = end
	c.producers.Revert(end)
	c.txns.TruncateTo(end)
	c.epochs.TruncateFromEnd(end)
	c.index.cutTail(end)
	if m := c.marks.pending; m != nil && m.offset > end {
		c.marks.pending = nil
	}
}
