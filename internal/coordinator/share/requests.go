package share

import (
	"errors"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// What requests are refused with.
var (
	// ErrInvalid is Kafka's INVALID_REQUEST.
	ErrInvalid = errors.New("the request makes no sense")
	// ErrUninitialized is Kafka's INVALID_REQUEST: the group's coordinator has not initialized the share partition, or has deleted it.
	ErrUninitialized = errors.New("the share partition is not initialized")
	// ErrFencedLeaderEpoch: a later leader of the partition has read the state.
	ErrFencedLeaderEpoch = errors.New("the state belongs to a later leader of the partition")
	// ErrFencedStateEpoch: the share partition was initialized again since.
	ErrFencedStateEpoch = errors.New("the share partition was initialized again in a later state epoch")
	// ErrUnknownPartition: the metadata has no such partition.
	ErrUnknownPartition = errors.New("there is no such topic or partition")
	// ErrNotCoordinator is shard's.
	ErrNotCoordinator = shard.ErrNotCoordinator
)

// Key is a partition as one share group reads it.
type Key = schema.SharePartitionKey

// AnyEpoch is the wire's -1: a request that is not to be fenced.
const AnyEpoch = -1

// Unknown is a count that is not known.
const Unknown = -1

// InitializeRequest begins a share partition's life, or begins it again from another start offset.
type InitializeRequest struct {
	Key        Key
	StateEpoch int32        // larger than the last one, or AnyEpoch
	Start      model.Offset // NoOffset: the partition's leader is to find out by the group's share.auto.offset.reset
}

// ReadRequest is a partition's leader's who begins to serve the group.
type ReadRequest struct {
	Key         Key
	LeaderEpoch int32 // of who asks, from now on those before it are refused; AnyEpoch: of nobody
}

// State is what is known of a share partition.
type State struct {
	StateEpoch  int32
	LeaderEpoch int32
	Start       model.Offset // NoOffset: nothing was read yet
	Complete    int32        // how many records from Start on are acknowledged or archived; Unknown
	Batches     []Batch      // in order, without overlaps; not to be changed
}

// WriteRequest is what has changed.
type WriteRequest struct {
	Key         Key
	StateEpoch  int32 // that was read, or AnyEpoch
	LeaderEpoch int32 // that was read with, or AnyEpoch
	Start       model.Offset
	Complete    int32
	Batches     []Batch
}
