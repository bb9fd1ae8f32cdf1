package config

// Broker holds the effective configuration of this broker, parsed: the keys that Chronik acts on, less those
// that only supply a topic's default (Layers.Topic has these). It is immutable and may be shared.
type Broker struct {
	// Topics.

	AutoCreateTopics         bool
	DeleteTopics             bool
	NumPartitions            int32
	DefaultReplicationFactor int16

	// Network.

	ConnectionsMaxIdleMs   int64
	MaxConnections         int32
	MaxConnectionsPerIP    int32
	PerIPOverrides         string // host:count,...
	MaxConnectionRate      int32  // new connections per second
	QueuedMaxRequests      int32  // requests in progress per connection
	QueuedMaxRequestBytes  int64  // what all connections hold together; -1: chosen from the machine's memory
	SocketRequestMaxBytes  int32
	SocketReceiveBuffer    int32
	SocketSendBuffer       int32
	SocketListenBacklog    int32
	FetchMaxBytes          int32
	FetchSessionSlots      int32
	RequestPartitionsLimit int32

	// Logs.

	RetentionCheckMs   int64
	ProducerIDExpireMs int32
	RecoveryThreads    int32

	// Compaction.

	CleanerEnable         bool
	CleanerThreads        int32
	CleanerBackoffMs      int64
	CleanerKeyBytes       int64
	CleanerKeyLoad        float64
	CleanerBytesPerSecond float64

	// Cluster.

	Rack               string
	RackAwareReads     bool // consumers may read from an in-sync replica of their own rack (KIP-392)
	SessionTimeoutMs   int32
	HeartbeatMs        int32
	ReplicaLagMs       int64
	ReplicaLagMessages int64 // 0: not looked at

	// Bytes per second; math.MaxInt64: no bound.

	LeaderThrottledRate   int64
	FollowerThrottledRate int64
	AlterDirsRate         int64 // between data directories

	AutoLeaderRebalance         bool
	LeaderImbalanceCheckSeconds int64

	// Coordinators.

	Groups       Groups
	Transactions Transactions
	Shares       Shares
}

// Groups are the keys of group coordinators.
type Groups struct {
	Protocols                  []string // classic, consumer, share, streams
	MinSessionMs, MaxSessionMs int32    // of classic members
	InitialDelayMs             int32
	MaxSize                    int32 // members of a classic group
	MaxMetadataBytes           int32
	CommitTimeoutMs            int32
	LoadBytes                  int32
	RetentionCheckMs           int64
	RetentionMinutes           int32
	Topic                      CoordinatorTopic
	Consumer                   ConsumerGroups
	Share                      ShareGroups
	Streams                    StreamsGroups
}

// ConsumerGroups are those of groups of the new protocol (KIP-848).
type ConsumerGroups struct {
	SessionMs, MinSessionMs, MaxSessionMs       int32
	HeartbeatMs, MinHeartbeatMs, MaxHeartbeatMs int32
	MaxSize                                     int32
	Assignors                                   []string
	Migration                                   string

	AssignmentIntervalMs, MinAssignmentIntervalMs, MaxAssignmentIntervalMs int32
}

// ShareGroups are those of share groups (KIP-932).
type ShareGroups struct {
	SessionMs, MinSessionMs, MaxSessionMs       int32
	HeartbeatMs, MinHeartbeatMs, MaxHeartbeatMs int32
	MaxSize                                     int32

	AssignmentIntervalMs, MinAssignmentIntervalMs, MaxAssignmentIntervalMs int32
	DeliveryLimit, MinDeliveryLimit, MaxDeliveryLimit                      int32 // of a record
	RecordLockMs, MinRecordLockMs, MaxRecordLockMs                         int32
	MaxRecordLocks, MinMaxRecordLocks, MaxMaxRecordLocks                   int32 // of a partition
	MaxShareSessions                                                       int32 // of this broker
}

// StreamsGroups are those of streams groups (KIP-1071).
type StreamsGroups struct {
	SessionMs, MinSessionMs, MaxSessionMs       int32
	HeartbeatMs, MinHeartbeatMs, MaxHeartbeatMs int32
	MaxSize                                     int32

	AssignmentIntervalMs, MinAssignmentIntervalMs, MaxAssignmentIntervalMs int32
	StandbyReplicas, MaxStandbyReplicas                                    int32 // of each task
	InitialDelayMs                                                         int32
}

// Shares are the keys of share coordinators, which keep what share groups have done.
type Shares struct {
	WriteTimeoutMs     int32
	UpdatesPerSnapshot int32
	LoadBytes          int32
	PruneMs            int32 // how often the log is shortened
	UpkeepMs           int32 // how often snapshots are looked for that hold this up
	Topic              CoordinatorTopic
}

// Transactions are the keys of transaction coordinators.
type Transactions struct {
	MaxTimeoutMs   int32
	TimeoutCheckMs int32
	ExpirationMs   int32
	ExpiryCheckMs  int32
	Verify         bool // KIP-890
	LoadBytes      int32
	Topic          CoordinatorTopic
}

// CoordinatorTopic is what a coordinator's topic is created with.
type CoordinatorTopic struct {
	Partitions        int32
	ReplicationFactor int16 // at most: fewer brokers, fewer replicas
	SegmentBytes      int32
	MinISR            int32 // 0: the broker's min.insync.replicas
}
