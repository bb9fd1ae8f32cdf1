package replica

import (
	"errors"
	"fmt"
	"math"

	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// Policy is what a topic demands of the batches that producers send, from its configuration. Values are
// checked when the configuration is set, so that Admit need not.
type Policy struct {
	MaxMessageBytes int            // max.message.bytes: of a whole batch, as it arrives
	SegmentBytes    int64          // segment.bytes: no batch may be larger than a segment
	Compacted       bool           // cleanup.policy has compact: every record needs a key
	Deletes         bool           // cleanup.policy has delete: DeleteRecords is allowed
	LogAppendTime   bool           // message.timestamp.type
	BeforeMaxMs     int64          // message.timestamp.before.max.ms
	AfterMaxMs      int64          // message.timestamp.after.max.ms
	Recompress      bool           // compression.type is not "producer"
	Codec           compress.Codec // what Recompress wants
	Level           compress.Level // compression.*.level
}

// What Admit refuses besides the errors of package record.
var (
	// ErrOneBatch: a produce request carries exactly one batch for a partition (KIP-98).
	ErrOneBatch = errors.New("a partition's records must be exactly one record batch")
	// ErrUnknownMagic: no record format that ever was; message sets of magic 0 and 1 are record.ErrMagic alone.
	ErrUnknownMagic = errors.New("the record format does not exist")
	// ErrBaseOffset: producers count from 0, the broker gives the offsets.
	ErrBaseOffset = errors.New("the base offset of a producer's batch must be 0")
	// ErrTooLarge: the batch is larger than the topic's max.message.bytes.
	ErrTooLarge = errors.New("the record batch is larger than max.message.bytes allows")
	// ErrLargerThanSegment: the batch is larger than the topic's segment.bytes.
	ErrLargerThanSegment = errors.New("the record batch is larger than segment.bytes allows")
	// ErrTimestamp: a record's timestamp is outside of the topic's bounds.
	ErrTimestamp = errors.New("the record's timestamp is too far from the broker's time")
	// ErrNoKey: a compacted topic keeps records by key, so each must have one.
	ErrNoKey = errors.New("a compacted topic accepts only records with a key")
	// ErrCompressed: the records do not decompress.
	ErrCompressed = errors.New("the compressed records cannot be read")
)

// Admit checks what a producer sent for one partition at broker time nowMs and returns the batch to append:
// the same bytes, stamped in place where the topic says so, or a new batch where it wants another codec (L4).
// Records are walked where a rule needs them, and always when they are not compressed.
func (p *Policy) Admit(records []byte, nowMs int64) (record.Batch, error) {
	if len(records) == 0 {
		return nil, ErrOneBatch
	}
	b, rest, err := record.Next(records)
	switch {
	case errors.Is(err, record.ErrMagic) && record.Batch(records).Magic() != 0 && record.Batch(records).Magic() != 1:
		return nil, fmt.Errorf("%w: %w", ErrUnknownMagic, err)
	case err != nil:
		return nil, err
	case len(rest) != 0:
		return nil, ErrOneBatch
	case b.BaseOffset() != 0:
		return nil, fmt.Errorf("%w: it is %d", ErrBaseOffset, b.BaseOffset())
	case len(b) > p.MaxMessageBytes:
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrTooLarge, len(b), p.MaxMessageBytes)
	case int64(len(b)) > p.SegmentBytes:
		return nil, fmt.Errorf("%w: it has %d bytes, the limit is %d", ErrLargerThanSegment, len(b), p.SegmentBytes)
	}
	if err := b.CheckClient(); err != nil {
		return nil, err
	}
	if err := p.walk(b, nowMs); err != nil {
		return nil, err
	}
	if p.Recompress && b.Codec() != p.Codec {
		return p.recompress(b, nowMs)
	}
	if p.LogAppendTime {
		b.SetMaxTimestampLogAppend(nowMs)
	}
	return b, nil
}

// walk looks at the single records where a rule needs it. The upper bound of timestamps is first held
// against the header, which is what retention and lookups go by; only if that is beyond the bound are the
// records of a compressed batch unpacked, to name the one at fault.
func (p *Policy) walk(b record.Batch, nowMs int64) error {
	compressed := b.Codec() != compress.None
	lower, upper := p.bounds(nowMs)
	needed := p.Compacted || lower != math.MinInt64 || b.MaxTimestamp() > upper
	if compressed && !needed {
		if !compress.Begins(b.Records(), b.Codec()) { // the least that keeps consumers from what nobody can read
			return fmt.Errorf("%w: they do not begin as %s does", ErrCompressed, b.Codec())
		}
		return nil
	}
	data := b.Records()
	if compressed {
		var err error
		if data, err = p.decompress(b); err != nil {
			return err
		}
	}
	base, last := b.BaseTimestamp(), record.NoTimestamp
	err := record.ValidateRecords(data, b.RecordCount(), func(_ int, r record.Record) error {
		ts := base + r.TimestampDelta
		last = max(last, ts)
		if p.Compacted && r.Key == nil {
			return ErrNoKey
		}
		if ts != record.NoTimestamp && (ts < lower || ts > upper) {
			return fmt.Errorf("%w: it is %d, the bounds are %d and %d", ErrTimestamp, ts, lower, upper)
		}
		return nil
	})
	if err == nil && !p.LogAppendTime {
		b.SetMaxTimestamp(last) // no byte changes for a producer that told the truth
	}
	return err
}

// bounds are the least and greatest timestamps allowed. With LogAppendTime the producer's do not count.
func (p *Policy) bounds(nowMs int64) (lower, upper int64) {
	if p.LogAppendTime {
		return math.MinInt64, math.MaxInt64
	}
	lower, upper = nowMs-p.BeforeMaxMs, nowMs+p.AfterMaxMs
	if p.BeforeMaxMs > nowMs {
		lower = math.MinInt64
	}
	if upper < nowMs { // the sum wrapped: no bound
		upper = math.MaxInt64
	}
	return lower, upper
}

// maxUnpacked bounds what a batch may decompress to, so that a small request cannot fill the memory.
const maxUnpacked = 256 << 20

func (p *Policy) decompress(b record.Batch) ([]byte, error) {
	data, err := compress.Decompress(nil, b.Records(), b.Codec(), maxUnpacked)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompressed, err)
	}
	return data, nil
}

// recompress builds the batch anew with the topic's codec. Everything but the codec stays.
func (p *Policy) recompress(b record.Batch, nowMs int64) (record.Batch, error) {
	data, err := p.decompress(b)
	if err != nil {
		return nil, err
	}
	opts := record.Options{Codec: p.Codec, Level: p.Level, Transactional: b.IsTransactional()}
	if b.HasProducer() {
		opts.Producer = &record.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch(), Sequence: b.BaseSequence()}
	}
	if p.LogAppendTime {
		opts.LogAppendTimeMs = &nowMs
	}
	w := record.NewBuilder(opts)
	base := b.BaseTimestamp()
	err = record.ValidateRecords(data, b.RecordCount(), func(_ int, r record.Record) error {
		w.Add(base+r.TimestampDelta, r.Key, r.Value, r.Headers.List()...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out, err := w.Build()
	if err == nil && len(out) > p.MaxMessageBytes {
		return nil, fmt.Errorf("%w: recompressed it has %d bytes, the limit is %d", ErrTooLarge, len(out), p.MaxMessageBytes)
	}
	return out, err
}
