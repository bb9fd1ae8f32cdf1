package share

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

const (
	// mostRecords is how many records a decision of upkeep writes at most; requests are decided between two of them.
	mostRecords = 500
	// purgePause is between two decisions that delete share partitions.
	purgePause = 100 * time.Millisecond
	// slack is how many records the log may have beyond twice those that count, before snapshots are written again to shorten it.
	slack = 10_000
)

// Needed is the offset from which on records count: what is before it can be deleted from the log. It only grows while the
// machine lives, and is not above the watermark: what may be taken back needs what it replaces.
func (m *Machine) Needed() model.Offset {
	needed := m.log.Watermark()
	for _, s := range m.states.AllSettled() {
		needed = min(needed, s.snapshot)
	}
	return needed
}

// upkeep writes snapshots again that hold up the log: share partitions that nobody writes to. Kafka does so with all that are older
// than five minutes; here it happens when the log has more than twice the records that count, so that a load has a bound, idle
// share partitions cost nothing, and no clock is asked.
func (m *Machine) upkeep(now time.Time) shard.Result {
	out := shard.Result{Sees: model.NoOffset}
	next := shard.TimerChange{Key: shard.TimerKey{Kind: upkeepTimer}, At: now.Add(m.Config.UpkeepEvery)}
	counts := 0
	for _, s := range m.states.All() {
		counts += 1 + s.updates
	}
	old := m.keys(func(_ Key, s *state) bool { return int64(m.end-s.snapshot) > int64(2*counts+slack) })
	slices.SortStableFunc(old, func(a, b Key) int { return cmp.Compare(m.newest(a).snapshot, m.newest(b).snapshot) })
	if len(old) > mostRecords {
		old, next.At = old[:mostRecords], now
	}
	for _, k := range old {
		s := *m.newest(k)
		s.snapshotEpoch, s.writtenMs = s.snapshotEpoch+1, now.UnixMilli()
		out.Records = append(out.Records, s.record(k))
	}
	out.Timers = append(out.Timers, next)
	return out
}

// purge deletes some of the share partitions whose topics are gone, and comes back until the last tombstone is settled, as the log
// may refuse them.
func (m *Machine) purge(now time.Time) shard.Result {
	out := shard.Result{Sees: model.NoOffset}
	doomed := m.keys(func(k Key, _ *state) bool { return m.gone[k.TopicID] })
	for _, k := range doomed[:min(len(doomed), mostRecords)] {
		out.Records = append(out.Records, tombstone(k))
	}
	if len(doomed) == 0 && !m.purging() {
		clear(m.gone)
		return out
	}
	out.Timers = append(out.Timers, shard.TimerChange{Key: shard.TimerKey{Kind: purgeTimer}, At: now.Add(purgePause)})
	return out
}

// purging tells whether a tombstone of a topic that is gone may be taken back.
func (m *Machine) purging() bool {
	for k := range m.states.AllSettled() {
		if m.gone[k.TopicID] {
			return true
		}
	}
	return false
}

func (m *Machine) newest(k Key) *state {
	s, _ := m.states.Get(k)
	return s
}

// keys are some of the share partitions, in order.
func (m *Machine) keys(some func(Key, *state) bool) []Key {
	var out []Key
	for k, s := range m.states.All() {
		if some(k, s) {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, compareKeys)
	return out
}

func compareKeys(a, b Key) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), slices.Compare(a.TopicID[:], b.TopicID[:]), cmp.Compare(a.Partition, b.Partition))
}
