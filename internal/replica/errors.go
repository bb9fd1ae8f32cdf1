package replica

import "errors"

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
	// ErrStorage: the partition's log cannot be opened, or was fenced by a failed write or sync (D3).
	ErrStorage = errors.New("the partition's log is not usable")
)
