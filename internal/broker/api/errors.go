package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/broker/fetchsession"
	"chronik/internal/broker/server"
	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/runtime"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/share"
	"chronik/internal/coordinator/sharestate"
	"chronik/internal/coordinator/txn"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/record"
	"chronik/internal/replica"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// What this package itself refuses.
var (
	errInvalidRequest      = errors.New("the request contradicts itself")
	errUnsupportedVersion  = errors.New("this version of the request does not support what it asks for")
	errInvalidAcks         = errors.New("acks must be -1, 0 or 1")
	errCodecVersion        = errors.New("zstd needs version 7 of Produce")
	errUnknownTopic        = errors.New("there is no such topic")
	errUnknownTopicID      = errors.New("there is no topic with this ID")
	errInternalAppend      = errors.New("only coordinators write to the broker's own topics")
	errNoCoordinator       = errors.New("nobody coordinates it at the moment: ask again")
	errBadPattern          = errors.New("the pattern is not a regular expression of RE2")
	errMarkerTimeout       = errors.New("the replicas did not take the marker in time: it is in the leader's log, and may yet be committed")
	errNotReplica          = errors.New("the request claims to be of a replica that the partition does not have")
	errNotRegistered       = errors.New("this broker is not registered yet")
	errOtherBroker         = errors.New("ask the broker whose configuration it is")
	errMismatchedEndpoint  = errors.New("this is a broker's endpoint, and controllers have none of their own")
	errUnsupportedEndpoint = errors.New("there is no such endpoint type")
	errInternalTopic       = errors.New("records of the broker's own topics cannot be deleted")
	errProduceTimeout      = errors.New("the replicas did not take the records within the request's timeout: they are in the leader's log, and may yet be committed")
	errNoLeader            = errors.New("nobody leads the partition at the moment")
	errNoListener          = errors.New("the partition's leader has no such listener")
	errReplicaOffline      = errors.New("a replica of the partition is out of service")
	errNoTime              = errors.New("the request grants no time")
	errOtherCluster        = errors.New("the request is for another cluster")
	errQuorumOfOne         = errors.New("this node is alone, and its metadata has no voters to add or remove: start the nodes with --peers to form a cluster")
	errIsVoter             = errors.New("it is a voter already")
	errNoVoter             = errors.New("there is no such voter")
	errPolicyViolation     = errors.New("records of a topic whose cleanup.policy has no \"delete\" cannot be deleted")
)

