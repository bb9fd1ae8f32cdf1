package shard

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
	"chronik/internal/record"
)

// mostTaken is how many batches may be on their way: one that the log makes durable, and one queued behind it. The next one gathers.
const mostTaken = 2

// recordOverhead is more than what a record takes beside its key and value.
const recordOverhead = 32

// batch is what was decided and is not settled: records from base up to end.
type batch struct {
	base, end model.Offset
	size      int
	records   []encoded // nil: taken
	// Nothing joins a batch of a producer's transaction, or a marker.
	txn    *Producer
	marker *record.Marker
	raised bool
}

func (b *batch) alone() bool { return b.txn != nil || b.marker != nil }

// encoded is a record as it is written.
type encoded struct {
	key, value []byte
	atMs       int64
}

// Batch is to be appended. The shard expects it to begin at Base.
type Batch struct {
	Base   model.Offset
	Bytes  record.Batch // the caller's
	Raised bool         // see Result
}

var (
	errParted = errors.New("the log does not end where the coordinator believes")
	errLost   = errors.New("the log has lost records that it had accepted")
)

// encode keeps the bytes of records for gather, and returns how many they are at most.
func (s *Shard) encode(now time.Time, records []schema.Record) (size int, err error) {
	s.encoded = make([]encoded, 0, len(records))
	for _, r := range records {
		key, value, err := schema.Encode(r)
		if err != nil {
			return 0, err
		}
		s.encoded = append(s.encoded, encoded{key, value, now.UnixMilli()})
		size += len(key) + len(value) + recordOverhead
	}
	if size+record.HeaderSize > s.o.MaxBatchBytes {
		return 0, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	return size, nil
}

// apply makes what was decided part of the newest state, at the offsets that its records will have.
func (s *Shard) apply(now time.Time, r *Result) error {
	e := Entry{TimestampMs: now.UnixMilli(), Producer: model.NoProducer}
	if m := r.Marker; m != nil {
		e = Entry{TimestampMs: m.TimestampMs, Producer: m.Producer, Epoch: m.ProducerEpoch, Marker: m}
		err := s.o.Machine.Apply(s.end, e)
		s.end++
		return err
	}
	if r.Txn != nil {
		e.Producer, e.Epoch = r.Txn.ID, r.Txn.Epoch
	}
	for _, rec := range r.Records {
		e.Record = rec
		if err := s.o.Machine.Apply(s.end, e); err != nil {
			return err
		}
		s.end++
	}
	return nil
}

// gather puts what was encoded, and begins at an offset, into the batch that is open, or begins another one.
func (s *Shard) gather(first model.Offset, size int, r *Result) {
	var b *batch
	if n := len(s.batches); n > s.taken && r.Txn == nil && r.Marker == nil {
		b = s.batches[n-1]
	}
	if b == nil || b.alone() || b.size+size > s.o.MaxBatchBytes {
		b = &batch{base: first, size: record.HeaderSize, txn: r.Txn, marker: r.Marker, raised: r.Raised}
		s.batches = append(s.batches, b)
	}
	if b.records == nil {
		b.records = s.encoded
	} else {
		b.records = append(b.records, s.encoded...)
	}
	b.size += size
	b.end, s.encoded = s.end, nil
}

// Take returns what is to be appended next; false: nothing, or enough is on its way. Appended, Refused or End must follow before
// anything else.
func (s *Shard) Take() (Batch, bool) {
	if s.state != serving || s.taken == mostTaken || s.taken == len(s.batches) || s.asked {
		return Batch{}, false
	}
	b := s.batches[s.taken]
	bytes, err := s.build(b)
	if err != nil {
		s.fail(err)
		return Batch{}, false
	}
	b.records = nil
	s.taken++
	s.asked = true
	return Batch{Base: b.base, Bytes: bytes, Raised: b.raised}, true
}

func (s *Shard) build(b *batch) (record.Batch, error) {
	if b.marker != nil {
		out := record.EndTxn(*b.marker)
		out.SetBaseOffset(b.base)
		return out, nil
	}
	o := record.Options{BaseOffset: b.base}
	if b.txn != nil {
		o.Producer, o.Transactional = &record.Producer{ID: b.txn.ID, Epoch: b.txn.Epoch, Sequence: record.NoSequence}, true
	}
	s.builder.Reset(o)
	for _, r := range b.records {
		s.builder.Add(r.atMs, r.key, r.value)
	}
	return s.builder.AppendTo(make([]byte, 0, s.builder.Size()))
}

// Appended says where the log has put the batch that was taken. Elsewhere than expected, the shard ends.
func (s *Shard) Appended(base model.Offset) {
	if !s.asked {
		return
	}
	s.asked = false
	if want := s.batches[s.taken-1].base; base != want {
		s.fail(fmt.Errorf("%w: at %d, not at %d", errParted, want, base))
	}
}

// Refused says that the log has not accepted the batch that was taken, and nothing of it: it is taken back with all that was
// decided after it, and whoever waits for any of that is told err. But what a producer's batch was refused for is that producer's
// trouble: who comes after it is told ErrTimedOut, and asks again.
func (s *Shard) Refused(err error) {
	if !s.asked {
		return
	}
	s.asked = false
	s.taken--
	b := s.batches[s.taken]
	clear(s.batches[s.taken:])
	s.batches = s.batches[:s.taken]
	s.o.Machine.Revert(b.base)
	s.end = b.base
	left := s.split(b.base)
	of := s.split(b.end)
	after := s.replies
	s.replies = left
	answer(of, err)
	if b.alone() {
		err = fmt.Errorf("%w (decided after what the log has refused: %w)", ErrTimedOut, err)
	}
	answer(after, err)
}

// Settle says that what the log has below the watermark is safe.
func (s *Shard) Settle(watermark model.Offset) {
	if s.settle(watermark) {
		s.part(watermark, s.release)
	}
}

// Doubt is Settle when too few replicas are in sync to promise it: whoever waits is told err, and finds out by asking again. The
// records stay, and are what readers see: they are below the watermark, as for every reader of the log (R5). So effects are done.
func (s *Shard) Doubt(watermark model.Offset, err error) {
	if s.settle(watermark) {
		s.part(watermark, func(w waiting) {
			w.answer(err)
			s.effect(w)
		})
	}
}

func (s *Shard) settle(watermark model.Offset) bool {
	if s.state != serving || watermark <= s.watermark {
		return false
	}
	if appended := s.appended(); watermark > appended {
		s.fail(fmt.Errorf("%w: settled up to %d, appended up to %d", errParted, watermark, appended))
		return false
	}
	s.watermark = watermark
	s.o.Machine.Settle(watermark)
	n := 0
	for n < s.taken && s.batches[n].end <= watermark {
		n++
	}
	s.batches = append(s.batches[:0], s.batches[n:]...)
	s.taken -= n
	return true
}

// appended is where the log ends as far as it has said so.
func (s *Shard) appended() model.Offset {
	n := s.taken
	if s.asked {
		n--
	}
	if n == 0 {
		return s.watermark
	}
	return s.batches[n-1].end
}

// Lost says that records which the log had accepted are gone, or that it has failed for good: what followed was decided on them, so
// the shard ends.
func (s *Shard) Lost(err error) { s.fail(fmt.Errorf("%w: %w", errLost, err)) }
