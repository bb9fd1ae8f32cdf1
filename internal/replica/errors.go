package replica

import (
	"errors"
	"fmt"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// What a partition refuses. broker/api maps each to its Kafka code.
var (
	// ErrUnknownPartition: this broker has no such partition.
	ErrUnknownPartition = errors.New("this broker does not hold the partition")
	// ErrNotLeader: the partition is here, but led elsewhere or by nobody.
	ErrNotLeader = errors.New("this broker does not lead the partition")
	// ErrFencedEpoch: the caller's leader epoch is older than ours; it must refresh its metadata.
	ErrFencedEpoch = errors.New("the leader epoch in the request is older than the partition's")
	// ErrUnknownEpoch: the caller's leader epoch is newer than ours; we must refresh our metadata.
	ErrUnknownEpoch = errors.New("the leader epoch in the request is newer than the partition's")
	// ErrOffsetNotAvailable: a new leader does not know the watermark yet (R5, KIP-207), or a follower does not have the offset yet; it
	// will soon.
	ErrOffsetNotAvailable = errors.New("the offset is not available here yet")
	// ErrNotEnoughReplicas: acks=-1 needs more in-sync replicas (D2). Nothing was appended.
	ErrNotEnoughReplicas = errors.New("not enough replicas are in sync")
	// ErrNotEnoughReplicasAfterAppend: the same, but the batch is in the log, and may or may not survive.
	ErrNotEnoughReplicasAfterAppend = errors.New("not enough replicas are in sync for what was appended")
	// ErrOffsetOutOfRange: below the log start offset or above the log end offset.
	ErrOffsetOutOfRange = errors.New("the offset is outside of the log")
	// ErrStorage: the partition's log cannot be opened, was fenced by a failed write or sync (D3), or the disk
	// failed what was asked of it.
	ErrStorage = errors.New("the partition's log is not usable")
)

// logErrors are the log's own words. Anything else that a read or a deletion fails with is the disk's.
var logErrors = []error{
	wal.ErrClosed, wal.ErrFenced, wal.ErrNoSpace, wal.ErrEpoch, wal.ErrTruncated, wal.ErrOutOfRange, wal.ErrCorrupt,
}

// storage gives an error of the disk its name: the broker is not at a loss, and clients may try again.
func storage(tp model.TopicPartition, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range logErrors {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("%w: %s: %w", ErrStorage, tp, err)
}

// LeaderError is ErrNotLeader or ErrFencedEpoch with who leads instead, as far as this broker knows (KIP-951).
type LeaderError struct {
	Err    error
	Leader model.BrokerID // model.NoBroker: nobody
	Epoch  model.LeaderEpoch
}

// Error says who leads.
func (e *LeaderError) Error() string {
	if e.Leader == model.NoBroker {
		return fmt.Sprintf("%v: nobody leads it in epoch %d", e.Err, e.Epoch)
	}
	return fmt.Sprintf("%v: broker %d leads it in epoch %d", e.Err, e.Leader, e.Epoch)
}

// Unwrap makes errors.Is match.
func (e *LeaderError) Unwrap() error { return e.Err }

// notLeader adds to an error who leads, if another broker does.
func (r *Replica) notLeader(err error) error {
	a := r.assigned.Load()
	if a == nil {
		return err
	}
	if m := r.member.Load(); m != nil && a.State.Leader == m.set.env.Node {
		return err // it is to lead and does not yet, or cannot: who is told to ask here would do so again and again
	}
	return &LeaderError{Err: err, Leader: a.State.Leader, Epoch: a.State.LeaderEpoch}
}
