package txn

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// mostRecords is about how many records one decision of a round writes: it shares a batch with what is urgent.
const mostRecords = 1000

// send has the markers sent of what was prepared. If there is nobody to send one to, it is complete.
func (d *decision) send(id string, v *schema.Transaction) {
	s := d.m.open(id)
	s.left = make(map[model.TopicPartition]bool)
	s.sent = &Markers{
		TransactionalID: id, Producer: Producer{ID: v.ProducerID, Epoch: v.ProducerEpoch}, Version: v.ClientVersion, Commit: v.Status == schema.TxnPrepareCommit,
	}
	for _, tp := range unpack(v.Partitions) {
		if d.m.exists(tp) {
			s.left[tp] = true
			s.sent.Partitions = append(s.sent.Partitions, tp)
		}
	}
	if len(s.left) > 0 {
		d.out.Effects = append(d.out.Effects, s.sent)
		return
	}
	d.complete(id, nil, d.now)
}

// Written counts markers that are durable, or not needed any more. With the last one the transaction is complete. What is told twice, or
// too late, changes nothing.
func (m *Machine) Written(now time.Time, of *Markers, partitions []model.TopicPartition) shard.Result {
	d := m.decide(now)
	id := of.TransactionalID
	t, ok := m.txns.Get(id)
	s := m.soft[id]
	if !ok || s == nil || s.sent != of || !ending(t.Status) || len(s.left) == 0 {
		return d.done()
	}
	for _, tp := range partitions {
		delete(s.left, tp)
	}
	if len(s.left) == 0 {
		d.put(id, completed(&t.Transaction, d.nowMs()))
		d.complete(id, t, now.Add(retryPause))
		d.release(id)
	}
	return d.done()
}

// complete keeps an ID until it is complete for good: the log may refuse it, and by then another transaction may have been prepared
// that is refused with it.
func (d *decision) complete(id string, prepared *txn, look time.Time) {
	if prepared != nil || d.m.completing[id] == nil {
		d.m.completing[id] = prepared
	}
	d.m.look(d, look)
}

// look sets the timer of what is to be completed, unless it comes sooner.
func (m *Machine) look(d *decision, at time.Time) {
	if m.wake.IsZero() || at.Before(m.wake) {
		m.wake = at
		d.timer(shard.TimerKey{Kind: CompleteTimer}, at)
	}
}

// completeAll completes what has no markers left to be written, some at a time.
func (m *Machine) completeAll(now time.Time) shard.Result {
	d := m.decide(now)
	m.wake = time.Time{}
	for _, id := range slices.Sorted(maps.Keys(m.completing)) {
		t, ok := m.txns.Get(id)
		switch {
		case ok && ending(t.Status) && (t == m.completing[id] || len(m.open(id).left) == 0):
			if len(d.out.Records) == mostRecords {
				m.look(d, now)
				continue
			}
			m.completing[id] = t
			d.put(id, completed(&t.Transaction, d.nowMs()))
			d.release(id)
		case !m.txns.Unsettled(id):
			delete(m.completing, id)
		}
	}
	if len(m.completing) > 0 {
		m.look(d, now.Add(retryPause))
	}
	return d.done()
}
