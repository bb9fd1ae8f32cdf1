package record

import (
	"errors"
	"fmt"
	"hash/crc32"

	"chronik/internal/model"
)

// What can be wrong inside a batch whose framing is right. Errors of Check and CheckClient wrap one of
// these, or one of ErrTruncated, ErrMagic and ErrSize.
var (
	// ErrCRC: the bytes are not those that were written.
	ErrCRC = errors.New("record batch fails its CRC-32C")
	// ErrCount: record count and last offset delta cannot be true together.
	ErrCount = errors.New("record batch has an impossible record count")
	// ErrCodec: the compression codec does not exist.
	ErrCodec = errors.New("record batch has an unknown compression codec")
	// ErrControl: a client sent what only brokers write.
	ErrControl = errors.New("clients must not write control batches")
	// ErrProducer: producer ID, epoch and sequence do not fit together.
	ErrProducer = errors.New("record batch has invalid producer fields")
	// ErrTimestampType: a client claims the broker's timestamp type.
	ErrTimestampType = errors.New("clients must not set the timestamp type LogAppendTime")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ComputeCRC returns the CRC-32C that the batch should carry.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[crcFrom:], castagnoli) }

// Check proves that b is exactly one whole, undamaged batch: length, magic, CRC, a codec that exists, a record
// count that its offsets leave room for. It holds for every batch that Chronik stores, markers and compacted
// batches included; CheckClient demands more. It does not look into the records: see ValidateRecords.
func (b Batch) Check() error {
	size, err := SizeOf(b)
	switch {
	case err != nil:
		return err
	case size > len(b):
		return fmt.Errorf("%w: its length is %d bytes, %d are there", ErrTruncated, size, len(b))
	case size < len(b):
		return fmt.Errorf("%w: %d bytes follow the batch's %d", ErrSize, len(b)-size, size)
	}
	if want, got := b.CRC(), b.ComputeCRC(); want != got {
		return fmt.Errorf("%w: it says %08x, its bytes give %08x", ErrCRC, want, got)
	}
	if c := b.Codec(); !c.Valid() {
		return fmt.Errorf("%w: %d", ErrCodec, c)
	}
	if n, last := b.RecordCount(), b.LastOffsetDelta(); n < 0 || last < 0 || int64(n) > int64(last)+1 {
		return fmt.Errorf("%w: %d records, last offset delta %d", ErrCount, n, last)
	}
	return nil
}

// CheckClient is Check plus what a broker demands of a batch from a producer (L4): at least one record and no
// gaps, no control bit, no timestamp type or delete horizon of the log, consistent producer fields.
func (b Batch) CheckClient() error {
	if err := b.Check(); err != nil {
		return err
	}
	if n, last := b.RecordCount(), b.LastOffsetDelta(); n < 1 || int64(n) != int64(last)+1 {
		return fmt.Errorf("%w: %d records, last offset delta %d; it must be the count less one", ErrCount, n, last)
	}
	switch {
	case b.IsControl():
		return ErrControl
	case b.TimestampType() == LogAppendTime:
		return ErrTimestampType
	case b.HasDeleteHorizon():
		return fmt.Errorf("%w: the delete horizon is for the log cleaner", ErrControl)
	}
	return b.checkProducer()
}

func (b Batch) checkProducer() error {
	id, epoch, seq := b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()
	if id < model.NoProducer {
		return fmt.Errorf("%w: producer ID %d", ErrProducer, id)
	}
	if id == model.NoProducer {
		if b.IsTransactional() {
			return fmt.Errorf("%w: it is transactional and has no producer ID", ErrProducer)
		}
		return nil
	}
	if epoch < 0 {
		return fmt.Errorf("%w: producer %d has epoch %d", ErrProducer, id, epoch)
	}
	if seq < 0 {
		return fmt.Errorf("%w: producer %d has base sequence %d", ErrProducer, id, seq)
	}
	return nil
}
