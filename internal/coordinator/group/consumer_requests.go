package group

import (
	"errors"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/model"
)

// Epochs that members of the new protocol say.
const (
	JoinEpoch        int32 = 0
	LeaveEpoch       int32 = -1
	StaticLeaveEpoch int32 = -2 // a static member that comes back within its session
)

// What requests of the new protocol are refused with, besides those of the classic one.
var (
	ErrInvalidRequest      = errors.New("the request is invalid")
	ErrFencedMemberEpoch   = errors.New("the member is at another epoch: give up all partitions and join again")
	ErrStaleMemberEpoch    = errors.New("the member is at another epoch: ask again with the one of its next heartbeat")
	ErrUnreleasedInstance  = errors.New("another member has this group.instance.id and has not left")
	ErrUnsupportedAssignor = errors.New("group.consumer.assignors does not have the assignor")
	ErrInvalidRegex        = errors.New("the regular expression is not one that RE2 reads")
)

// ConsumerHeartbeatRequest joins a group, stays in it, or leaves it. What is nil, or -1, is as the member said before.
type ConsumerHeartbeatRequest struct {
	Group                string
	Member               string // empty: UUID becomes its ID (version 0)
	Epoch                int32
	Instance             *string
	Rack                 *string
	RebalanceMs          int32
	Topics               []string
	Regex                *string // empty: none
	Assignor             *string
	Owned                []assign.TopicPartitions // nil: as before
	ClientID, ClientHost string
	UUID                 string // random
}

// full tells that the member says everything: it joins, or has missed an answer.
func (r *ConsumerHeartbeatRequest) full() bool {
	return r.Epoch == JoinEpoch || r.RebalanceMs != -1 && (r.Topics != nil || r.Regex != nil) && r.Owned != nil
}

// ConsumerHeartbeatReply tells a member its epoch, and what it is to have if that has changed or it asked for everything.
type ConsumerHeartbeatReply struct {
	Err         error
	Member      string
	Epoch       int32
	HeartbeatMs int32
	Assigned    bool // Assignment is said
	Assignment  assign.Partitions
}

// ConsumerDescription is a group as ConsumerGroupDescribe shows it.
type ConsumerDescription struct {
	Group           string
	Err             error // ErrGroupNotFound: there is none, or it is of another protocol
	State           State
	Epoch           int32
	AssignmentEpoch int32
	Assignor        string
	Members         []ConsumerMemberDescription
}

// ConsumerMemberDescription is a member of such a group. Topics that are gone are left out of assignments.
type ConsumerMemberDescription struct {
	Member               string
	Instance, Rack       *string
	Epoch                int32
	ClientID, ClientHost string
	Topics               []string
	Regex                *string
	Assignment, Target   []DescribedPartitions
	Classic              bool // it speaks the classic protocol
}

// DescribedPartitions are partitions of a topic that exists.
type DescribedPartitions struct {
	TopicID    model.TopicID
	Topic      string
	Partitions []int32
}
