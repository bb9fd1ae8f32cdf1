package producer

import (
	"errors"
	"fmt"
	"math"

	"chronik/internal/model"
)

// Errors of Check and CheckMarker, each the reason for one Kafka error code.
var (
	// ErrOutOfOrderSequence: batches between this one and the last are missing (OUT_OF_ORDER_SEQUENCE_NUMBER).
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrInvalidProducerEpoch: a newer incarnation of the producer has written (INVALID_PRODUCER_EPOCH).
	ErrInvalidProducerEpoch = errors.New("producer epoch is older than the latest")
	// ErrInvalidTxnState: the batch does not fit the state of its producer's transaction (INVALID_TXN_STATE).
	ErrInvalidTxnState = errors.New("invalid transaction state")
	// ErrUnverified: the batch would begin a transaction here, and nobody has asked the coordinator whether it may. It matches
	// ErrInvalidTxnState too.
	ErrUnverified = fmt.Errorf("%w: the transaction does not include this partition", ErrInvalidTxnState)
	// ErrCoordinatorFenced: the marker is of a deposed coordinator (TRANSACTION_COORDINATOR_FENCED).
	ErrCoordinatorFenced = errors.New("transaction coordinator epoch is older than the latest")
)

// Origin says how far a batch has been checked already.
type Origin uint8

// The origins.
const (
	Client      Origin = iota // a produce request: everything is checked
	Coordinator               // a group coordinator's own write: it has no sequence numbers
	Replication               // a leader, or the log itself, has checked it: it is taken as it is
)

// NoSequence is the base sequence of a batch without sequence numbers.
const NoSequence int32 = -1

// Batch is what counts of a record batch that carries data. Producer must be a producer ID, not
// model.NoProducer: batches without one are not shown to a State.
type Batch struct {
	Producer      model.ProducerID
	Epoch         int16
	FirstSeq      int32
	BaseOffset    model.Offset
	LastOffset    model.Offset
	MaxTimestamp  int64 // ms, of the records
	SeenMs        int64 // the broker's clock, ms: Expire counts from here
	Transactional bool
	// Verified: the coordinator has confirmed that the transaction includes this partition, or was not to
	// be asked (KIP-890). Only looked at for a transactional batch that begins a transaction here.
	Verified bool
	// TV2: the client bumps its epoch with every transaction (KIP-890, transaction.version 2).
	TV2 bool
}

// lastSeq is the sequence of the batch's last record.
func (b *Batch) lastSeq() int32 {
	return LastSequence(b.FirstSeq, int32(b.LastOffset-b.BaseOffset))
}

// LastSequence is the sequence that lies delta after first. Sequences wrap from 2^31-1 to 0.
func LastSequence(first, delta int32) int32 {
	if first == NoSequence {
		return NoSequence
	}
	return int32((int64(first) + int64(delta)) & math.MaxInt32)
}

// Marker is what counts of a control batch that ends a transaction.
type Marker struct {
	Producer         model.ProducerID
	Epoch            int16
	CoordinatorEpoch int32
	Offset           model.Offset
	Timestamp        int64 // ms
	SeenMs           int64 // the broker's clock, ms
	Commit           bool  // else abort
	// TV2: the coordinator has bumped the epoch for this marker (KIP-890), so it must be above the
	// epoch of the data. Not known, and not needed, for Replication.
	TV2 bool
}

// Verdict is the answer to a batch that is not refused.
type Verdict struct {
	Duplicate bool // an exact retry of one of the last batches: do not append it
	// Of the original, if Duplicate. It may not be durable yet.
	BaseOffset, LastOffset model.Offset
	MaxTimestamp           int64
}

// Completed is a transaction that a marker has just ended.
type Completed struct {
	Producer    model.ProducerID
	FirstOffset model.Offset // of its first record
	LastOffset  model.Offset // of the marker
	LastStable  model.Offset // no transaction is open below it now
	Aborted     bool
}
