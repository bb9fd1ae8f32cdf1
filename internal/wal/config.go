package wal

import (
	"math"
	"time"

	"chronik/internal/wal/compact"
)

// Config is what a topic's configuration means for its logs. All of it may change while the log is open.
type Config struct {
	SegmentBytes       int64 // segment.bytes: a batch that does not fit begins a new segment
	SegmentMs          int64 // segment.ms: by record timestamps, as in Kafka
	SegmentJitterMs    int64 // what this log subtracts from SegmentMs, drawn once by the caller from segment.jitter.ms
	IndexIntervalBytes int64 // index.interval.bytes: log bytes per index entry
	RetentionBytes     int64 // retention.bytes of the partition; < 0: no limit
	RetentionMs        int64 // retention.ms by record timestamps; < 0: no limit
	// FlushMessages relaxes durability when it is above 1 (flush.messages): appends complete once they are
	// written, and a sync follows at the latest after so many records (D1).
	FlushMessages    int64
	FlushMs          int64 // flush.ms: with FlushMessages, the longest time until a sync; checked each second
	ProducerExpiryMs int64 // producer.id.expiration.ms; <= 0: never
	// Compaction says when Compact has something to do; nil: never (cleanup.policy without compact).
	Compaction        *compact.Policy
	DeleteRetentionMs int64 // delete.retention.ms: how long a round of compaction keeps tombstones and markers
}

// DefaultConfig is Kafka's defaults, but that every append is synced before it completes.
func DefaultConfig() Config {
	return Config{
		SegmentBytes:       1 << 30,
		SegmentMs:          (7 * 24 * time.Hour).Milliseconds(),
		IndexIntervalBytes: 4096,
		RetentionBytes:     -1,
		RetentionMs:        (7 * 24 * time.Hour).Milliseconds(),
		FlushMessages:      1,
		ProducerExpiryMs:   (24 * time.Hour).Milliseconds(),
	}
}

// maxSegmentBytes keeps positions within the 32 bits of an index entry.
const maxSegmentBytes = math.MaxInt32

func (c Config) segmentBytes() int64 {
	if c.SegmentBytes <= 0 || c.SegmentBytes > maxSegmentBytes {
		return maxSegmentBytes
	}
	return c.SegmentBytes
}

func (c Config) indexInterval() int64 { return max(c.IndexIntervalBytes, 256) }

// relaxed tells whether appends complete before they are synced.
func (c Config) relaxed() bool { return c.FlushMessages > 1 }
