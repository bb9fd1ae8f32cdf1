package share

import (
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Config is what the coordinator is told by the node's configuration.
type Config struct {
	UpdatesPerSnapshot int           // share.coordinator.snapshot.update.records.per.snapshot
	UpkeepEvery        time.Duration // how often snapshots that hold up the log are looked for
}

// What timers are for.
const (
	upkeepTimer shard.TimerKind = iota // snapshots that hold up the log
	purgeTimer                         // share partitions whose topics are gone
)

// Machine is the share partitions that one partition of __share_group_state holds.
type Machine struct {
	Config Config
	log    timeline.Log
	states *timeline.Map[Key, *state]
	end    model.Offset // of the next record
	image  *image.Image
	gone   map[model.TopicID]bool // deleted topics that may still have share partitions
}

var _ shard.Machine = (*Machine)(nil)

// state is what is known of a share partition. It is replaced, never changed.
type state struct {
	State
	snapshotEpoch        int32
	createdMs, writtenMs int64
	snapshot             model.Offset // its last snapshot
	updates              int          // since that
	at                   model.Offset // its last record
}

// New returns a machine without share partitions. Settle what the log holds, Apply it, and call Loaded before the first request.
func New(c Config) *Machine {
	m := &Machine{Config: c, gone: make(map[model.TopicID]bool)}
	m.states = timeline.NewMap[Key, *state](&m.log)
	return m
}

// Len is how many share partitions there are.
func (m *Machine) Len() int { return m.states.Len() }

// Loaded says that all is applied and settled: share partitions of topics that were deleted while nobody looked go.
func (m *Machine) Loaded(now time.Time, im *image.Image) shard.Result {
	m.image = im
	for k := range m.states.All() {
		if im.TopicByID(k.TopicID) == nil {
			m.gone[k.TopicID] = true
		}
	}
	r := m.purge(now)
	r.Timers = append(r.Timers, shard.TimerChange{Key: shard.TimerKey{Kind: upkeepTimer}, At: now.Add(m.Config.UpkeepEvery)})
	return r
}

// OnImage tells of what has changed: share partitions of topics that were deleted go.
func (m *Machine) OnImage(now time.Time, im *image.Image, d *image.Delta) shard.Result {
	m.image = im
	if len(d.TopicsDeleted) == 0 {
		return shard.Result{Sees: model.NoOffset}
	}
	for _, t := range d.TopicsDeleted {
		m.gone[t.ID] = true
	}
	return m.purge(now)
}

// OnTimer is to be called at a timer's time or later.
func (m *Machine) OnTimer(now time.Time, k shard.TimerKey) shard.Result {
	if k.Kind == purgeTimer {
		return m.purge(now)
	}
	return m.upkeep(now)
}

// End does nothing: nobody waits within the machine.
func (m *Machine) End() {}
