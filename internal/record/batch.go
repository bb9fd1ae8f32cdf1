package record

import (
	"encoding/binary"
	"math"

	"chronik/internal/model"
	"chronik/internal/record/compress"
)

// The layout of a batch header. Everything from crcFrom on is covered by the CRC.
const (
	posBaseOffset      = 0
	posLength          = 8 // bytes that follow the length field itself
	posLeaderEpoch     = 12
	posMagic           = 16
	posCRC             = 17
	posAttributes      = 21
	posLastOffsetDelta = 23
	posBaseTimestamp   = 27
	posMaxTimestamp    = 35
	posProducerID      = 43
	posProducerEpoch   = 51
	posBaseSequence    = 53
	posRecordCount     = 57

	crcFrom = posAttributes
)

const (
	// HeaderSize is the length in bytes of a batch's header, and so of a batch without records.
	HeaderSize = 61
	// PrefixSize is how many bytes SizeOf needs: those up to and including the magic.
	PrefixSize = posMagic + 1
	// lengthOverhead is what the length field does not count: the base offset and itself.
	lengthOverhead = posLeaderEpoch
	// MagicV2 is the only record format that Chronik accepts, stores and sends.
	MagicV2 = 2
	// NoSequence is the base sequence of a batch that no idempotent producer sent.
	NoSequence int32 = -1
	// NoProducerEpoch is the producer epoch of a batch without a producer ID.
	NoProducerEpoch int16 = -1
	// NoTimestamp is the wire's -1: records without a timestamp.
	NoTimestamp int64 = -1
)

// Attribute bits of a batch.
const (
	attrCodecMask     = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

// TimestampType says who set the timestamps of a batch: the producer or the log (KIP-32).
type TimestampType int8

// The two timestamp types, with Kafka's numbers.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// String is the value of message.timestamp.type that the type stands for.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Batch is a view over exactly one record batch of magic 2. Get one from Next, or check your own with Check.
type Batch []byte

func (b Batch) int16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
func (b Batch) int32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b Batch) int64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

// BaseOffset is the offset that the deltas of the records count from.
func (b Batch) BaseOffset() model.Offset { return model.Offset(b.int64(posBaseOffset)) }

// Size is the batch's length in bytes, header included, as its own length field says.
func (b Batch) Size() int { return lengthOverhead + int(b.int32(posLength)) }

// LeaderEpoch is the epoch of the leader that appended the batch; what a client put there means nothing.
func (b Batch) LeaderEpoch() model.LeaderEpoch { return model.LeaderEpoch(b.int32(posLeaderEpoch)) }

// Magic is the format version, 2 for every batch that Next returns.
func (b Batch) Magic() int8 { return int8(b[posMagic]) }

// CRC is the stored CRC-32C of everything from the attributes to the end.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[posCRC:]) }

// Attributes are the raw attribute bits; the methods below name them.
func (b Batch) Attributes() int16 { return b.int16(posAttributes) }

// LastOffsetDelta is the distance from BaseOffset to LastOffset. Compaction keeps it.
func (b Batch) LastOffsetDelta() int32 { return b.int32(posLastOffsetDelta) }

// LastOffset is the offset of the last record that the batch was written with.
func (b Batch) LastOffset() model.Offset {
	return b.BaseOffset() + model.Offset(b.LastOffsetDelta())
}

// BaseTimestamp is what the timestamp deltas of the records count from, in milliseconds since 1970. When
// HasDeleteHorizon it is the horizon instead, see DeleteHorizon.
func (b Batch) BaseTimestamp() int64 { return b.int64(posBaseTimestamp) }

// MaxTimestamp is the greatest timestamp in the batch, or with LogAppendTime that of all its records.
func (b Batch) MaxTimestamp() int64 { return b.int64(posMaxTimestamp) }

// ProducerID is the idempotent producer's ID, model.NoProducer if there is none.
func (b Batch) ProducerID() model.ProducerID { return model.ProducerID(b.int64(posProducerID)) }

// ProducerEpoch is the producer's epoch, NoProducerEpoch if there is no producer.
func (b Batch) ProducerEpoch() int16 { return b.int16(posProducerEpoch) }

// BaseSequence is the sequence number of the first record, NoSequence if there is no producer.
func (b Batch) BaseSequence() int32 { return b.int32(posBaseSequence) }

// LastSequence is the sequence number of the last record, NoSequence if there is none. Sequences wrap from
// 2^31-1 to 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base < 0 {
		return NoSequence
	}
	return AddSequence(base, b.LastOffsetDelta())
}

// AddSequence is seq + delta in the arithmetic of sequence numbers: 2^31-1 is followed by 0. Both must be
// at least 0.
func AddSequence(seq, delta int32) int32 {
	return int32((int64(seq) + int64(delta)) & math.MaxInt32)
}

// RecordCount is how many records the batch holds. Compaction makes it smaller than LastOffsetDelta + 1.
func (b Batch) RecordCount() int32 { return b.int32(posRecordCount) }

// Records are the bytes behind the header, compressed as Codec says. They alias the batch.
func (b Batch) Records() []byte { return b[HeaderSize:] }

// IsTransactional tells whether the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&attrTransactional != 0 }

// IsControl tells whether the batch is a control batch: a marker of the broker, not data.
func (b Batch) IsControl() bool { return b.Attributes()&attrControl != 0 }

// HasProducer tells whether an idempotent producer, or a transaction coordinator for one, wrote the batch.
func (b Batch) HasProducer() bool { return b.ProducerID() > model.NoProducer }

// HasDeleteHorizon tells whether the first compaction that saw the batch's tombstones has stamped the
// time from which they may go (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b.Attributes()&attrDeleteHorizon != 0 }

// DeleteHorizon is the time in milliseconds from which tombstones and markers of the batch may be removed.
// The second result is false when compaction has not set one.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	if !b.HasDeleteHorizon() {
		return NoTimestamp, false
	}
	return b.BaseTimestamp(), true
}

// Codec is how Records is compressed. It may be one that is not Valid; Check refuses that.
func (b Batch) Codec() compress.Codec { return compress.Codec(b.Attributes() & attrCodecMask) }

// TimestampType says who set the timestamps.
func (b Batch) TimestampType() TimestampType {
	if b.Attributes()&attrLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}
