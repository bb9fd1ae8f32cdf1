package replica

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/wal"
)

// append is Replica.Append in a partition of several replicas: one ordered step that also tells the core, registers the waiter,
// and puts the batch where the followers' streams find it (D5).
func (m *member) append(lead *leadership, a *Append) (wal.Appended, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.unlock()
	out, err := m.place(lead, a, now)
	if errors.Is(err, wal.ErrUndone) { // the core has to hear of what was undone first: perhaps it appends no more (R2)
		m.moved(now)
		out, err = m.place(lead, a, now)
	}
	if err != nil {
		return wal.Appended{}, err
	}
	if !out.Duplicate {
		if len(m.subscribers) > 0 {
			m.tail.add(out.BaseOffset, out.LastOffset+1, a.Batch, a.Owner)
		}
		m.end = out.LastOffset + 1
	}
	switch {
	case a.Waiter == nil:
	case a.Acks == -1:
		m.forWatermark.add(out.LastOffset, a.Waiter)
	default:
		m.forSync.add(out.LastOffset, a.Waiter)
	}
	m.moved(now)
	m.wakeAll()
	return out, nil
}

// place puts the batch into the log, if this is still the epoch that it was let in for.
func (m *member) place(lead *leadership, a *Append, now time.Time) (wal.Appended, error) {
	origin, ok := a.By.origin(lead)
	if m.lead != lead || !ok {
		return wal.Appended{}, m.r.notLeader(ErrNotLeader)
	}
	if err := m.leader.MayAppend(a.Acks); err != nil {
		return wal.Appended{}, m.refusal(err)
	}
	return m.log.Append(wal.Append{
		Batch: a.Batch, Owner: a.Owner, Epoch: lead.epoch, Waiter: m, Origin: origin, ExpectEnd: m.end,
		Verified: a.Verified, TV2: a.TV2,
	})
}

// refusal is what callers are told of the core's refusals.
func (m *member) refusal(err error) error {
	var few *replication.NotEnoughReplicasError
	switch {
	case errors.As(err, &few) && few.Appended:
		return fmt.Errorf("%w: %w", ErrNotEnoughReplicasAfterAppend, err)
	case errors.As(err, &few):
		return fmt.Errorf("%w: %w", ErrNotEnoughReplicas, err)
	case m.failed != nil:
		return fmt.Errorf("%w: %w", ErrStorage, m.failed)
	}
	return m.r.notLeader(fmt.Errorf("%w: %w", ErrNotLeader, err))
}

// collectLeader takes what the leader wants, and tells those whose wait is over.
func (m *member) collectLeader() {
	e := m.leader.Take()
	if e.Proposal != nil {
		m.out.proposal, m.out.epoch = e.Proposal, m.leader.Epoch()
	}
	if e.Resign != 0 {
		m.out.resign, m.out.epoch = e.Resign, m.leader.Epoch()
	}
	if e.Moved {
		m.publish(m.leader.HighWatermark())
		if m.leader.Settled() && m.lead != nil {
			m.lead.settled.Store(true)
		}
		m.out.wake = true
		m.wakeAll()
	}
	if err := m.leader.MayAppend(0); err != nil && m.lead != nil { // this epoch is over, or the log is
		m.r.lead.Store(nil)
		m.lead = nil
		m.failWaits(m.refusal(err))
		m.out.wake = true
		return
	}
	synced := m.log.DurableEnd()
	for last, ok := m.forSync.first(); ok && last < synced; last, ok = m.forSync.first() {
		m.out.verdicts = append(m.out.verdicts, m.forSync.pop(nil))
	}
	watermark := m.leader.HighWatermark()
	for last, ok := m.forWatermark.first(); ok && last < watermark; last, ok = m.forWatermark.first() {
		done, err := m.leader.Acknowledge(last)
		if !done && err == nil {
			break
		}
		if err != nil {
			err = m.refusal(err)
		}
		m.out.verdicts = append(m.out.verdicts, m.forWatermark.pop(err))
	}
	if last, ok := m.forDeletion.first(); ok {
		for low := m.low(); ok && last < low; last, ok = m.forDeletion.first() {
			m.out.verdicts = append(m.out.verdicts, m.forDeletion.pop(nil))
		}
	}
}

// propose takes an ISR to the active controller.
func (m *member) propose(epoch model.LeaderEpoch, p *replication.Proposal) {
	m.set.env.Controller.AlterISR(m.r.partition, m.r.topicID, *p, func(o replication.Outcome, s replication.State) {
		m.mu.Lock()
		if m.leader != nil && m.leader.Epoch() == epoch {
			m.leader.ProposalAnswered(p.Number, o, s, time.Now())
		}
		m.unlock()
	})
}
