package controller

import "fmt"

// Reason is the kind of a refusal.
type Reason uint8

// The reasons. Each has exactly one Kafka error code.
const (
	InvalidRequest              Reason = iota + 1 // INVALID_REQUEST
	InvalidTopic                                  // INVALID_TOPIC_EXCEPTION
	TopicExists                                   // TOPIC_ALREADY_EXISTS
	UnknownTopic                                  // UNKNOWN_TOPIC_OR_PARTITION
	UnknownTopicID                                // UNKNOWN_TOPIC_ID
	InvalidPartitions                             // INVALID_PARTITIONS
	InvalidReplicationFactor                      // INVALID_REPLICATION_FACTOR
	InvalidReplicaAssignment                      // INVALID_REPLICA_ASSIGNMENT
	InvalidConfig                                 // INVALID_CONFIG
	PolicyViolation                               // POLICY_VIOLATION
	DeletionDisabled                              // TOPIC_DELETION_DISABLED
	UnknownBroker                                 // BROKER_ID_NOT_REGISTERED
	StaleBrokerEpoch                              // STALE_BROKER_EPOCH
	DuplicateBroker                               // DUPLICATE_BROKER_REGISTRATION
	OtherCluster                                  // INCONSISTENT_CLUSTER_ID
	UnsupportedVersion                            // UNSUPPORTED_VERSION
	NotController                                 // NOT_CONTROLLER
	FencedLeaderEpoch                             // FENCED_LEADER_EPOCH
	InvalidUpdateVersion                          // INVALID_UPDATE_VERSION
	IneligibleReplica                             // INELIGIBLE_REPLICA
	NewLeaderElected                              // NEW_LEADER_ELECTED
	PreferredLeaderNotAvailable                   // PREFERRED_LEADER_NOT_AVAILABLE
	EligibleLeadersNotAvailable                   // ELIGIBLE_LEADERS_NOT_AVAILABLE
	ElectionNotNeeded                             // ELECTION_NOT_NEEDED
	NoReassignmentInProgress                      // NO_REASSIGNMENT_IN_PROGRESS
	FeatureUpdateFailed                           // FEATURE_UPDATE_FAILED
	Settling                                      // COORDINATOR_LOAD_IN_PROGRESS
)

var reasonNames = [...]string{"", "INVALID_REQUEST", "INVALID_TOPIC_EXCEPTION", "TOPIC_ALREADY_EXISTS", "UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID",
	"INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT", "INVALID_CONFIG", "POLICY_VIOLATION",
	"TOPIC_DELETION_DISABLED", "BROKER_ID_NOT_REGISTERED", "STALE_BROKER_EPOCH", "DUPLICATE_BROKER_REGISTRATION", "INCONSISTENT_CLUSTER_ID",
	"UNSUPPORTED_VERSION", "NOT_CONTROLLER", "FENCED_LEADER_EPOCH", "INVALID_UPDATE_VERSION", "INELIGIBLE_REPLICA", "NEW_LEADER_ELECTED",
	"PREFERRED_LEADER_NOT_AVAILABLE", "ELIGIBLE_LEADERS_NOT_AVAILABLE", "ELECTION_NOT_NEEDED", "NO_REASSIGNMENT_IN_PROGRESS", "FEATURE_UPDATE_FAILED",
	"COORDINATOR_LOAD_IN_PROGRESS"}

// String is the name of the Kafka error that the reason stands for.
func (r Reason) String() string {
	if int(r) >= len(reasonNames) || r == 0 {
		return fmt.Sprintf("Reason(%d)", uint8(r))
	}
	return reasonNames[r]
}

// Refusal is why an item of a request is not done.
type Refusal struct {
	Reason  Reason
	Message string // for the client
}

func (r *Refusal) Error() string { return r.Message }

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
