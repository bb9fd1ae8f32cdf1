package wal

import (
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal/producer"
	"chronik/internal/wal/txn"
)

// producerEvent is one batch on its way through the producer state.
type producerEvent struct {
	base, last model.Offset
	nowMs      int64
	origin     producer.Origin
	verified   bool
	tv2        bool
	marker     record.Marker // of a control batch
	control    bool          // marker is set
}

func (ev *producerEvent) batch(b record.Batch) producer.Batch {
	return producer.Batch{
		Producer: b.ProducerID(), Epoch: b.ProducerEpoch(), FirstSeq: b.BaseSequence(),
		BaseOffset: ev.base, LastOffset: ev.last, MaxTimestamp: b.MaxTimestamp(), SeenMs: ev.nowMs,
		Transactional: b.IsTransactional(), Verified: ev.verified, TV2: ev.tv2,
	}
}

func (ev *producerEvent) end() producer.Marker {
	m := &ev.marker
	return producer.Marker{
		Producer: m.Producer, Epoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch,
		Offset: ev.base, Timestamp: m.TimestampMs, SeenMs: ev.nowMs, Commit: m.Type == record.Commit, TV2: ev.tv2,
	}
}

// checkProducer decides about a batch with a producer, and parses it if it is a marker.
func (c *core) checkProducer(b record.Batch, ev *producerEvent) (producer.Verdict, error) {
	if !b.IsControl() {
		pb := ev.batch(b)
		return c.producers.Check(&pb, ev.origin)
	}
	var err error
	if ev.marker, err = record.ParseControl(b); err != nil {
		return producer.Verdict{}, err
	}
	if ev.marker.Type != record.Abort && ev.marker.Type != record.Commit {
		return producer.Verdict{}, nil
	}
	ev.control = true
	m := ev.end()
	return producer.Verdict{}, c.producers.CheckMarker(&m, ev.origin)
}

// applyProducer moves the producer state, and with an abort marker the transaction index.
func (c *core) applyProducer(b record.Batch, ev *producerEvent) {
	if !b.IsControl() {
		pb := ev.batch(b)
		c.producers.Apply(&pb)
		return
	}
	if !ev.control {
		return
	}
	m := ev.end()
	done, ok := c.producers.ApplyMarker(&m)
	if !ok || !done.Aborted {
		return
	}
	// The markers come in offset order, which is all that the index asks for.
	_ = c.txns.Append(txn.AbortedTxn{
		Producer: done.Producer, FirstOffset: done.FirstOffset, LastOffset: done.LastOffset, LastStable: done.LastStable,
	})
}

// lastStable is the last stable offset below a high watermark. Where records of an open transaction were deleted it is the log's start: nobody can
// be sent to what lies below.
func (c *core) lastStable(limit model.Offset) model.Offset {
	if limit > c.replayed {
		c.replayed = limit
		c.producers.Replicated(limit)
	}
	return max(c.producers.LastStable(limit), min(c.start, limit))
}

// marks is what the core knows of the mark slots.
type marks struct {
	seq     uint64 // of the mark written last
	pending *mark  // taken, and to be written once the log is synced up to its offset
	since   int64  // bytes grouped since the last mark was taken
	due     bool   // a second is over
	lean    bool   // that mark leans on the one before, see leans
	unsure  bool   // that mark was found when the log was opened, and may be in the page cache only
	clean   bool   // the newest mark on disk says that the log was closed
	onDisk  model.Offset
	wanted  [stateKinds]bool         // the kinds that do not fit into a mark
	files   [stateKinds]bool         // those that have a snapshot file
	reach   [stateKinds]model.Offset // up to where that file knows the log, durably; 0: perhaps nowhere
	// doubtful: writing the file anew failed, perhaps when the new one had its name already: it may not be there, or know more than reach.
	doubtful [stateKinds]bool
	spillAt  int64 // bytes grouped since the snapshot files were written
}

// markEveryBytes is how much is rescanned at most after a crash, but for the groups in flight (L2).
const markEveryBytes = 4 << 20

// What fits beside a mark is not worth counting byte by byte: producers and transactions beyond these
// numbers go to their own file without being encoded first.
const (
	maxInlineProducers = inlineBytes / 64
	maxInlineTxns      = inlineBytes / 32
)

// capture takes a mark of the log as it ends now, with all that is queued. It must not be written before
// the log is synced up to its offset.
func (c *core) capture() *mark {
	m := &mark{offset: c.end, pos: c.plan.pos, logStart: c.start, stats: c.plan.stats, used: max(c.plan.used, 0)}
	var buf []byte
	put := func(kind int, encode func([]byte) []byte) {
		from := len(buf)
		if buf = encode(buf); len(buf) > inlineBytes {
			buf, m.spilled[kind] = buf[:from], true
			return
		}
		m.inline[kind] = buf[from:len(buf):len(buf)]
	}
	if _, ok := c.epochs.Latest(); ok {
		put(stateEpochs, func(b []byte) []byte { return c.epochs.AppendSnapshot(b, c.end) })
	}
	switch n := c.producers.Len(); {
	case n > maxInlineProducers:
		m.spilled[stateProducers] = true
	case n > 0:
		put(stateProducers, func(b []byte) []byte { return c.producers.AppendSnapshot(b, c.end) })
	}
	switch n := c.txns.Len(); {
	case n > maxInlineTxns:
		m.spilled[stateTxns] = true
	case n > 0:
		put(stateTxns, func(b []byte) []byte { return c.txns.AppendSnapshot(b, c.end) })
	}
	c.marks.wanted = m.spilled
	return m
}

// mayMark tells whether a mark would be of use: not while a state that outgrew the marks has no file yet,
// because recovery would then rebuild it from the log's start, where the last mark still holds it.
func (c *core) mayMark() bool {
	for k, want := range c.marks.wanted {
		if want && !c.fileServes(k) {
			return false
		}
	}
	return true
}

// fileServes tells whether recovery could go on from a kind's snapshot file: the log that is left must hold
// all that came after it.
func (c *core) fileServes(kind int) bool {
	return c.marks.files[kind] && (len(c.segs) == 0 || c.marks.reach[kind] >= c.segs[0].base)
}

// leans tells whether a seal leaves the producers to a file that is not there yet, because they have just
// outgrown the marks. There recovery takes them from the mark before, in the other slot, or an older segment.
func (c *core) leans(m *mark) bool {
	return m.flags&markSealed != 0 && m.spilled[stateProducers] && !c.fileServes(stateProducers)
}

// serves tells whether all that a mark leaves to snapshot files is there. A mark that was taken before a
// deletion may count on a file that is too old since.
func (c *core) serves(m *mark) bool {
	for k, spilled := range m.spilled {
		if spilled && !c.fileServes(k) {
			return false
		}
	}
	return true
}