// kafkaCodes is the only place where errors become Kafka's error codes. The first match wins, so what wraps
// another error stands before it. An error that is not here is UNKNOWN_SERVER_ERROR, never success (D4).
var kafkaCodes = []struct {
	err   error
	kafka *kerr.Error
}{
	{errInvalidRequest, kerr.InvalidRequest},
	{errUnsupportedVersion, kerr.UnsupportedVersion},
	{errInvalidAcks, kerr.InvalidRequiredAcks},
	{errNoTransactionalID, kerr.TransactionalIDAuthorizationFailed},
	{errCodecVersion, kerr.UnsupportedCompressionType},
	{errUnknownTopic, kerr.UnknownTopicOrPartition},
	{errUnknownTopicID, kerr.UnknownTopicID},
	{errProduceTimeout, kerr.RequestTimedOut},
	{errInternalTopic, kerr.InvalidTopicException},
	{errPolicyViolation, kerr.PolicyViolation},
	{errNoLeader, kerr.LeaderNotAvailable},
	{errNoListener, kerr.ListenerNotFound},
	{errReplicaOffline, kerr.ReplicaNotAvailable},
	{errNoTime, kerr.RequestTimedOut},
	{errOtherCluster, kerr.InconsistentClusterID},
	{errQuorumOfOne, kerr.UnsupportedVersion},
	{errIsVoter, kerr.DuplicateVoter},
	{errNoVoter, kerr.VoterNotFound},

	{errInternalAppend, kerr.InvalidTopicException},
	{errNoCoordinator, kerr.CoordinatorNotAvailable},
	{errBadPattern, kerr.InvalidRegularExpression},
	{errMarkerTimeout, kerr.RequestTimedOut},
	{errNotReplica, kerr.NotLeaderForPartition},
	{errNotRegistered, kerr.CoordinatorLoadInProgress},
	{errOtherBroker, kerr.InvalidRequest},
	{errMismatchedEndpoint, kerr.MismatchedEndpointType},
	{errUnsupportedEndpoint, kerr.UnsupportedEndpointType},
	{model.ErrBadTopicName, kerr.InvalidTopicException},
	{context.Canceled, kerr.RequestTimedOut},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{server.ErrShutdown, kerr.RequestTimedOut},
	{server.ErrClosed, kerr.RequestTimedOut},
	{quorum.ErrTooLarge, kerr.PolicyViolation},
	{quorum.ErrNoSpace, kerr.KafkaStorageError},
	{command.ErrFormat, kerr.InvalidRequest},
	{quorum.ErrStopped, kerr.KafkaStorageError},
	{quorum.ErrUnknownOutcome, kerr.RequestTimedOut},
	{quorum.ErrNotController, kerr.NotController},
	{quorum.ErrMembership, kerr.InvalidRequest},
	{quorum.ErrBusy, kerr.RequestTimedOut},

	{replica.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{replica.ErrNotLeader, kerr.NotLeaderForPartition},
	{replica.ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{replica.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
	{replica.ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
	{replica.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{replica.ErrNotEnoughReplicasAfterAppend, kerr.NotEnoughReplicasAfterAppend},
	{replica.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{replica.ErrStorage, kerr.KafkaStorageError},
	{replica.ErrNoDir, kerr.LogDirNotFound},
	{replica.ErrNoReplica, kerr.ReplicaNotAvailable},
	{replica.ErrOneBatch, kerr.InvalidRecord},
	{replica.ErrUnknownMagic, kerr.CorruptMessage},
	{replica.ErrBaseOffset, kerr.InvalidRecord},
	{replica.ErrTooLarge, kerr.MessageTooLarge},
	{replica.ErrLargerThanSegment, kerr.RecordListTooLarge},
	{replica.ErrTimestamp, kerr.InvalidTimestamp},
	{replica.ErrNoKey, kerr.InvalidRecord},
	{replica.ErrCompressed, kerr.CorruptMessage},

	{record.ErrTruncated, kerr.InvalidRecord}, // Kafka sees no batch at all; CORRUPT_MESSAGE would have the client try again
	{record.ErrSize, kerr.CorruptMessage},
	{record.ErrCRC, kerr.CorruptMessage},
	{record.ErrMagic, kerr.InvalidRecord},
	{record.ErrCount, kerr.InvalidRecord},
	{record.ErrCodec, kerr.InvalidRecord},
	{record.ErrControl, kerr.InvalidRecord},
	{record.ErrProducer, kerr.InvalidRecord},
	{record.ErrTimestampType, kerr.InvalidTimestamp},
	{record.ErrRecord, kerr.InvalidRecord},

	{producer.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{producer.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{producer.ErrInvalidTxnState, kerr.InvalidTxnState},
	{producer.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},

	{wal.ErrEpoch, kerr.NotLeaderForPartition},
	{wal.ErrTruncated, kerr.NotLeaderForPartition},
	{wal.ErrTooLarge, kerr.RecordListTooLarge},
	{wal.ErrOutOfRange, kerr.OffsetOutOfRange},
	{wal.ErrNoSpace, kerr.KafkaStorageError},
	{wal.ErrCorrupt, kerr.KafkaStorageError},
	{wal.ErrFenced, kerr.KafkaStorageError},
	{wal.ErrClosed, kerr.NotLeaderForPartition},

	{runtime.ErrNoTopic, kerr.NotCoordinator},
	{shard.ErrNotCoordinator, kerr.NotCoordinator},
	{shard.ErrLoading, kerr.CoordinatorLoadInProgress},
	{shard.ErrTimedOut, kerr.RequestTimedOut},
	{shard.ErrTooLarge, kerr.MessageTooLarge},
	{group.ErrInvalidGroupID, kerr.InvalidGroupID},
	{group.ErrInvalidSessionTimeout, kerr.InvalidSessionTimeout},
	{group.ErrUnknownMember, kerr.UnknownMemberID},
	{group.ErrFencedInstance, kerr.FencedInstanceID},
	{group.ErrMemberIDRequired, kerr.MemberIDRequired},
	{group.ErrGroupMaxSize, kerr.GroupMaxSizeReached},
	{group.ErrInconsistentProtocol, kerr.InconsistentGroupProtocol},
	{group.ErrIllegalGeneration, kerr.IllegalGeneration},
	{group.ErrRebalance, kerr.RebalanceInProgress},
	{group.ErrGroupNotFound, kerr.GroupIDNotFound},
	{group.ErrNonEmptyGroup, kerr.NonEmptyGroup},
	{group.ErrSubscribed, kerr.GroupSubscribedToTopic},
	{group.ErrMetadataTooLarge, kerr.OffsetMetadataTooLarge},
	{group.ErrUnstableOffset, kerr.UnstableOffsetCommit},
	{group.ErrInvalidRequest, kerr.InvalidRequest},
	{group.ErrFencedMemberEpoch, kerr.FencedMemberEpoch},
	{group.ErrStaleMemberEpoch, kerr.StaleMemberEpoch},
	{group.ErrEpochless, kerr.UnsupportedVersion},
	{group.ErrUnreleasedInstance, kerr.UnreleasedInstanceID},
	{group.ErrUnsupportedAssignor, kerr.UnsupportedAssignor},
	{group.ErrInvalidRegex, kerr.InvalidRegularExpression},
	{streams.ErrInvalidTopology, kerr.StreamsInvalidTopology},

	{group.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{group.ErrNoShareOffsets, kerr.UnknownTopicOrPartition},
	{group.ErrShareBusy, kerr.CoordinatorLoadInProgress},
	{share.ErrInvalid, kerr.InvalidRequest},
	{share.ErrUninitialized, kerr.InvalidRequest},
	{share.ErrFencedLeaderEpoch, kerr.FencedLeaderEpoch},
	{share.ErrFencedStateEpoch, kerr.FencedStateEpoch},
	{share.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{sharestate.ErrUnavailable, kerr.CoordinatorNotAvailable},
	{sharepartition.ErrInvalidRequest, kerr.InvalidRequest},
	{sharepartition.ErrInvalidRecordState, kerr.InvalidRecordState},
	{sharesession.ErrInvalidRequest, kerr.InvalidRequest},
	{sharesession.ErrNotFound, kerr.ShareSessionNotFound},
	{sharesession.ErrEpoch, kerr.InvalidShareSessionEpoch},
	{sharesession.ErrLimit, kerr.ShareSessionLimitReached},

	{txn.ErrInvalidRequest, kerr.InvalidRequest},
	{txn.ErrInvalidTimeout, kerr.InvalidTransactionTimeout},
	{txn.ErrInvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
	{txn.ErrProducerFenced, kerr.ProducerFenced},
	{txn.ErrConcurrentTransactions, kerr.ConcurrentTransactions},
	{txn.ErrInvalidTxnState, kerr.InvalidTxnState},
	{txn.ErrTransactionAbortable, kerr.TransactionAbortable},
	{txn.ErrTransactionalIDNotFound, kerr.TransactionalIDNotFound},

	{fetchsession.ErrSessionNotFound, kerr.FetchSessionIDNotFound},
	{fetchsession.ErrSessionEpoch, kerr.InvalidFetchSessionEpoch},
	{fetchsession.ErrSessionTopicID, kerr.FetchSessionTopicIDError},
}

// Code is the Kafka error code of err; 0 for nil and for nothing else.
func Code(err error) int16 {
	if err == nil {
		return 0
	}
	if refusal := new(controller.Refusal); errors.As(err, &refusal) {
		return reasonCode(refusal.Reason)
	}
	if kafka := new(kerr.Error); errors.As(err, &kafka) { // another broker has said so
		return kafka.Code
	}
	for i := range kafkaCodes {
		if errors.Is(err, kafkaCodes[i].err) {
			return kafkaCodes[i].kafka.Code
		}
	}
	return kerr.UnknownServerError.Code
}

// reasonCodes are those of the controller's refusals.
var reasonCodes = map[controller.Reason]*kerr.Error{
	controller.InvalidRequest:              kerr.InvalidRequest,
	controller.InvalidTopic:                kerr.InvalidTopicException,
	controller.TopicExists:                 kerr.TopicAlreadyExists,
	controller.UnknownTopic:                kerr.UnknownTopicOrPartition,
	controller.UnknownTopicID:              kerr.UnknownTopicID,
	controller.InvalidPartitions:           kerr.InvalidPartitions,
	controller.InvalidReplicationFactor:    kerr.InvalidReplicationFactor,
	controller.InvalidReplicaAssignment:    kerr.InvalidReplicaAssignment,
	controller.InvalidConfig:               kerr.InvalidConfig,
	controller.PolicyViolation:             kerr.PolicyViolation,
	controller.DeletionDisabled:            kerr.TopicDeletionDisabled,
	controller.UnknownBroker:               kerr.BrokerIDNotRegistered,
	controller.StaleBrokerEpoch:            kerr.StaleBrokerEpoch,
	controller.DuplicateBroker:             kerr.DuplicateBrokerRegistration,
	controller.OtherCluster:                kerr.InconsistentClusterID,
	controller.UnsupportedVersion:          kerr.UnsupportedVersion,
	controller.NotController:               kerr.NotController,
	controller.FencedLeaderEpoch:           kerr.FencedLeaderEpoch,
	controller.InvalidUpdateVersion:        kerr.InvalidUpdateVersion,
	controller.IneligibleReplica:           kerr.IneligibleReplica,
	controller.NewLeaderElected:            kerr.NewLeaderElected,
	controller.PreferredLeaderNotAvailable: kerr.PreferredLeaderNotAvailable,
	controller.EligibleLeadersNotAvailable: kerr.EligibleLeadersNotAvailable,
	controller.ElectionNotNeeded:           kerr.ElectionNotNeeded,
	controller.NoReassignmentInProgress:    kerr.NoReassignmentInProgress,
	controller.FeatureUpdateFailed:         kerr.FeatureUpdateFailed,
	controller.Settling:                    kerr.CoordinatorLoadInProgress,
}

func reasonCode(r controller.Reason) int16 {
	if e, ok := reasonCodes[r]; ok {
		return e.Code
	}
	return kerr.UnknownServerError.Code
}

// message is the text that goes with a code where the response has room for one; nil for nil.
func message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}
