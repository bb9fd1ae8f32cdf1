package share

import (
	"fmt"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// check refuses what no share partition can be.
func (m *Machine) check(k Key) error {
	if k.Group == "" || k.TopicID.IsZero() || k.Partition < 0 {
		return fmt.Errorf("%w: group %q, topic %s, partition %d", ErrInvalid, k.Group, k.TopicID, k.Partition)
	}
	return nil
}

// exists looks for the partition in the metadata.
func (m *Machine) exists(k Key) error {
	if t := m.image.TopicByID(k.TopicID); t == nil || int(k.Partition) >= len(t.Partitions) {
		return ErrUnknownPartition
	}
	return nil
}

// decided is the result of a request about a share partition. Without records its reply waits for the last one that it depends on.
func (m *Machine) decided(k Key, reply func(error), records ...schema.Record) shard.Result {
	r := shard.Result{Records: records, Reply: reply, Sees: model.NoOffset}
	if m.states.Unsettled(k) {
		r.Sees = m.end - 1
		if s, ok := m.states.Get(k); ok {
			r.Sees = s.at
		}
	}
	return r
}

// refused is the result of a request that changes nothing, for a reason.
func (m *Machine) refused(k Key, err error, reply func(error)) shard.Result {
	return m.decided(k, func(unsafe error) {
		if unsafe != nil {
			err = unsafe
		}
		reply(err)
	})
}

// Initialize gives a share partition a start offset and no batches.
func (m *Machine) Initialize(now time.Time, r InitializeRequest, reply func(error)) shard.Result {
	err := m.check(r.Key)
	old, ok := m.states.Get(r.Key)
	if err == nil && r.Start < model.NoOffset {
		err = fmt.Errorf("%w: start offset %d", ErrInvalid, r.Start)
	}
	if err == nil && ok && r.StateEpoch != AnyEpoch && r.StateEpoch < old.StateEpoch {
		err = ErrFencedStateEpoch
	}
	if err == nil {
		err = m.exists(r.Key)
	}
	if err != nil {
		return m.refused(r.Key, err, reply)
	}
	s := state{State: State{StateEpoch: max(0, r.StateEpoch), Start: r.Start}, createdMs: now.UnixMilli(), writtenMs: now.UnixMilli()}
	if r.Start == model.NoOffset {
		s.Complete = Unknown
	}
	if ok { // leaders of earlier epochs stay out
		s.snapshotEpoch, s.LeaderEpoch, s.StateEpoch = old.snapshotEpoch+1, old.LeaderEpoch, max(old.StateEpoch, r.StateEpoch)
	}
	return m.decided(r.Key, reply, s.record(r.Key))
}

// Read returns a share partition's state to its leader, and keeps leaders of earlier epochs from changing it.
func (m *Machine) Read(now time.Time, r ReadRequest, reply func(State, error)) shard.Result {
	s, err := m.held(r.Key, r.LeaderEpoch, AnyEpoch)
	if err != nil {
		return m.refused(r.Key, err, func(err error) { reply(State{}, err) })
	}
	out := s.State
	answer := func(err error) { reply(out, err) }
	if r.LeaderEpoch == AnyEpoch || r.LeaderEpoch == s.LeaderEpoch {
		return m.decided(r.Key, answer)
	}
	out.LeaderEpoch = r.LeaderEpoch
	return m.decided(r.Key, answer, m.change(now, r.Key, s, WriteRequest{Start: s.Start, Complete: s.Complete}, r.LeaderEpoch))
}

// Write adds what members have done.
func (m *Machine) Write(now time.Time, r WriteRequest, reply func(error)) shard.Result {
	s, err := m.held(r.Key, r.LeaderEpoch, r.StateEpoch)
	for _, b := range r.Batches {
		if err == nil && !b.valid() {
			err = fmt.Errorf("%w: batch %d-%d in state %d, %d deliveries", ErrInvalid, b.First, b.Last, b.State, b.Deliveries)
		}
	}
	if err == nil && r.Start < model.NoOffset {
		err = fmt.Errorf("%w: start offset %d", ErrInvalid, r.Start)
	}
	if err != nil {
		return m.refused(r.Key, err, reply)
	}
	return m.decided(r.Key, reply, m.change(now, r.Key, s, r, s.LeaderEpoch))
}

// Summarize returns a share partition's state without batches. One that is not initialized has none to be told apart from.
func (m *Machine) Summarize(k Key, reply func(State, error)) shard.Result {
	err := m.check(k)
	if err == nil {
		err = m.exists(k)
	}
	if err != nil {
		return m.refused(k, err, func(err error) { reply(State{}, err) })
	}
	out := State{Start: model.NoOffset, Complete: Unknown}
	if s, ok := m.states.Get(k); ok {
		out = s.State
		out.Batches = nil
	}
	return m.decided(k, func(err error) { reply(out, err) })
}

// Delete forgets a share partition. One that is not there is deleted.
func (m *Machine) Delete(k Key, reply func(error)) shard.Result {
	err := m.check(k)
	if err == nil {
		err = m.exists(k)
	}
	if err != nil {
		return m.refused(k, err, reply)
	}
	if _, ok := m.states.Get(k); !ok {
		return m.decided(k, reply)
	}
	return m.decided(k, reply, tombstone(k))
}

// held returns the state of a share partition to who may read or change it.
func (m *Machine) held(k Key, leaderEpoch, stateEpoch int32) (*state, error) {
	if err := m.check(k); err != nil {
		return nil, err
	}
	s, ok := m.states.Get(k)
	switch {
	case !ok:
		return nil, ErrUninitialized
	case leaderEpoch != AnyEpoch && leaderEpoch < s.LeaderEpoch:
		return nil, ErrFencedLeaderEpoch
	case stateEpoch != AnyEpoch && stateEpoch < s.StateEpoch:
		return nil, ErrFencedStateEpoch
	}
	return s, m.exists(k)
}

// change is the record that adds to a state: a snapshot when enough updates have followed the last one.
func (m *Machine) change(now time.Time, k Key, s *state, r WriteRequest, leaderEpoch int32) schema.Record {
	if s.updates >= m.Config.UpdatesPerSnapshot {
		next := *s
		next.LeaderEpoch, next.Start, next.Complete = leaderEpoch, max(s.Start, r.Start), r.Complete
		next.Batches = combine(s.Batches, r.Batches, next.Start)
		next.snapshotEpoch, next.createdMs, next.writtenMs = s.snapshotEpoch+1, now.UnixMilli(), now.UnixMilli()
		return next.record(k)
	}
	start := r.Start
	if start != model.NoOffset {
		start = max(start, s.Start)
	}
	return &schema.ShareStateUpdate{Key: k, Value: &schema.ShareUpdate{
		SnapshotEpoch: s.snapshotEpoch, LeaderEpoch: leaderEpoch, StartOffset: int64(start),
		StateBatches: toRecord(combine(nil, r.Batches, start)), DeliveryCompleteCount: r.Complete,
	}}
}

// record is the snapshot that says all of a state.
func (s *state) record(k Key) schema.Record {
	return &schema.ShareStateSnapshot{Key: k, Value: &schema.ShareSnapshot{
		SnapshotEpoch: s.snapshotEpoch, StateEpoch: s.StateEpoch, LeaderEpoch: s.LeaderEpoch, StartOffset: int64(s.Start),
		CreateTimestamp: s.createdMs, WriteTimestamp: s.writtenMs, StateBatches: toRecord(s.Batches), DeliveryCompleteCount: s.Complete,
	}}
}

func tombstone(k Key) schema.Record { return &schema.ShareStateSnapshot{Key: k} }
