package group

import (
	"errors"

	"chronik/internal/coordinator/shard"
)

// What requests are refused with. Each is the Kafka error of that name; what a name means to a version of a request is for who translates.
var (
	ErrInvalidGroupID        = errors.New("the group ID is empty")
	ErrInvalidSessionTimeout = errors.New("the session timeout is not between group.min.session.timeout.ms and group.max.session.timeout.ms")
	ErrUnknownMember         = errors.New("the coordinator is not aware of this member: join again")
	ErrFencedInstance        = errors.New("another member has joined with this group.instance.id")
	ErrMemberIDRequired      = errors.New("join again with the member ID that is given here")
	ErrGroupMaxSize          = errors.New("the group has group.max.size members")
	ErrInconsistentProtocol  = errors.New("the member's protocols do not go with those of the group")
	ErrIllegalGeneration     = errors.New("the group is at another generation")
	ErrRebalance             = errors.New("the group is rebalancing: join again")
	ErrGroupNotFound         = errors.New("the group does not exist")
	ErrNonEmptyGroup         = errors.New("the group has members")
	ErrSubscribed            = errors.New("the group is subscribed to the topic")
	ErrEpochless             = errors.New("members of this group's protocol commit offsets with version 9 of OffsetCommit or later")
	ErrMetadataTooLarge      = errors.New("the offset's metadata is longer than offset.metadata.max.bytes")
	ErrUnstableOffset        = errors.New("the offset is about to change: ask again")
	ErrNotCoordinator        = shard.ErrNotCoordinator
)

// What Apply refuses.
var (
	errNotClassic = errors.New("a record of a group protocol that this build does not coordinate")
)
