package wal

import (
	"errors"
	"fmt"

	"chronik/internal/model"
)

// What an append, a read or an open can fail with. Errors wrap one of these, or an error of wal/producer.
var (
	// ErrClosed: the log was closed, or abandoned because its partition is gone.
	ErrClosed = errors.New("the log is closed")
	// ErrFenced: a write or a sync failed before, so nothing is appended any more (D3). What is durable
	// can still be read. It wraps the cause; the partition needs a restart, or its disk a repair.
	ErrFenced = errors.New("the log is fenced after a storage failure")
	// ErrNoSpace: the disk is full. The append was undone, and the log takes new ones once there is space (E3).
	ErrNoSpace = errors.New("the disk is full: the append was undone; free space and retry")
	// ErrEpoch: the append, or BeginEpoch, is for another leader epoch than the log is in (D5, R1).
	ErrEpoch = errors.New("not the leader epoch of the log")
	// ErrTooLarge: the batch alone is larger than a segment may be.
	ErrTooLarge = errors.New("the batch is larger than segment.bytes")
	// ErrOffset: a replicated batch does not continue the log.
	ErrOffset = errors.New("the batch does not continue the log")
	// ErrUndone: the append counts on others before it that failed.
	ErrUndone = errors.New("appends before this one were undone")
	// ErrTruncated: the append, or what was being read, was cut off by Truncate.
	ErrTruncated = errors.New("the log was truncated")
	// ErrOutOfRange: the offset lies outside of the log.
	ErrOutOfRange = errors.New("the offset is out of the log's range")
	// ErrCorrupt: bytes that were durable are not what was written (L2). They are never served.
	ErrCorrupt = errors.New("the log is corrupt")
	// ErrIdentity: the directory belongs to another topic or partition (L5). See IdentityError.
	ErrIdentity = errors.New("the log belongs to another topic")
)

// IdentityError says whose log was found where another was expected (L5). It matches ErrIdentity.
type IdentityError struct {
	Dir                             string
	Found, Want                     model.TopicID
	FoundPartition, WantedPartition int32
}

// Error says what to do about it.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("%v: %s holds partition %d of topic %s, expected partition %d of topic %s; move it away",
		ErrIdentity, e.Dir, e.FoundPartition, e.Found, e.WantedPartition, e.Want)
}

// Unwrap makes errors.Is(err, ErrIdentity) true.
func (e *IdentityError) Unwrap() error { return ErrIdentity }

// CorruptError says which bytes are damaged. It matches ErrCorrupt.
type CorruptError struct {
	Segment int64        // its file: the number, unless compaction has written it
	Pos     int64        // in the file
	Offset  model.Offset // the first that is affected
	Err     error        // what is wrong
}

// Error says where the damage is.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%v: %s, position %d, offset %d on: %v; restore it from a replica or a backup",
		ErrCorrupt, segmentName(e.Segment), e.Pos, e.Offset, e.Err)
}

// Unwrap makes errors.Is match ErrCorrupt and the cause.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }
