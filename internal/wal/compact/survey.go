package compact

import (
	"errors"
	"fmt"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// maxUnpacked bounds what a batch is decompressed to, in bytes.
const maxUnpacked = 256 << 20

// errUnreadable: the records of a batch do not decompress, or do not parse.
var errUnreadable = errors.New("the records cannot be read")

// Survey collects the keys of the part of a log that no round has seen yet.
type Survey struct {
	keys    *Keys
	from    model.Offset
	to      model.Offset
	txns    txns
	markers map[model.ProducerID]model.Offset // the last one of each producer
}

// NewSurvey begins a survey at an offset. Batches from there on follow in order; the first may begin below. aborted are the
// transactions of that part of the log, and of what lies above it, which were aborted.
func NewSurvey(keys *Keys, from model.Offset, aborted []Aborted) *Survey {
	return &Survey{keys: keys, from: from, to: from, txns: newTxns(aborted), markers: make(map[model.ProducerID]model.Offset)}
}

// Batch takes one more batch. It is false when there was no room for all its keys: then the survey is over.
func (s *Survey) Batch(b record.Batch) bool {
	switch {
	case b.LastOffset() < s.from:
		return true
	case b.IsControl():
		if _, err := endOf(b); err == nil {
			s.txns.marker(b.ProducerID())
			s.markers[b.ProducerID()] = b.BaseOffset()
		}
	case s.txns.data(b): // nobody will see its keys
	default:
		_, err := eachRecord(b, func(off model.Offset, r *record.Record) bool {
			if r.Key == nil || off < s.from {
				return true
			}
			ok := s.keys.Put(r.Key, off)
			if !ok {
				s.to = off
			}
			return ok
		})
		if errors.Is(err, errStopped) {
			return false
		}
	}
	s.to = b.LastOffset() + 1
	return true
}

// To is where the survey ended: it knows all keys of the offsets from its beginning up to there.
func (s *Survey) To() model.Offset { return s.to }

// endOf reads a marker; an error says that it is none that ends a transaction.
func endOf(b record.Batch) (record.Marker, error) {
	m, err := record.ParseControl(b)
	if err == nil && m.Type != record.Abort && m.Type != record.Commit {
		err = fmt.Errorf("%w: type %s", record.ErrNotControl, m.Type)
	}
	return m, err
}

var errStopped = errors.New("stopped")

// eachRecord visits the records of a batch in order until visit returns false: then the error is errStopped. Any other one matches errUnreadable. The
// records alias the batch, or the memory that is returned.
func eachRecord(b record.Batch, visit func(model.Offset, *record.Record) bool) (unpacked []byte, err error) {
	data := b.Records()
	if b.RecordCount() == 0 {
		return nil, nil
	}
	if c := b.Codec(); c != compress.None {
		if data, err = compress.Decompress(nil, data, c, maxUnpacked); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnreadable, err)
		}
	}
	it := record.NewIterator(data, b.RecordCount())
	var r record.Record
	for it.Next(&r) {
		if !visit(b.BaseOffset()+model.Offset(r.OffsetDelta), &r) {
			return data, errStopped
		}
	}
	if err := it.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return data, nil
}
