package wal_test

import (
	"encoding/binary"
	"errors"
	"sync"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// template is a batch to be copied: compressing anew each time would take most of a run.
type template struct {
	batch  record.Batch
	spread int64 // ms between the first and the last record
}

var templates = sync.OnceValue(func() []template {
	all := []template{bigTemplate()}
	filler := make([]byte, 6000)
	for i := range filler {
		filler[i] = byte(i*i>>3 ^ i)
	}
	for codec := compress.None; codec <= compress.Zstd; codec++ {
		for i, size := range []int{0, 10, 200, 450, 1100, 5000} {
			b := record.NewBuilder(record.Options{Codec: codec})
			records := 1 + (i*7+int(codec))%5
			for n := range records {
				b.Add(int64(n), []byte{byte(n)}, filler[n*100:n*100+size/records])
			}
			batch, err := b.Build()
			if err != nil {
				panic(err)
			}
			// The decoders make channels, which must not belong to the bubble of one run.
			if _, err := compress.Decompress(nil, batch.Records(), codec, 1<<20); err != nil {
				panic(err)
			}
			all = append(all, template{batch, int64(records - 1)})
		}
	}
	return all
})

// bigTemplate is a batch that is larger than the log reads at once, and than what it makes space for.
func bigTemplate() template {
	b := record.NewBuilder(record.Options{})
	b.Add(0, nil, make([]byte, 300<<10))
	batch, err := b.Build()
	if err != nil {
		panic(err)
	}
	return template{batch, 0}
}

// newBatch makes a batch that differs from all others of the run by its timestamps, which mostly grow.
func (h *harness) newBatch() record.Batch {
	all := templates()
	if h.compacts {
		all = keyedTemplates()
	}
	t := all[1+h.rng.IntN(len(all)-1)]
	if h.big && h.one(6) {
		t = all[0]
	}
	b := append(record.Batch(nil), t.batch...)
	h.made++
	ts := 1_600_000_000_000 + int64(h.made+h.rng.IntN(9)-4)*1000 + int64(h.made%1000)
	const posBaseTimestamp = 27
	binary.BigEndian.PutUint64(b[posBaseTimestamp:], uint64(ts))
	b.SetMaxTimestamp(ts + t.spread)
	return b
}

// appendReplicated appends what another leader has stamped, here and there with a gap as compaction leaves it.
func (h *harness) appendReplicated() {
	b := h.newBatch()
	b.SetBaseOffset(h.ref.end())
	if !h.gapless && h.one(4) {
		b.SetBaseOffset(h.ref.end() + model.Offset(h.rng.IntN(20)))
	}
	b.SetLeaderEpoch(h.epoch)
	h.append(b, nil)
}

func (h *harness) appendPlain() {
	n := 1
	if h.compacts { // so that there are segments to compact
		n += h.rng.IntN(4)
	}
	for range n {
		h.append(h.newBatch(), nil)
	}
}

// appendIdempotent sends the next batch of a producer, or an old one again, or one that does not fit.
func (h *harness) appendIdempotent() {
	for range 1 + h.producers/8 { // a crowd writes enough to outgrow a mark soon
		h.append(h.idempotent(false))
	}
}

func (h *harness) appendTransactional() { h.append(h.idempotent(true)) }

const attrTransactional = 1 << 4

func (h *harness) idempotent(transactional bool) (record.Batch, *derived) {
	d := derive(h.ref.chain[h.ref.floor:])
	b := h.newBatch()
	p := record.Producer{ID: model.ProducerID(1 + h.rng.IntN(h.producers))}
	if transactional {
		p.ID += 100
	}
	if known := d.producers[p.ID]; known != nil {
		p.Epoch = known.epoch
		if n := len(known.batches); n > 0 {
			switch last := known.batches[n-1]; {
			case h.one(4): // a retry, perhaps one that is forgotten
				old := h.ref.chain[h.rng.IntN(len(h.ref.chain))]
				if h.one(2) {
					old = known.batches[h.rng.IntN(n)]
				}
				if !old.IsControl() && old.HasProducer() {
					return append(record.Batch(nil), old...), &d
				}
			case h.one(12):
				p.Sequence = int32(h.rng.IntN(5))
			default:
				p.Sequence = record.AddSequence(last.LastSequence(), 1)
			}
		}
		if h.one(15) {
			p.Epoch, p.Sequence = p.Epoch+int16(h.rng.IntN(3))-1, 0
			p.Epoch = max(p.Epoch, 0)
		}
	}
	if transactional {
		const posAttributes = 21
		binary.BigEndian.PutUint16(b[posAttributes:], uint16(b.Attributes()|attrTransactional))
	}
	b.SetProducer(p) // and the checksum
	return b, &d
}

// endTransaction writes a marker for a producer, in a transaction or not.
func (h *harness) endTransaction() {
	d := derive(h.ref.chain[h.ref.floor:])
	h.endTransactionOf(&d, model.ProducerID(101+h.rng.IntN(h.producers)))
}

func (h *harness) endTransactionOf(d *derived, id model.ProducerID) {
	known := d.producers[id]
	if known == nil {
		return
	}
	b := record.EndTxn(record.Marker{
		Type: record.ControlType(h.rng.IntN(2)), Producer: id, CoordinatorEpoch: max(known.coordinator, 0) + int32(h.rng.IntN(2)),
		ProducerEpoch: known.epoch + int16(h.rng.IntN(2)), TimestampMs: 1_600_000_000_000 + int64(h.made)*1000,
	})
	h.append(b, nil)
}

// append appends a batch and holds what is said about it against the reference. d is the producers' state
// if that matters.
func (h *harness) append(b record.Batch, d *derived) {
	w := &waiter{h: h, base: h.ref.end()}
	a := wal.Append{Batch: b, Epoch: h.epoch, Verified: true}
	if base := b.BaseOffset(); base > 0 && !b.HasProducer() {
		w.base, a.Origin = base, producer.Replication
	}
	w.last = w.base + model.Offset(b.LastOffsetDelta())
	if !h.one(6) {
		a.Waiter = w
	}
	var original record.Batch
	var want error
	if b.HasProducer() && !b.IsControl() {
		original, want = d.verdict(b)
	}
	if int64(len(b)) > h.cfg.SegmentBytes {
		want, original = wal.ErrTooLarge, nil
	}
	if original != nil {
		w.base, w.last, w.retry = original.BaseOffset(), original.LastOffset(), true
	}
	if a.Waiter != nil {
		h.waiting++ // it may be told before Append returns
	}
	got, err := h.log.Append(a)
	if err != nil && a.Waiter != nil {
		h.waiting--
	}
	switch {
	case errors.Is(err, wal.ErrFenced) && h.fenced:
	case want != nil || err != nil:
		if want == nil || !errors.Is(err, want) {
			h.failf("appending offset %d: %v, want %v", w.base, err, want)
		}
	case got.BaseOffset != w.base || got.LastOffset != w.last || got.Duplicate != w.retry || got.LogStart != h.ref.start:
		h.failf("appended as %+v, want offsets %d to %d, a duplicate: %t, log start %d", got, w.base, w.last, w.retry, h.ref.start)
	case !w.retry:
		h.note("  offset %d, %d bytes, waits: %t", w.base, len(b), a.Waiter != nil)
		h.ref.append(b)
	case h.early && a.Waiter != nil && !w.told:
		w.Done(nil)
		w.told = false
		h.waiting++
	}
}
