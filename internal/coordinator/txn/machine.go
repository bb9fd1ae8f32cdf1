package txn

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Config is what the broker's keys say. It may be changed between decisions, and counts from then on.
type Config struct {
	MaxTimeoutMs int32         // transaction.max.timeout.ms
	Expiration   time.Duration // transactional.id.expiration.ms
	SweepEvery   time.Duration // transaction.remove.expired.transaction.cleanup.interval.ms
	Version      Version       // what the broker does by itself: fencing, timeouts
}

// What timers are for.
const (
	TimeoutTimer  shard.TimerKind = iota // a transaction's
	CompleteTimer                        // transactions that are to be completed
	SweepTimer                           // IDs that nobody uses
	HoldTimer                            // requests that are held
)

// retryPause is before what the log may have refused is looked at again.
const retryPause = time.Second

// Machine is the transactional IDs of one partition of __transaction_state, a shard.Machine.
type Machine struct {
	Config Config

	log   timeline.Log
	end   model.Offset // after the last record that was applied
	txns  *timeline.Map[string, *txn]
	soft  map[string]*soft
	held  map[string][]held // requests that wait until the ID's transaction is complete
	image *image.Image
	sweep []string // IDs that the round has not come to

	// IDs that are to be completed, or whose COMPLETE may yet be refused; and the PREPARE that has all its markers, nil: the last.
	completing map[string]*txn
	wake       time.Time // their timer; zero: none
}

var _ shard.Machine = (*Machine)(nil)

// txn is what is replicated of a transactional ID. It does not change.
type txn struct {
	schema.Transaction
	at model.Offset // its record
}

func (t *txn) producer() Producer { return Producer{ID: t.ProducerID, Epoch: t.ProducerEpoch} }

// soft is what is not.
type soft struct {
	deadline time.Time                     // of what is Ongoing
	sent     *Markers                      // of the last PREPARE that was decided
	left     map[model.TopicPartition]bool // those of its partitions whose markers are not known to be written
	replaced replaced
	ahead    ahead
}

// replaced is what an InitProducerId that came with an epoch did under V1: now is what it answered, for who came with last.
type replaced struct {
	now  Producer
	last int16
}

// New returns a machine without transactional IDs. Settle what the log holds, Apply it, and call Loaded before the first request.
func New(c Config) *Machine {
	m := &Machine{Config: c, soft: make(map[string]*soft), held: make(map[string][]held), completing: make(map[string]*txn)}
	m.txns = timeline.NewMap[string, *txn](&m.log)
	return m
}

// ids are the transactional IDs in order.
func (m *Machine) ids() []string {
	all := make([]string, 0, m.txns.Len())
	for id := range m.txns.All() {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

func (m *Machine) open(id string) *soft {
	s := m.soft[id]
	if s == nil {
		s = &soft{}
		m.soft[id] = s
	}
	return s
}

// exists tells whether a partition does. Partitions that a transaction has were known when they were added, to the machine that added them;
// the metadata by which somebody else leads the log are newer. So a partition that is not there is gone.
func (m *Machine) exists(tp model.TopicPartition) bool {
	t := m.image.Topic(tp.Topic)
	return t != nil && int(tp.Partition) < len(t.Partitions)
}

// Loaded says that all is applied and settled: markers of what is being ended are sent again (T3), and what is open has its timer, which
// is due at once if it is overdue (T4). A wall clock that was set back gives it one timeout more and not longer.
func (m *Machine) Loaded(now time.Time, im *image.Image) shard.Result {
	m.image = im
	d := m.decide(now)
	for _, id := range m.ids() {
		t, _ := m.txns.Get(id)
		switch {
		case t.Status == schema.TxnOngoing:
			timeout := int64(t.TimeoutMs)
			left := min(max(t.StartTimestamp+timeout-now.UnixMilli(), 0), timeout)
			at := now.Add(time.Duration(left) * time.Millisecond)
			m.open(id).deadline = at
			d.out.Timers = append(d.out.Timers, shard.TimerChange{Key: timeoutKey(id), At: at, Wall: true})
		case ending(t.Status):
			d.send(id, &t.Transaction)
		}
	}
	d.timer(shard.TimerKey{Kind: SweepTimer}, now.Add(m.Config.SweepEvery))
	return d.done()
}

// OnImage tells of what has changed: partitions that are gone need no marker.
func (m *Machine) OnImage(now time.Time, im *image.Image, delta *image.Delta) shard.Result {
	m.image = im
	d := m.decide(now)
	if len(delta.TopicsDeleted) > 0 {
		gone := make(map[string]bool)
		for _, t := range delta.TopicsDeleted {
			gone[t.Name] = true
		}
		for _, id := range slices.Sorted(maps.Keys(m.soft)) {
			s := m.soft[id]
			if len(s.left) == 0 {
				continue
			}
			maps.DeleteFunc(s.left, func(tp model.TopicPartition, _ bool) bool { return gone[tp.Topic] })
			if len(s.left) == 0 {
				d.complete(id, nil, now)
			}
		}
	}
	return d.done()
}

// OnTimer is to be called at a timer's time or later. A timer that is no longer meant does nothing.
func (m *Machine) OnTimer(now time.Time, k shard.TimerKey) shard.Result {
	switch k.Kind {
	case TimeoutTimer:
		return m.timeOut(now, k.Group, model.NoProducer)
	case CompleteTimer:
		return m.completeAll(now)
	case SweepTimer:
		return m.expire(now)
	case HoldTimer:
		return m.lapse(now, k.Group)
	}
	return m.decide(now).done()
}
