package wal_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// reference is what the log must be, kept as simply as can be: the list of all batches that were appended.
// Everything else is worked out from the list each time.
type reference struct {
	// chain holds the batches in offset order, from offset 0 on: a deletion moves only start.
	chain []record.Batch
	// failed are continuations that the log gave up, and told so, but that may still be on the disk: each
	// begins where the chain was when it failed. They count until something else is acknowledged there.
	failed [][]record.Batch
	// acked: everything below was acknowledged, or served after a reopening. It must survive.
	acked model.Offset
	// start is the log's, as acknowledged; a deletion that was cut short may have moved it up to startMax.
	start, startMax model.Offset
	// cutTo is the target of a truncation that was cut short, or NoOffset: then any end from there on is right.
	cutTo model.Offset
	// restartAt is where a truncation that was cut short wanted the log to begin anew, or NoOffset.
	restartAt model.Offset
	// floor is the first batch that the log's producer state knows of: 0, until the log is truncated to below
	// all snapshots, or one rots, after older batches were deleted.
	floor int

	// cleaned is what compaction has made of batches, by base offset: nil of those that are gone.
	cleaned map[model.Offset]record.Batch
	// safe is below what rounds of compaction went by: nothing below is cut off any more (R2).
	safe model.Offset
	// rules are those of a round that was under way, or may have changed more than memory knows.
	rules  *cleanRules
	parsed map[*byte][]readRecord // see records
}

func newReference() *reference { return &reference{cutTo: model.NoOffset, restartAt: model.NoOffset} }

// end is where the next batch goes. A truncation to a start inside of a batch leaves an empty log at start.
func (r *reference) end() model.Offset { return chainEnd(r.chain, r.start) }

func chainEnd(chain []record.Batch, start model.Offset) model.Offset {
	if n := len(chain); n > 0 {
		return max(start, chain[n-1].LastOffset()+1)
	}
	return start
}

// at is the position of the batch that holds off, or of the first above it.
func (r *reference) at(off model.Offset) int {
	return sort.Search(len(r.chain), func(i int) bool { return r.chain[i].LastOffset() >= off })
}

func (r *reference) append(b record.Batch) { r.chain = append(r.chain, slices.Clone(b)) }

// ack notes that everything up to last is durable. What failed below can not come back.
func (r *reference) ack(last model.Offset) {
	r.acked = max(r.acked, last+1)
	r.failed = slices.DeleteFunc(r.failed, func(c []record.Batch) bool { return c[0].BaseOffset() < r.acked })
}

// fail takes the batches from off on out of the log.
func (r *reference) fail(off model.Offset) {
	i, end := r.at(off), r.end()
	if i == len(r.chain) {
		return
	}
	for _, c := range r.failed { // what failed just before came after this, perhaps behind a gap
		if c[0].BaseOffset() >= end {
			r.failed = append(r.failed, slices.Concat(r.chain[i:], c))
		}
	}
	r.failed = append(r.failed, slices.Clone(r.chain[i:]))
	r.chain = r.chain[:i]
}

// boundary is where a log that is cut at off ends: after the last batch that ends at off or below, but not
// below its start.
func (r *reference) boundary(off model.Offset) model.Offset {
	return chainEnd(r.chain[:r.at(off)], r.start)
}

// restarted follows a truncation below the log's start, to a batch boundary: the log is empty now.
func (r *reference) restarted(at model.Offset) {
	r.chain, r.failed = r.chain[:r.at(at)], nil
	r.start, r.startMax, r.acked, r.safe = at, at, at, min(r.safe, at)
	r.uncleaned(at)
	r.cutTo, r.restartAt = model.NoOffset, model.NoOffset
	r.floor = len(r.chain)
}

// cut follows a truncation that has ended well: what is above can not come back.
func (r *reference) cut(end model.Offset) {
	r.chain = r.chain[:r.at(end)]
	r.acked = min(r.acked, r.end())
	r.uncleaned(r.end())
	r.failed = slices.DeleteFunc(r.failed, func(c []record.Batch) bool { return c[0].BaseOffset() >= end })
	r.startMax, r.cutTo = min(r.startMax, r.end()), model.NoOffset
	r.floor = min(r.floor, len(r.chain))
}

// recovered follows a reopening: the log now ends at end, and begins at start. got returns its bytes from an
// offset on. It fails if the log could not have come to this.
func (r *reference) recovered(start, end model.Offset, content []byte) error {
	if r.restartAt != model.NoOffset && start == r.restartAt && end == start {
		r.restarted(start)
		return nil
	}
	if start < r.start || start > r.startMax {
		return fmt.Errorf("the log starts at %d after recovery, want %d to %d", start, r.start, r.startMax)
	}
	low := r.acked
	if r.cutTo != model.NoOffset {
		low = min(low, r.cutTo)
	}
	if end < low {
		return fmt.Errorf("the log ends at %d after recovery: offsets up to %d were acknowledged", end, low)
	}
	var cleaned error
	for _, chain := range r.continuations() {
		n := sort.Search(len(chain), func(i int) bool { return chain[i].LastOffset()+1 > end })
		if chainEnd(chain[:n], start) != end {
			continue
		}
		if string(r.contentFrom(chain[:n], start)) != string(content) {
			if r.rules == nil {
				continue
			}
			if cleaned = r.cleanTo(chain[:n], start, content); cleaned != nil {
				continue
			}
		}
		r.chain, r.failed = chain[:n:n], nil
		r.acked, r.start, r.startMax = end, start, start
		r.cutTo, r.restartAt = model.NoOffset, model.NoOffset
		r.floor, r.safe, r.rules = min(r.floor, n), min(r.safe, end), nil
		r.uncleaned(end)
		return nil
	}
	return fmt.Errorf("the log holds offsets %d to %d after recovery, %d bytes: no prefix of what was appended (%v)", start, end, len(content), cleaned)
}

