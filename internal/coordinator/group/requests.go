package group

import "chronik/internal/model"

// JoinRequest asks to be a member of the next generation.
type JoinRequest struct {
	Group                string
	Member               string  // empty: none yet
	Instance             *string // of a static member (KIP-345)
	ClientID, ClientHost string
	SessionMs            int32
	RebalanceMs          int32 // version 0 has none: the session's
	ProtocolType         string
	Protocols            []Protocol // the preferred one first
	NeedsID              bool       // version 4 on: a dynamic member comes back with the ID that it is given (KIP-394)
	CanSkip              bool       // version 9 on: the answer may tell a leader to assign nothing (KIP-814)
	UUID                 string     // random: part of the member's ID if it gets one
}

// Protocol is an assignment strategy with what the member tells the leader.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinReply is what a generation looks like to a member.
type JoinReply struct {
	Err            error
	Generation     int32 // -1 with an error
	ProtocolType   *string
	Protocol       *string
	Leader         string
	Member         string
	SkipAssignment bool
	Members        []JoinedMember // for the leader only
}

// JoinedMember is a member as its leader sees it.
type JoinedMember struct {
	Member   string
	Instance *string
	Metadata []byte
}

// SyncRequest asks for the member's assignment, and brings everybody's if the member is the leader.
type SyncRequest struct {
	Group        string
	Generation   int32
	Member       string
	Instance     *string
	ProtocolType *string // version 5 on
	Protocol     *string
	Assignments  []Assignment
}

// Assignment is what a member gets.
type Assignment struct {
	Member string
	Bytes  []byte
}

// SyncReply is a member's assignment.
type SyncReply struct {
	Err          error
	ProtocolType *string
	Protocol     *string
	Assignment   []byte
}

// HeartbeatRequest says that a member lives. Its reply is an error or none.
type HeartbeatRequest struct {
	Group      string
	Generation int32
	Member     string
	Instance   *string
}

// LeaveRequest takes members out of a group.
type LeaveRequest struct {
	Group   string
	Members []LeavingMember
}

// LeavingMember is a member by its ID, by its instance, or by both.
type LeavingMember struct {
	Member   string
	Instance *string
}

// LeaveReply has Left for the request's members in their order, or an error for all.
type LeaveReply struct {
	Err  error
	Left []LeftMember
}

// LeftMember tells whether a member has left.
type LeftMember struct {
	LeavingMember
	Err error
}

// CommitRequest stores offsets.
type CommitRequest struct {
	Group       string
	Generation  int32 // -1: from no member
	Member      string
	Instance    *string
	RetentionMs int64 // -1: as the broker is configured; versions 2 to 4 may say
	Epochless   bool  // its version is of before members had epochs (KIP-848): members of the new protocols must use a later one
	Offsets     []CommitOffset
}

// CommitOffset is an offset to store.
type CommitOffset struct {
	model.TopicPartition
	TopicID     model.TopicID // zero: not known
	Offset      model.Offset
	LeaderEpoch model.LeaderEpoch
	Metadata    string
}

// CommitReply has an error or nil for each of the request's offsets in their order, or an error for all.
type CommitReply struct {
	Err     error
	Offsets []error
}

// FetchRequest asks for offsets that are settled.
type FetchRequest struct {
	Group      string
	Member     string                 // of the new protocol; empty: from no member, or not said (before version 9)
	Epoch      int32                  // of the member
	Partitions []model.TopicPartition // nil: all that the group has
	Stable     bool                   // refuse what is about to change (KIP-447)
}

// FetchReply has the request's partitions in their order, or all in theirs.
type FetchReply struct {
	Err     error
	Offsets []FetchedOffset
}

// FetchedOffset is an offset, model.NoOffset if there is none.
type FetchedOffset struct {
	model.TopicPartition
	TopicID     model.TopicID // zero: not known
	Offset      model.Offset
	LeaderEpoch model.LeaderEpoch
	Metadata    string
	Err         error
}

// DeleteOffsetsRequest takes offsets away.
type DeleteOffsetsRequest struct {
	Group      string
	Partitions []model.TopicPartition
}

// DeleteOffsetsReply is answered as a commit is.
type DeleteOffsetsReply = CommitReply

// Description is a group as DescribeGroups shows it.
type Description struct {
	Group        string
	Err          error // ErrGroupNotFound comes with the state Dead, which is all that versions before 6 show
	State        State
	ProtocolType string
	Protocol     string // of a stable group
	Members      []MemberDescription
}

// MemberDescription is a member of a group.
type MemberDescription struct {
	Member               string
	Instance             *string
	ClientID, ClientHost string
	Metadata             []byte // of a stable group
	Assignment           []byte
}

// ListRequest asks for groups. Empty filters let everything pass.
type ListRequest struct {
	States []string // in any case
	Types  []string // likewise: classic, consumer, share, streams
}

// Listed is a group of a list.
type Listed struct {
	Group        string
	ProtocolType string
	State        State
	Type         string
}

// DeleteReply has an error or nil for each group in the request's order.
type DeleteReply struct {
	Err    error
	Groups []error
}
