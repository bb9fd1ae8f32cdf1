package share

import (
	"errors"
	"fmt"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// errForeign: a record that is none of this topic's.
var errForeign = errors.New("a record that does not belong into __share_group_state")

// Apply changes what is replicated as the record at an offset says. An error ends the machine.
func (m *Machine) Apply(off model.Offset, e shard.Entry) error {
	m.end = off + 1
	if e.Marker != nil || e.Producer != model.NoProducer {
		return fmt.Errorf("%w: one of a transaction (producer %d)", errForeign, e.Producer)
	}
	switch r := e.Record.(type) {
	case *schema.ShareStateSnapshot:
		return m.applySnapshot(off, r.Key, r.Value)
	case *schema.ShareStateUpdate:
		return m.applyUpdate(off, r.Key, r.Value)
	}
	return fmt.Errorf("%w: %T", errForeign, e.Record)
}

func (m *Machine) applySnapshot(off model.Offset, k Key, v *schema.ShareSnapshot) error {
	if v == nil {
		m.states.Delete(off, k)
		return nil
	}
	batches, err := fromRecord(v.StateBatches)
	if err != nil {
		return fmt.Errorf("the snapshot of %s: %w", k.Coordinated(), err)
	}
	m.states.Put(off, k, &state{
		State: State{
			StateEpoch: v.StateEpoch, LeaderEpoch: v.LeaderEpoch, Start: model.Offset(v.StartOffset),
			Complete: v.DeliveryCompleteCount, Batches: combine(nil, batches, model.NoOffset),
		},
		snapshotEpoch: v.SnapshotEpoch, createdMs: v.CreateTimestamp, writtenMs: v.WriteTimestamp, snapshot: off, at: off,
	})
	return nil
}

// applyUpdate adds to a share partition's state. Without one, its snapshot has gone with the log's beginning: a later record is a
// snapshot or deletes it, since Needed is not above the last snapshot.
func (m *Machine) applyUpdate(off model.Offset, k Key, v *schema.ShareUpdate) error {
	old, ok := m.states.Get(k)
	if !ok || v == nil {
		return nil
	}
	batches, err := fromRecord(v.StateBatches)
	if err != nil {
		return fmt.Errorf("an update of %s: %w", k.Coordinated(), err)
	}
	s := *old
	s.at, s.updates = off, old.updates+1
	s.Start = max(old.Start, model.Offset(v.StartOffset))
	s.Complete = v.DeliveryCompleteCount
	s.LeaderEpoch = max(old.LeaderEpoch, v.LeaderEpoch)
	s.Batches = combine(old.Batches, batches, s.Start)
	m.states.Put(off, k, &s)
	return nil
}

// Settle says that what was applied below the watermark is safe.
func (m *Machine) Settle(watermark model.Offset) { m.log.Settle(watermark) }

// Revert says that the log has refused what was applied from an offset on.
func (m *Machine) Revert(from model.Offset) {
	m.log.Revert(from)
	m.end = min(m.end, from)
}