// continuations are the chains of which a recovered log may be a prefix.
func (r *reference) continuations() [][]record.Batch {
	all := [][]record.Batch{r.chain}
	for _, c := range r.failed {
		all = append(all, slices.Concat(r.chain[:r.at(c[0].BaseOffset())], c))
	}
	return all
}

// contentFrom is what reading from an offset on returns: whole batches.
func (r *reference) contentFrom(chain []record.Batch, from model.Offset) []byte {
	var all []byte
	for _, b := range r.present(chain) {
		if b.LastOffset() >= from {
			all = append(all, b...)
		}
	}
	return all
}

// uncleaned forgets what compaction has made of batches that are gone.
func (r *reference) uncleaned(from model.Offset) {
	maps.DeleteFunc(r.cleaned, func(base model.Offset, _ record.Batch) bool { return base >= from })
}

// derived is the state of producers and transactions that follows from a list of batches.
type derived struct {
	producers map[model.ProducerID]*rememberedProducer
	aborted   []wal.AbortedTxn // without LastStable
	ended     []wal.AbortedTxn // all that have a marker, committed too
}

type rememberedProducer struct {
	epoch       int16
	coordinator int32
	timestamp   int64
	txnStart    model.Offset
	batches     []record.Batch // of this epoch, the last few
}

func derive(chain []record.Batch) derived {
	d := derived{producers: make(map[model.ProducerID]*rememberedProducer)}
	for _, b := range chain {
		if b.HasProducer() {
			d.apply(b)
		}
	}
	return d
}

func (d *derived) apply(b record.Batch) {
	p := d.producers[b.ProducerID()]
	if p == nil {
		p = &rememberedProducer{epoch: b.ProducerEpoch(), coordinator: -1, txnStart: model.NoOffset}
		d.producers[b.ProducerID()] = p
	}
	if p.epoch != b.ProducerEpoch() {
		p.epoch, p.batches = b.ProducerEpoch(), nil
	}
	p.timestamp = b.MaxTimestamp()
	if !b.IsControl() {
		p.batches = append(p.batches, b)
		p.batches = p.batches[max(0, len(p.batches)-producer.Retained):]
		if b.IsTransactional() && p.txnStart == model.NoOffset {
			p.txnStart = b.BaseOffset()
		}
		return
	}
	m, err := record.ParseControl(b)
	if err != nil {
		panic(err) // the test made it
	}
	p.coordinator = m.CoordinatorEpoch
	if p.txnStart != model.NoOffset {
		t := wal.AbortedTxn{Producer: b.ProducerID(), FirstOffset: p.txnStart, LastOffset: b.BaseOffset()}
		d.ended = append(d.ended, t)
		if m.Type == record.Abort {
			d.aborted = append(d.aborted, t)
		}
	}
	p.txnStart = model.NoOffset
}

// infos is what Log.Producers must return.
func (d *derived) infos() []wal.ProducerInfo {
	infos := make([]wal.ProducerInfo, 0, len(d.producers))
	for id, p := range d.producers {
		info := wal.ProducerInfo{
			Producer: id, Epoch: p.epoch, LastSeq: producer.NoSequence, LastTimestamp: p.timestamp,
			CoordinatorEpoch: p.coordinator, TxnStart: p.txnStart, Batches: len(p.batches),
		}
		if n := len(p.batches); n > 0 {
			info.LastSeq = p.batches[n-1].LastSequence()
		}
		infos = append(infos, info)
	}
	sort.Slice(infos, func(i, j int) bool { return infos[i].Producer < infos[j].Producer })
	return infos
}

// lastStable is the last stable offset at a high watermark.
func (d *derived) lastStable(highWatermark model.Offset) model.Offset {
	lso := highWatermark
	for _, p := range d.producers {
		if p.txnStart != model.NoOffset {
			lso = min(lso, p.txnStart)
		}
	}
	for _, t := range d.ended {
		if t.LastOffset >= highWatermark {
			lso = min(lso, t.FirstOffset)
		}
	}
	return lso
}

// verdict is what must become of a client's batch: the original, if it is a retry, or an error.
func (d *derived) verdict(b record.Batch) (original record.Batch, err error) {
	p := d.producers[b.ProducerID()]
	if p == nil {
		return nil, nil
	}
	next := int32(0)
	if p.epoch == b.ProducerEpoch() && len(p.batches) > 0 {
		for _, old := range p.batches {
			if old.BaseSequence() == b.BaseSequence() && old.LastOffsetDelta() == b.LastOffsetDelta() {
				return old, nil
			}
		}
		if last := p.batches[len(p.batches)-1].LastSequence(); last != math.MaxInt32 {
			next = last + 1
		}
	}
	switch {
	case b.ProducerEpoch() < p.epoch:
		return nil, producer.ErrInvalidProducerEpoch
	case b.BaseSequence() != next:
		return nil, producer.ErrOutOfOrderSequence
	case p.txnStart != model.NoOffset && !b.IsTransactional():
		return nil, producer.ErrInvalidTxnState
	}
	return nil, nil
}

// epochs is what EpochEnd answers: the epochs of the records from start on, each with its first offset.
type epochStart struct {
	epoch model.LeaderEpoch
	start model.Offset
}

func (r *reference) epochs() []epochStart {
	var all []epochStart
	for _, b := range r.chain[r.at(r.start):] {
		if n := len(all); n == 0 || all[n-1].epoch != b.LeaderEpoch() {
			all = append(all, epochStart{b.LeaderEpoch(), max(b.BaseOffset(), r.start)})
		}
	}
	return all
}
