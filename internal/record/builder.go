package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"chronik/internal/model"
	"chronik/internal/record/compress"
)

// Producer is what a batch says about the idempotent producer that sent it.
type Producer struct {
	ID       model.ProducerID
	Epoch    int16
	Sequence int32 // of the first record
}

// noProducer is what a batch without an idempotent producer carries.
var noProducer = Producer{ID: model.NoProducer, Epoch: NoProducerEpoch, Sequence: NoSequence}

// Options are the header fields of a batch to build. The zero value is a plain, uncompressed batch at offset 0
// and epoch 0.
type Options struct {
	BaseOffset    model.Offset
	LeaderEpoch   model.LeaderEpoch
	Codec         compress.Codec
	Level         compress.Level // zero is the codec's default
	Producer      *Producer      // nil: none
	Transactional bool
	Control       bool
	// LogAppendTimeMs, if not nil, makes it a batch of LogAppendTime with this time for all records.
	LogAppendTimeMs *int64
	// DeleteHorizonMs, if not nil, is the time from which tombstones may go (KIP-534).
	DeleteHorizonMs *int64
}

// Builder collects records and encodes them as one batch. The zero value is ready and has zero Options; Reset
// makes it ready again and keeps its memory. It is for brokers' own records, for compaction and for
// recompression; what producers send is never rebuilt.
type Builder struct {
	opts    Options
	records []byte // uncompressed
	count   int32
	end     int64 // offset delta after the last
	baseTs  int64
	maxTs   int64
	err     error
}

// ErrBuild: records that do not fit into one batch, or not in the order given.
var ErrBuild = errors.New("cannot build the record batch")

// NewBuilder returns a Builder for one batch.
func NewBuilder(o Options) *Builder {
	b := &Builder{}
	b.Reset(o)
	return b
}

// Reset forgets all records and starts another batch.
func (w *Builder) Reset(o Options) {
	*w = Builder{opts: o, records: w.records[:0]}
	if o.DeleteHorizonMs != nil {
		w.baseTs = *o.DeleteHorizonMs
	}
}

// Len is how many records were added.
func (w *Builder) Len() int { return int(w.count) }

// Size is how many bytes the batch would have without compression.
func (w *Builder) Size() int { return HeaderSize + len(w.records) }

// Add appends a record at the next offset. A nil key or value is null.
func (w *Builder) Add(timestampMs int64, key, value []byte, headers ...Header) {
	w.AddAt(w.opts.BaseOffset+model.Offset(w.end), timestampMs, key, value, headers...)
}

// AddAt appends a record at an offset of its own, which must be greater than that of the record before: for
// compaction, which leaves gaps. Errors come out of Build.
func (w *Builder) AddAt(o model.Offset, timestampMs int64, key, value []byte, headers ...Header) {
	delta := int64(o) - int64(w.opts.BaseOffset)
	if w.err == nil && (delta < w.end || delta > math.MaxInt32) {
		w.err = fmt.Errorf("%w: offset %d, the next free is %d", ErrBuild, o, w.opts.BaseOffset+model.Offset(w.end))
	}
	if w.err != nil {
		return
	}
	if w.count == 0 {
		if w.opts.DeleteHorizonMs == nil {
			w.baseTs = timestampMs
		}
		w.maxTs = timestampMs
	}
	w.maxTs = max(w.maxTs, timestampMs)
	w.records = appendRecord(w.records, timestampMs-w.baseTs, int32(delta), key, value, headers)
	w.end = delta + 1
	w.count++
	if len(w.records) > math.MaxInt32-HeaderSize {
		w.err = fmt.Errorf("%w: %d bytes of records", ErrBuild, len(w.records))
	}
}

// KeepThrough makes the batch reach up to offset o even if its last records are gone: compaction keeps the
// last offset of a batch, so that producer state and fetch positions survive it.
func (w *Builder) KeepThrough(o model.Offset) {
	delta := int64(o) - int64(w.opts.BaseOffset)
	if w.err == nil && (delta < w.end-1 || delta > math.MaxInt32) {
		w.err = fmt.Errorf("%w: last offset %d, base offset %d", ErrBuild, o, w.opts.BaseOffset)
	}
	if w.err == nil {
		w.end = delta + 1
	}
}

// Build returns the batch in memory of its own. The error wraps ErrBuild, or is the codec's.
func (w *Builder) Build() (Batch, error) { return w.AppendTo(nil) }

// AppendTo appends the batch to dst and returns the extended slice, of which the appended part is the batch.
func (w *Builder) AppendTo(dst []byte) ([]byte, error) {
	if w.err != nil {
		return dst, w.err
	}
	if !w.opts.Codec.Valid() {
		return dst, fmt.Errorf("%w: %d", ErrCodec, w.opts.Codec)
	}
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst, err := compress.Compress(dst, w.records, w.opts.Codec, w.opts.Level)
	if err != nil {
		return dst[:start], err
	}
	b := Batch(dst[start:])
	if len(b) > math.MaxInt32 {
		return dst[:start], fmt.Errorf("%w: %d bytes", ErrBuild, len(b))
	}
	w.header(b)
	return dst, nil
}

func (w *Builder) header(b Batch) {
	attrs := int16(w.opts.Codec)
	maxTs := w.maxTs
	if w.count == 0 {
		maxTs = NoTimestamp
	}
	if w.opts.Transactional {
		attrs |= attrTransactional
	}
	if w.opts.Control {
		attrs |= attrControl
	}
	if w.opts.DeleteHorizonMs != nil {
		attrs |= attrDeleteHorizon
	}
	if w.opts.LogAppendTimeMs != nil {
		attrs |= attrLogAppendTime
		maxTs = *w.opts.LogAppendTimeMs
	}
	p := noProducer
	if w.opts.Producer != nil {
		p = *w.opts.Producer
	}
	b.SetBaseOffset(w.opts.BaseOffset)
	binary.BigEndian.PutUint32(b[posLength:], uint32(len(b)-lengthOverhead))
	b.SetLeaderEpoch(w.opts.LeaderEpoch)
	b[posMagic] = MagicV2
	b.setAttributes(attrs)
	binary.BigEndian.PutUint32(b[posLastOffsetDelta:], uint32(max(w.end-1, 0)))
	binary.BigEndian.PutUint64(b[posBaseTimestamp:], uint64(w.baseTs))
	b.setMaxTimestamp(maxTs)
	b.setProducer(p)
	binary.BigEndian.PutUint32(b[posRecordCount:], uint32(w.count))
	b.updateCRC()
}

// appendRecord encodes one record behind its length.
func appendRecord(dst []byte, tsDelta int64, offsetDelta int32, key, value []byte, headers []Header) []byte {
	n := 1 + varintLen(tsDelta) + varintLen(int64(offsetDelta)) + bytesLen(key) + bytesLen(value) + varintLen(int64(len(headers)))
	for _, h := range headers {
		n += varintLen(int64(len(h.Key))) + len(h.Key) + bytesLen(h.Value)
	}
	dst = appendVarint(dst, int64(n))
	dst = append(dst, 0) // no record attribute is defined
	dst = appendVarint(dst, tsDelta)
	dst = appendVarint(dst, int64(offsetDelta))
	dst = appendBytes(dst, key)
	dst = appendBytes(dst, value)
	dst = appendVarint(dst, int64(len(headers)))
	for _, h := range headers {
		dst = append(appendVarint(dst, int64(len(h.Key))), h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func bytesLen(b []byte) int {
	if b == nil {
		return varintLen(-1)
	}
	return varintLen(int64(len(b))) + len(b)
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}
