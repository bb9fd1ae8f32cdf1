package shard

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// maxUnpacked bounds what a compressed batch may decompress to.
const maxUnpacked = 256 << 20

// Replay applies a batch of the log, all of which is below the offset that New was told; batches come in their order, those that
// compaction has left. The error says which record half a memory would begin with: the shard must be ended.
func (s *Shard) Replay(b record.Batch) error {
	if err := s.replay(b); err != nil {
		return fmt.Errorf("%s cannot be coordinated, the log is not readable: %w", s.o.Partition, err)
	}
	return nil
}

func (s *Shard) replay(b record.Batch) error {
	if b.BaseOffset() < s.end || b.LastOffset() >= s.watermark {
		return fmt.Errorf("%w: batch %d to %d, expected are those from %d to %d", errOrder, b.BaseOffset(), b.LastOffset(), s.end, s.watermark-1)
	}
	e := Entry{Producer: model.NoProducer}
	if b.IsTransactional() {
		e.Producer, e.Epoch = b.ProducerID(), b.ProducerEpoch()
	}
	if b.IsControl() {
		return s.replayMarker(b, e)
	}
	data := b.Records()
	if c := b.Codec(); c != compress.None {
		var err error
		if data, err = compress.Decompress(s.unpacked[:0], data, c, maxUnpacked); err != nil {
			return fmt.Errorf("batch %d: %w", b.BaseOffset(), err)
		}
		s.unpacked = data
	}
	it := record.NewIterator(data, b.RecordCount())
	var r record.Record
	for it.Next(&r) {
		off := b.BaseOffset() + model.Offset(r.OffsetDelta)
		rec, err := s.o.Topic.Decode(r.Key, r.Value)
		if errors.Is(err, schema.ErrUnknownType) {
			s.skipped++
			continue
		}
		if err == nil {
			e.TimestampMs, e.Record = b.BaseTimestamp()+r.TimestampDelta, rec
			err = s.o.Machine.Apply(off, e)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", off, err)
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("batch %d, record %d of it: %w", b.BaseOffset(), it.Index(), err)
	}
	s.end = b.LastOffset() + 1
	return nil
}

func (s *Shard) replayMarker(b record.Batch, e Entry) error {
	m, err := record.ParseControl(b)
	if err == nil {
		e.TimestampMs, e.Marker = m.TimestampMs, &m
		err = s.o.Machine.Apply(b.BaseOffset(), e)
	}
	if err != nil {
		return fmt.Errorf("control record %d: %w", b.BaseOffset(), err)
	}
	s.end = b.LastOffset() + 1
	return nil
}

// Skipped is how many records were of types that only newer brokers know.
func (s *Shard) Skipped() int { return s.skipped }

// Serve ends the load: all is replayed. Requests are decided from now on.
func (s *Shard) Serve(now time.Time, im *image.Image) {
	if s.state != loading {
		return
	}
	s.state, s.end, s.unpacked = serving, s.watermark, nil
	s.perform(now, s.o.Machine.Loaded(now, im))
}

var errOrder = errors.New("batches are not in order")
