package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"chronik/internal/model"
)

// ControlType is the kind of a control record, with Kafka's numbers.
type ControlType int16

// The control records that this package knows. Kafka's others (leader change, snapshot header and so on) occur
// in its own metadata log only.
const (
	Abort  ControlType = 0
	Commit ControlType = 1
)

// String is Kafka's name of the type.
func (t ControlType) String() string {
	switch t {
	case Abort:
		return "ABORT"
	case Commit:
		return "COMMIT"
	}
	return fmt.Sprintf("UNKNOWN(%d)", int16(t))
}

// ErrNotControl: the batch is not a control batch, or not one with a readable record.
var ErrNotControl = errors.New("not a readable control batch")

// Marker ends a producer's transaction on one partition.
type Marker struct {
	Type             ControlType // Abort or Commit
	CoordinatorEpoch int32
	Producer         model.ProducerID
	ProducerEpoch    int16
	TimestampMs      int64
}

const (
	controlKeySize   = 4 // version, type
	controlValueSize = 6 // version, coordinator epoch
)

// EndTxn builds the control batch that ends a transaction: one record at the base offset 0, to be stamped with
// SetBaseOffset and SetLeaderEpoch. It has a producer but no sequence.
func EndTxn(m Marker) Batch {
	var key [controlKeySize]byte     // version 0
	var value [controlValueSize]byte // version 0
	binary.BigEndian.PutUint16(key[2:], uint16(m.Type))
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	w := NewBuilder(Options{
		Producer:      &Producer{ID: m.Producer, Epoch: m.ProducerEpoch, Sequence: NoSequence},
		Transactional: true,
		Control:       true,
	})
	w.Add(m.TimestampMs, key[:], value[:])
	b, err := w.Build()
	if err != nil { // one small record, no compression: nothing can fail
		panic(err)
	}
	return b
}

// ParseControl reads the one record of a control batch. A type that is neither Abort nor Commit is returned as
// it is, with a coordinator epoch of -1: the caller skips it. Errors wrap ErrNotControl.
func ParseControl(b Batch) (Marker, error) {
	if !b.IsControl() || b.RecordCount() != 1 || b.Codec() != 0 {
		return Marker{}, fmt.Errorf("%w: control bit %t, %d records, codec %v", ErrNotControl, b.IsControl(), b.RecordCount(), b.Codec())
	}
	it := NewIterator(b.Records(), 1)
	var r Record
	it.Next(&r)
	if it.Next(&r); it.Err() != nil {
		return Marker{}, fmt.Errorf("%w: %w", ErrNotControl, it.Err())
	}
	if len(r.Key) < controlKeySize {
		return Marker{}, fmt.Errorf("%w: its key has %d bytes, want at least %d", ErrNotControl, len(r.Key), controlKeySize)
	}
	m := Marker{
		Type:             ControlType(binary.BigEndian.Uint16(r.Key[2:])),
		CoordinatorEpoch: -1,
		Producer:         b.ProducerID(),
		ProducerEpoch:    b.ProducerEpoch(),
		TimestampMs:      b.MaxTimestamp(),
	}
	if m.Type != Abort && m.Type != Commit {
		return m, nil
	}
	if len(r.Value) < controlValueSize {
		return Marker{}, fmt.Errorf("%w: its value has %d bytes, want at least %d", ErrNotControl, len(r.Value), controlValueSize)
	}
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
	return m, nil
}
