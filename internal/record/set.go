package record

import (
	"encoding/binary"

	"chronik/internal/model"
)

// SetBaseOffset stamps the base offset. The CRC does not cover it.
func (b Batch) SetBaseOffset(o model.Offset) {
	binary.BigEndian.PutUint64(b[posBaseOffset:], uint64(o))
}

// SetLeaderEpoch stamps the epoch of the leader that appends the batch. The CRC does not cover it.
func (b Batch) SetLeaderEpoch(e model.LeaderEpoch) {
	binary.BigEndian.PutUint32(b[posLeaderEpoch:], uint32(e))
}

// SetMaxTimestampLogAppend gives all records the log's time in milliseconds: the timestamp type becomes
// LogAppendTime and the maximum is what readers take. It recomputes the CRC.
func (b Batch) SetMaxTimestampLogAppend(ms int64) {
	b.setAttributes(b.Attributes() | attrLogAppendTime)
	b.setMaxTimestamp(ms)
	b.updateCRC()
}

// SetMaxTimestamp corrects the greatest timestamp of the batch's records, in milliseconds, and keeps the
// timestamp type. It recomputes the CRC, unless the value is there already.
func (b Batch) SetMaxTimestamp(ms int64) {
	if b.MaxTimestamp() == ms {
		return
	}
	b.setMaxTimestamp(ms)
	b.updateCRC()
}

// SetProducer stamps producer ID, epoch and base sequence. It recomputes the CRC.
func (b Batch) SetProducer(p Producer) {
	b.setProducer(p)
	b.updateCRC()
}

func (b Batch) setAttributes(a int16) { binary.BigEndian.PutUint16(b[posAttributes:], uint16(a)) }
func (b Batch) setMaxTimestamp(ms int64) {
	binary.BigEndian.PutUint64(b[posMaxTimestamp:], uint64(ms))
}

func (b Batch) setProducer(p Producer) {
	binary.BigEndian.PutUint64(b[posProducerID:], uint64(p.ID))
	binary.BigEndian.PutUint16(b[posProducerEpoch:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(b[posBaseSequence:], uint32(p.Sequence))
}

func (b Batch) updateCRC() { binary.BigEndian.PutUint32(b[posCRC:], b.ComputeCRC()) }
