package config

import "slices"

// Compression is a value of compression.type.
type Compression uint8

// The codecs of compression.type. CompressionProducer keeps what the producer sent.
const (
	CompressionProducer Compression = iota
	CompressionNone
	CompressionGzip
	CompressionSnappy
	CompressionLz4
	CompressionZstd
)

var compressionNames = map[string]Compression{
	"producer": CompressionProducer, "uncompressed": CompressionNone, "gzip": CompressionGzip,
	"snappy": CompressionSnappy, "lz4": CompressionLz4, "zstd": CompressionZstd,
}

// Topic holds the effective configuration of one topic, parsed. It is immutable and may be shared.
// Times are in milliseconds and sizes in bytes, as their names say; -1 is "unlimited" where the key allows it.
type Topic struct {
	// Durability.

	FlushMessages         int64 // 1: synced before acknowledged
	FlushMs               int64
	MinInsyncReplicas     int32
	UncleanLeaderElection bool

	// What is accepted.

	MaxMessageBytes      int32
	LogAppendTime        bool // message.timestamp.type
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
	Compression          Compression
	GzipLevel            int32
	Lz4Level             int32
	ZstdLevel            int32

	// Segments and their index.

	SegmentBytes       int32
	SegmentMs          int64
	SegmentJitterMs    int64
	SegmentIndexBytes  int32
	IndexIntervalBytes int32
	FileDeleteDelayMs  int64
	Preallocate        bool

	// What is kept.

	CleanupDelete          bool
	CleanupCompact         bool
	RetentionMs            int64
	RetentionBytes         int64
	DeleteRetentionMs      int64
	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	MinCleanableDirtyRatio float64

	// Tiered storage.

	RemoteStorage         bool
	RemoteCopyDisable     bool
	RemoteDeleteOnDisable bool
	LocalRetentionMs      int64 // -2: RetentionMs
	LocalRetentionBytes   int64 // -2: RetentionBytes

	// Replication throttles, as partition:broker or "*".

	LeaderThrottledReplicas   []string
	FollowerThrottledReplicas []string
}

// Relaxed tells whether records of the topic may be acknowledged before they are on disk (invariant D1).
func (t *Topic) Relaxed() bool { return t.FlushMessages > 1 }

// setCleanup reads cleanup.policy.
func (t *Topic) setCleanup(v Value) {
	t.CleanupDelete = slices.Contains(v.list, "delete")
	t.CleanupCompact = slices.Contains(v.list, "compact")
}
