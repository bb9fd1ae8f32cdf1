package replica

import (
	"time"

	"chronik/internal/model"
	"chronik/internal/replication"
)

// assume gives the member the role that the metadata has for it, once the log is open and this incarnation of the broker is
// registered: an epoch from before was not granted to it (R1). It does no I/O.
func (m *member) assume() {
	m.mu.Lock()
	defer m.unlock()
	a := m.r.assigned.Load()
	grant := m.set.grant.Load()
	if m.gone || a == nil || grant == nil || m.rebuilding != nil {
		return
	}
	s := a.state()
	m.state = s
	if m.log == nil {
		if m.log = m.r.log.Load(); m.log == nil {
			return // assume is called again when it is open
		}
		m.known = max(m.known, m.log.Start())
		m.end = m.log.End()
	}
	if m.setAside(a, &s) {
		return
	}
	if err := m.log.Failure(); err != nil && !m.cutting {
		m.fail(err) // a leader has to hear of it now: when the log itself reports it, it is not news any more
	}
	now := time.Now()
	switch {
	case s.Leader != m.set.env.Node:
		if m.failed != nil {
			m.endRole()
			return
		}
		m.beFollower(s, grant, now)
	case m.leader != nil && m.leader.Epoch() == s.LeaderEpoch:
		m.leader.PartitionChanged(s, now)
		m.leader.BrokersChanged(grant.live, now)
		m.leader.Configure(m.config(a), now)
		m.wakeAll()
	case s.LeaderEpoch <= m.epoch || m.cutting: // a cut that ends calls assume again
	default:
		m.beLeader(s, a, grant, now)
	}
}

// config is how the partition is replicated.
func (m *member) config(a *Assignment) replication.Config {
	c := m.set.env.Replication
	return replication.Config{
		MinISR: a.State.EffectiveMinISR(a.Settings.MinISR), LagTime: c.LagTime, LagEntries: c.LagEntries, Retry: c.Retry,
	}
}

// beLeader begins a leader epoch. The log is in it before anybody can append, and the core exists before either.
func (m *member) beLeader(s replication.State, a *Assignment, grant *grant, now time.Time) {
	m.endRole()
	m.epoch = s.LeaderEpoch
	if m.failed == nil {
		if err := m.log.BeginEpoch(s.LeaderEpoch); err != nil {
			m.set.env.Log.Error("a leader epoch cannot begin: the log is in a later one", "partition", m.r.partition.String(), "error", err)
			m.failed = err
		}
	}
	own := m.own()
	m.leader = replication.NewLeader(replication.LeaderOptions{
		Broker: m.set.env.Node, BrokerEpoch: grant.epoch, State: s, Own: own, Watermark: m.known, History: history{m},
		Config: m.config(a), Live: grant.live, Now: now,
	})
	m.leader.SessionChanged(!m.set.lostSession.Load())
	if m.failed != nil {
		m.leader.OwnFailed(now)
	}
	m.publish(m.leader.HighWatermark())
	m.admit()
	m.out.wake = true
}

// beFollower follows whoever leads now.
func (m *member) beFollower(s replication.State, grant *grant, now time.Time) {
	if s.LeaderEpoch < m.epoch {
		return
	}
	if m.leader != nil {
		m.endRole()
	}
	m.epoch = s.LeaderEpoch
	// What was let in as leader before must not reach the log now.
	if err := m.log.BeginEpoch(s.LeaderEpoch); err != nil {
		m.set.env.Log.Error("the log has records of a leader epoch that the metadata does not know", "partition", m.r.partition.String(), "error", err)
	}
	if m.follower == nil {
		c := m.set.env.Replication
		m.follower = replication.NewFollower(replication.FollowerOptions{
			TopicID: m.r.topicID, Partition: m.r.partition.Partition, Broker: m.set.env.Node, BrokerEpoch: grant.epoch,
			History: history{m}, Number: m.set.number, Window: c.Window, Retry: c.Retry, Patience: c.Patience, Watermark: m.known,
		})
	}
	m.r.following.Store(&leadership{epoch: s.LeaderEpoch, member: m})
	m.follower.Hold(m.throttled(&s))
	var own replication.Own
	if !m.cutting {
		own = m.own()
	}
	m.follower.Follow(s.Leader, s.LeaderEpoch, own, now)
	if !m.cutting {
		m.publish(m.follower.Watermark())
	}
}

// endRole ends the role: nothing is let in any more, and it is decided that whoever waits is told to look elsewhere, before
// anything is done to the log (D5).
func (m *member) endRole() {
	m.r.lead.Store(nil)
	m.r.following.Store(nil)
	if m.leader != nil {
		m.known = m.leader.HighWatermark()
	}
	if m.follower != nil {
		m.known = m.follower.Watermark()
		m.out.hangUp, m.out.subscribe = true, nil
	}
	m.lead, m.leader, m.follower = nil, nil, nil
	m.failWaits(m.r.notLeader(ErrNotLeader))
	m.tail.clear()
	m.unsubscribeAll()
	m.out.wake = true
}

func (m *member) failWaits(err error) {
	m.out.verdicts = m.forSync.failFrom(0, err, m.out.verdicts)
	m.out.verdicts = m.forWatermark.failFrom(0, err, m.out.verdicts)
	m.out.verdicts = m.forDeletion.failFrom(0, err, m.out.verdicts)
}

// offline follows a log that cannot be opened. If this broker is to lead the partition, another one has to.
func (m *member) offline(err error) {
	m.mu.Lock()
	defer m.unlock()
	if a := m.r.assigned.Load(); a != nil {
		m.state = a.state()
	}
	if m.failed == nil {
		m.failed = err
	}
	m.endRole()
	m.passOn(time.Now())
}

// strayed tells whether the metadata has this broker lead although it cannot even begin to.
func (m *member) strayed() bool {
	return m.failed != nil && m.leader == nil && m.state.Leader == m.set.env.Node && m.state.LeaderEpoch > m.epoch
}

// passOn asks for another leader, now and then, where there is no core to do so.
func (m *member) passOn(now time.Time) {
	if m.strayed() && !now.Before(m.resignAt) {
		m.resignAt = now.Add(m.set.env.Replication.Retry)
		m.out.resign, m.out.epoch = replication.LogFailed, m.state.LeaderEpoch
	}
}

// stop ends the role for good.
func (m *member) stop() {
	m.mu.Lock()
	m.gone = true
	m.endRole()
	m.unlock()
}

// publish lets readers see the watermark.
func (m *member) publish(to model.Offset) { m.r.highWatermark.Store(int64(to)) }

// history is a member's log as the cores ask it about epochs. They do so under the member's mutex.
type history struct{ m *member }

// EpochEnd implements replication.History.
func (h history) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	return h.m.log.EpochEnd(e)
}

// LastEpoch implements replication.History.
func (h history) LastEpoch() model.LeaderEpoch {
	log := h.m.log
	end := log.End()
	if end == log.Start() {
		return model.NoEpoch
	}
	return log.EpochAt(end - 1)
}
