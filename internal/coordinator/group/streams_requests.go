package group

import (
	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
)

// StreamsHeartbeatRequest joins a streams group, stays in it, or leaves it. What is nil, or -1, is as the member said before.
type StreamsHeartbeatRequest struct {
	Group                    string
	Member                   string // that the client has made up
	Epoch                    int32  // JoinEpoch, LeaveEpoch, or the last one that it was told
	EndpointEpoch            int32  // of the last Endpoints that it was told
	Instance                 *string
	Rack                     *string
	RebalanceMs              int32
	Topology                 *schema.StreamsTopology // of who joins
	Active, Standby, Warmup  []streams.TaskID        // that it has: all of them or none are nil
	Process                  *string
	Endpoint                 *schema.Endpoint
	Tags                     []schema.KeyValue
	TaskOffsets, TaskEndings bool // it says how far its tasks are, which nobody listens to
	Shutdown                 bool // the whole application is to shut down
	ClientID, ClientHost     string
}

// StreamsHeartbeatReply tells a member its epoch, what it is to run if that has changed or it asked for everything, and what is wrong.
type StreamsHeartbeatReply struct {
	Err           error
	Member        string
	Epoch         int32
	HeartbeatMs   int32
	Status        []StreamsStatus
	Assigned      bool          // Tasks is said
	Tasks         streams.Tasks // each list in order
	EndpointEpoch int32
	Endpoints     []StreamsEndpoint  // who answers queries for what; nil: as before
	Create        []streams.NewTopic // internal topics that are to be created, by whoever asks, as who asks
}

// StreamsStatusCode says what a status is about; the numbers are those of the wire.
type StreamsStatusCode int8

// What a member is told, besides what streams.Problem says.
const (
	StaleTopology       StreamsStatusCode = 0
	MissingInternal                       = StreamsStatusCode(streams.MissingInternalTopics)
	ShutdownApplication StreamsStatusCode = 4
	AssignmentDelayed   StreamsStatusCode = 5
)

// StreamsStatus is something that a member, or a person, should know.
type StreamsStatus struct {
	Code   StreamsStatusCode
	Detail string
}

// StreamsEndpoint is a member that answers queries, and for which partitions of what its tasks read.
type StreamsEndpoint struct {
	Endpoint        schema.Endpoint
	Active, Standby []DescribedPartitions // without topic IDs
}

// StreamsDescription is a group as StreamsGroupDescribe shows it.
type StreamsDescription struct {
	Group           string
	Err             error // ErrGroupNotFound: there is none, or it is of another protocol
	State           State
	Epoch           int32
	AssignmentEpoch int32
	Topology        *StreamsTopology
	Members         []StreamsMemberDescription
}

// StreamsTopology is an application, with subtopologies by ID.
type StreamsTopology struct {
	Epoch         int32
	Subtopologies []StreamsSubtopology
}

// StreamsSubtopology is a part of an application, each list by name. When all topics are there, patterns are resolved, and internal topics have their
// numbers of partitions.
type StreamsSubtopology struct {
	ID                                  string
	Sources, Sinks                      []string // Sinks: repartition topics that it writes
	RepartitionSources, StateChangelogs []schema.InternalTopic
}

// StreamsMemberDescription is a member of such a group.
type StreamsMemberDescription struct {
	Member             string
	Epoch              int32
	About              *schema.StreamsGroupMember
	Assignment, Target streams.Tasks
}
