package replica

import (
	"math/rand/v2"

	"chronik/internal/config"
	"chronik/internal/record/compress"
	"chronik/internal/wal"
	"chronik/internal/wal/compact"
)

// SettingsOf turns a topic's effective configuration into what its partitions work with. Producers are
// forgotten after producerExpiryMs.
func SettingsOf(t *config.Topic, producerExpiryMs int64) *Settings {
	s := &Settings{
		Log: wal.Config{
			SegmentBytes: int64(t.SegmentBytes), SegmentMs: t.SegmentMs, SegmentJitterMs: jitter(t.SegmentJitterMs),
			IndexIntervalBytes: int64(t.IndexIntervalBytes),
			RetentionBytes:     -1, RetentionMs: -1,
			FlushMessages: t.FlushMessages, FlushMs: t.FlushMs,
			ProducerExpiryMs: producerExpiryMs,
		},
		Policy: Policy{
			MaxMessageBytes: int(t.MaxMessageBytes), SegmentBytes: int64(t.SegmentBytes),
			Compacted: t.CleanupCompact, Deletes: t.CleanupDelete, LogAppendTime: t.LogAppendTime,
			BeforeMaxMs: t.TimestampBeforeMaxMs, AfterMaxMs: t.TimestampAfterMaxMs,
		},
	}
	if t.CleanupCompact {
		s.Log.Compaction = &compact.Policy{MinLagMs: t.MinCompactionLagMs, MaxLagMs: t.MaxCompactionLagMs, MinRatio: t.MinCleanableDirtyRatio}
		s.Log.DeleteRetentionMs = t.DeleteRetentionMs
		s.Log.SegmentMs = min(s.Log.SegmentMs, t.MaxCompactionLagMs) // what is in the active segment is not compacted
	}
	if t.CleanupDelete {
		s.Log.RetentionBytes, s.Log.RetentionMs = t.RetentionBytes, t.RetentionMs
	}
	s.MinISR = t.MinInsyncReplicas
	s.LeaderThrottled, s.FollowerThrottled = ThrottledOf(t.LeaderThrottledReplicas), ThrottledOf(t.FollowerThrottledReplicas)
	s.Policy.Recompress, s.Policy.Codec, s.Policy.Level = codec(t)
	return s
}

// coordinated are the topics that a coordinator reads to their ends before it answers.
var coordinated = map[string]bool{"__consumer_offsets": true, "__transaction_state": true, "__share_group_state": true}

// mostUncleaned is how much of such a partition may be uncleaned, in bytes, or as much as is clean if that is more: a coordinator that
// takes over reads at most twice what is there to be known, and this.
const mostUncleaned = 4 << 20

// of is what the settings are for a topic of this name.
func (s *Settings) of(topic string) *Settings {
	if s.Log.Compaction == nil || !coordinated[topic] {
		return s
	}
	own, compaction := *s, *s.Log.Compaction
	compaction.MostUncleaned = mostUncleaned
	own.Log.Compaction = &compaction
	return &own
}

// jitter draws what one log subtracts from segment.ms, so that logs of one topic do not roll together.
func jitter(maxMs int64) int64 {
	if maxMs <= 0 {
		return 0
	}
	return rand.Int64N(maxMs)
}

func codec(t *config.Topic) (recompress bool, c compress.Codec, level compress.Level) {
	switch t.Compression {
	case config.CompressionProducer:
		return false, compress.None, 0
	case config.CompressionGzip:
		return true, compress.Gzip, compress.Level(t.GzipLevel)
	case config.CompressionSnappy:
		return true, compress.Snappy, 0
	case config.CompressionLz4:
		return true, compress.LZ4, compress.Level(t.Lz4Level)
	case config.CompressionZstd:
		return true, compress.Zstd, compress.Level(t.ZstdLevel)
	default:
		return true, compress.None, 0
	}
}
