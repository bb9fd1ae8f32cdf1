package producer

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"chronik/internal/model"
	"chronik/internal/wal/snapshot"
)

// FileName is the snapshot's name in the partition's directory.
const FileName = "producer_snapshot"

var kind = snapshot.Kind{Magic: [4]byte{'C', 'K', 'P', 'S'}, Version: 1}

const (
	fixedBytes    = 16 // end offset, number of producers, number of ended transactions
	producerBytes = 8 + 2 + 4 + 8 + 8 + 8 + 1
	batchBytes    = 4 + 4 + 8 + 8
	doneBytes     = 16
)

// AppendSnapshot appends the state as the file docs/format/producer_snapshot.md describes. All batches
// below end must have been applied, and none above. The bytes may reach the disk only once the log is
// durable up to end: else a crash could leave memories of batches that are gone.
func (s *State) AppendSnapshot(dst []byte, end model.Offset) []byte {
	ids := make([]model.ProducerID, 0, len(s.index))
	for id := range s.index {
		ids = append(ids, id)
	}
	slices.Sort(ids)

	start, be := len(dst), binary.BigEndian
	dst = kind.Begin(dst)
	dst = be.AppendUint64(dst, uint64(end))
	dst = be.AppendUint32(dst, uint32(len(ids)))
	dst = be.AppendUint32(dst, uint32(len(s.done)))
	for _, id := range ids {
		p := s.lookup(id)
		dst = be.AppendUint64(dst, uint64(id))
		dst = be.AppendUint16(dst, uint16(p.epoch))
		dst = be.AppendUint32(dst, uint32(p.coordinator))
		dst = be.AppendUint64(dst, uint64(p.maxTimestamp))
		dst = be.AppendUint64(dst, uint64(p.seenMs))
		dst = be.AppendUint64(dst, uint64(p.txnFirst))
		dst = append(dst, p.count)
		for i := range int(p.count) {
			b := p.at(i)
			dst = be.AppendUint32(dst, uint32(b.lastSeq))
			dst = be.AppendUint32(dst, uint32(b.delta))
			dst = be.AppendUint64(dst, uint64(b.lastOffset))
			dst = be.AppendUint64(dst, uint64(b.maxTimestamp))
		}
	}
	for _, d := range s.done {
		dst = be.AppendUint64(dst, uint64(d.first))
		dst = be.AppendUint64(dst, uint64(d.marker))
	}
	return kind.Seal(dst, start)
}

// LoadSnapshot reads what AppendSnapshot wrote: the state and the offset up to which it holds. Errors
// match snapshot.ErrCorrupt or snapshot.ErrVersion.
func LoadSnapshot(b []byte) (State, model.Offset, error) {
	body, err := kind.Open(b)
	if err != nil {
		return State{}, 0, fmt.Errorf("producer snapshot: %w", err)
	}
	if len(body) < fixedBytes {
		return State{}, 0, fmt.Errorf("producer snapshot: %w: %d bytes", snapshot.ErrCorrupt, len(body))
	}
	r := reader{end: model.Offset(binary.BigEndian.Uint64(body)), rest: body[fixedBytes:]}
	producers, done := int(binary.BigEndian.Uint32(body[8:])), int(binary.BigEndian.Uint32(body[12:]))
	s := State{base: r.end}
	r.check(r.end >= 0, "end offset %d", r.end)
	r.check(producers <= len(r.rest)/producerBytes && done <= len(r.rest)/doneBytes, "%d producers, %d transactions", producers, done)
	for last := model.NoProducer; producers > 0 && r.err == nil; producers-- {
		p := r.slot()
		r.check(p.producer > last, "producer %d after %d", p.producer, last)
		last = p.producer
		s.load(p)
	}
	for marker := model.NoOffset; done > 0 && r.err == nil; done-- {
		d := r.doneTxn()
		r.check(d.marker > marker, "marker at %d after %d", d.marker, marker)
		marker = d.marker
		s.done = append(s.done, d)
	}
	r.check(len(r.rest) == 0, "%d bytes too many", len(r.rest))
	for i := 1; i < len(s.open); i++ {
		r.check(s.open[i-1].first != s.open[i].first, "two transactions begin at %d", s.open[i].first)
	}
	if r.err != nil {
		return State{}, 0, fmt.Errorf("producer snapshot: %w", r.err)
	}
	return s, r.end, nil
}

func (s *State) load(p slot) {
	if s.index == nil {
		s.index = make(map[model.ProducerID]int32)
	}
	s.index[p.producer] = int32(len(s.slots))
	s.slots = append(s.slots, p)
	if p.txnFirst != model.NoOffset {
		s.insertOpen(openTxn{first: p.txnFirst, producer: p.producer})
	}
}

// reader takes the fields of a body apart; the first thing wrong stays in err.
type reader struct {
	rest []byte
	end  model.Offset
	err  error
}

func (r *reader) check(ok bool, format string, args ...any) {
	if !ok && r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{snapshot.ErrCorrupt}, args...)...)
	}
}

// take returns the next n bytes, or n zeros if fewer are left.
func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.check(false, "it ends within an entry")
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) slot() slot {
	be, b := binary.BigEndian, r.take(producerBytes)
	p := slot{producer: model.ProducerID(be.Uint64(b)), fields: fields{
		epoch:        int16(be.Uint16(b[8:])),
		coordinator:  int32(be.Uint32(b[10:])),
		maxTimestamp: int64(be.Uint64(b[14:])),
		seenMs:       int64(be.Uint64(b[22:])),
		txnFirst:     model.Offset(be.Uint64(b[30:])),
	}}
	count := b[38]
	r.check(p.producer >= 0 && p.epoch >= 0 && count <= Retained, "producer %d, epoch %d, %d batches", p.producer, p.epoch, count)
	r.check(p.txnFirst >= model.NoOffset && p.txnFirst < max(r.end, 0), "transaction at %d with end %d", p.txnFirst, r.end)
	if r.err != nil {
		return p
	}
	p.count, p.head = count, count%Retained
	before := model.NoOffset
	for i := range int(count) {
		p.ring[i] = r.batch(before)
		before = p.ring[i].lastOffset
	}
	return p
}

func (r *reader) batch(before model.Offset) batch {
	be, b := binary.BigEndian, r.take(batchBytes)
	c := batch{
		lastSeq: int32(be.Uint32(b)), delta: int32(be.Uint32(b[4:])),
		lastOffset: model.Offset(be.Uint64(b[8:])), maxTimestamp: int64(be.Uint64(b[16:])),
	}
	r.check(c.lastSeq >= NoSequence && c.delta >= 0 && c.lastOffset < r.end && c.lastOffset-model.Offset(c.delta) > before,
		"batch of %d records up to offset %d, sequence %d, after offset %d", int64(c.delta)+1, c.lastOffset, c.lastSeq, before)
	return c
}

func (r *reader) doneTxn() doneTxn {
	b := r.take(doneBytes)
	d := doneTxn{first: model.Offset(binary.BigEndian.Uint64(b)), marker: model.Offset(binary.BigEndian.Uint64(b[8:]))}
	r.check(d.first >= 0 && d.first < d.marker && d.marker < r.end && d.marker != math.MaxInt64,
		"transaction from %d to %d with end %d", d.first, d.marker, r.end)
	return d
}
