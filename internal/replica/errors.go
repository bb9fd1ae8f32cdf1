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
