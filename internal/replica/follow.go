package replica

import (
	"errors"
	"time"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// collectFollower takes what the follower wants.
func (m *member) collectFollower() {
	e := m.follower.Take()
	leader, epoch := m.follower.Leader()
	if e.Subscribe != nil {
		m.out.leader, m.out.subscribe = leader, e.Subscribe
		m.reported = replication.Own{Start: model.NoOffset} // a leader that was told the same before may have been another one
	}
	if e.Truncate != nil {
		m.cutting = true
		t := *e.Truncate
		m.out.jobs = append(m.out.jobs, func() { m.truncate(t, leader, epoch) })
	}
	if e.DeleteTo > m.deleting {
		m.deleting = e.DeleteTo
		m.out.jobs = append(m.out.jobs, func() { m.deleteTo(e.DeleteTo) })
	}
	if e.Moved {
		m.publish(m.follower.Watermark())
		m.out.wake = true
	}
	if m.seen != m.reported && m.follower.AckDue() {
		m.reported, m.out.report = m.seen, true
	}
	m.out.report = m.out.report || e.Grant
}

// batches takes what the leader sent, and has it appended without a copy: owner holds the bytes. The caller has the mutex.
func (m *member) batches(b replication.Batches, owner *mem.Buf) {
	now := time.Now()
	if m.failed != nil || !m.follower.Batches(b, now) {
		return
	}
	if err := m.appendAll(b.Bytes, owner); err != nil {
		if !m.cutting { // else it is sent again when the log is back
			m.failedAppend(err)
		}
		m.follower.AppendFailed(m.own(), now)
		return
	}
	m.moved(now)
}

// appendAll appends what the leader has stamped. Batches that do not follow what was appended before would leave a hole.
func (m *member) appendAll(bytes []byte, owner *mem.Buf) error {
	for rest := bytes; len(rest) > 0; {
		b, more, err := record.Next(rest)
		if err != nil {
			return err
		}
		_, err = m.log.Append(wal.Append{
			Batch: b, Owner: owner, Epoch: b.LeaderEpoch(), Waiter: m, Origin: producer.Replication, ExpectEnd: m.end,
		})
		if err != nil {
			return err
		}
		m.end, rest = b.LastOffset()+1, more
	}
	return nil
}

// failedAppend says why replication of a partition stands still, if somebody has to do something about it.
func (m *member) failedAppend(err error) {
	if errors.Is(err, wal.ErrUndone) || errors.Is(err, wal.ErrNoSpace) {
		return // what was undone was said
	}
	m.set.env.Log.Error("cannot append what the leader sent", "partition", m.r.partition.String(), "error", err)
}

// truncate cuts the log to where it parts from the leader's (R2). It waits for the disk.
func (m *member) truncate(t replication.Truncate, leader model.BrokerID, epoch model.LeaderEpoch) {
	r := m.r
	log := m.set.env.Log.With("partition", r.partition.String(), "leader", int32(leader), "epoch", int32(epoch), "to", int64(t.To), "end", int64(m.log.End()))
	switch {
	case t.Committed:
		log.Error("cutting off records that were committed: the leader does not have them, after an unclean election")
	case t.All:
		log.Info("beginning the log anew where the leader's begins")
	default:
		log.Info("cutting off what the leader does not have")
	}
	err := m.cut(t)
	m.mu.Lock()
	m.cutting, m.deleting = false, 0
	if err != nil && m.failed == nil {
		log.Error("the log could not be cut; the partition is offline here", "error", err)
		m.fail(err)
	}
	m.end = m.log.End()
	if m.follower != nil && err == nil {
		m.follower.Truncated(m.own(), time.Now())
		m.publish(m.follower.Watermark())
	}
	m.unlock()
	m.assume() // the metadata may have another role by now
}

func (m *member) cut(t replication.Truncate) error {
	if t.All {
		return m.log.Restart(t.To)
	}
	return m.log.Truncate(t.To)
}

// deleteTo follows the leader's log start. It waits for the disk.
func (m *member) deleteTo(to model.Offset) {
	m.mu.Lock()
	log := m.log
	m.mu.Unlock()
	if log == nil {
		return // it is being replaced by an empty one
	}
	if _, err := log.DeleteBefore(to); err != nil && !errors.Is(err, wal.ErrFenced) && !errors.Is(err, wal.ErrClosed) {
		m.set.env.Log.Error("could not delete what the leader has deleted; it is tried again", "partition", m.r.partition.String(), "error", err)
	}
	m.mu.Lock()
	if m.deleting == to {
		m.deleting = 0
	}
	m.moved(time.Now())
	m.unlock()
}
