package replica

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/replication/stream"
	"chronik/internal/wal"
)

// member is what a replica has besides its log when the partition has others: the core that leads or follows, who waits, and
// what goes out. A partition with one replica has none, and its path knows nothing of this.
//
// Whatever happens is an input to the core, under the mutex; what the core wants is put into the outbox there, and done by
// whoever finds nobody else at it, without the mutex. So effects happen one after the other, in the order in which they were
// decided, and callbacks may come back in. The log's own mutex is the only lock that is taken within this one: the log never
// calls back with that held.
type member struct {
	r   *Replica
	set *Set

	mu       sync.Mutex
	log      *wal.Log
	state    replication.State // the newest
	epoch    model.LeaderEpoch // of the role
	lead     *leadership       // what Append was let in with; nil: not leading
	leader   *replication.Leader
	follower *replication.Follower
	known    model.Offset // watermark of the role before
	// end is where the log ends as far as the core knows or is about to be told. All appends come through here, so a log that
	// ends lower has lost some.
	end      model.Offset
	failed   error     // the log is fenced, or cannot be opened: no role but that of a leader that wants to resign
	resignAt time.Time // without a core: not before
	gone     bool      // no role any more: removed, or shutting down
	cutting  bool      // the log is being cut; until then the role stays as it is
	// rebuilding is closed when the damaged log was replaced; until then, if it is not nil, there is no role.
	rebuilding chan struct{}
	listed     bool // the set's ticker looks after it

	seen, reported replication.Own // as the core was last told, and when the leader was last to hear of it
	deleting       model.Offset    // where the log start is being moved to; 0: nowhere

	forWatermark, forSync waits // acks=-1 and acks=1
	forDeletion           waits // until the replicas have deleted as much
	tail                  tail
	subscribers           []subscriber
	out                   outbox
	busy                  bool // somebody does what is in the outbox

	source *source // used by whoever is busy

	resigned atomic.Int32 // the newest epoch in which this broker wanted to give up the lead; read without the mutex
}

// outbox is what there is to do outside of the mutex.
type outbox struct {
	verdicts  []verdict
	wake      bool // parked readers
	proposal  *replication.Proposal
	resign    replication.Resignation
	epoch     model.LeaderEpoch // of the proposal and the resignation
	lanes     []*stream.Lane
	hangUp    bool // on the leader
	subscribe *replication.Subscribe
	leader    model.BrokerID // of the subscription
	report    bool           // there may be an acknowledgement or credit
	jobs      []func()
}

func (o *outbox) empty() bool {
	return len(o.verdicts)+len(o.lanes)+len(o.jobs) == 0 && !o.wake && !o.hangUp && !o.report && o.subscribe == nil && o.proposal == nil && o.resign == 0
}

func newMember(r *Replica, s *Set) *member {
	m := &member{r: r, set: s, epoch: model.NoEpoch, tail: tail{budget: &s.tails}}
	m.resigned.Store(int32(model.NoEpoch))
	return m
}

// own is the present state of the log, for the core. What the log has lost since is dealt with first. The caller holds the mutex.
func (m *member) own() replication.Own {
	// In this order a state is read that the log can be in: start <= synced <= end, whatever happens in between.
	own := replication.Own{Start: m.log.Start(), Synced: m.log.DurableEnd(), End: m.log.End()}
	if own.End < m.end {
		m.undo(own.End)
	}
	m.end, m.seen = own.End, own
	return own
}

// undo follows appends that failed: whoever waits for them is told.
func (m *member) undo(end model.Offset) {
	why := m.failed
	if why == nil {
		why = wal.ErrNoSpace // any other failure fences the log
	}
	m.tail.cut(end)
	m.out.verdicts = m.forSync.failFrom(end, why, m.out.verdicts)
	m.out.verdicts = m.forWatermark.failFrom(end, why, m.out.verdicts)
}

// moved tells the core of the log, unless that is being cut: then the end of the cut tells. The caller holds the mutex.
func (m *member) moved(now time.Time) {
	if m.log == nil || m.cutting {
		return
	}
	switch {
	case m.leader != nil:
		m.leader.OwnMoved(m.own(), now)
	case m.follower != nil && m.failed == nil:
		m.follower.OwnMoved(m.own(), now)
	}
}

// unlock ends an input: it takes what the core wants, releases the mutex and does it.
func (m *member) unlock() {
	m.collect()
	if m.busy {
		m.mu.Unlock()
		return
	}
	m.busy = true
	for !m.out.empty() {
		out := m.out
		m.out = outbox{}
		m.mu.Unlock()
		m.do(&out)
		m.mu.Lock()
		m.collect()
	}
	m.busy = false
	m.mu.Unlock()
}

// collect moves the core's effects into the outbox.
func (m *member) collect() {
	switch {
	case m.leader != nil:
		m.collectLeader()
	case m.follower != nil:
		m.collectFollower()
	}
	if !m.listed && m.watchful() {
		m.listed = true
		m.set.ticks.list(m)
	}
}

// do does what is in an outbox. Nothing of it blocks.
func (m *member) do(out *outbox) {
	for _, v := range out.verdicts {
		v.waiter.Done(v.err)
	}
	if out.wake {
		m.r.parked.wakeAll()
	}
	for _, l := range out.lanes {
		l.Wake()
	}
	if out.hangUp {
		m.hangUp()
	}
	if out.subscribe != nil {
		m.subscribe(out.leader, *out.subscribe)
	}
	if out.report && m.source != nil {
		m.source.route.Wake()
	}
	if out.proposal != nil {
		m.propose(out.epoch, out.proposal)
	}
	if out.resign != 0 {
		if m.resigned.Swap(int32(out.epoch)) != int32(out.epoch) {
			m.set.env.Log.Warn("this broker wants to give up the leadership of a partition", "partition", m.r.partition.String(),
				"epoch", int32(out.epoch), "reason", out.resign.String())
		}
		m.set.env.Controller.Resign(m.r.partition, m.r.topicID, out.epoch, out.resign)
	}
	for _, job := range out.jobs {
		m.set.jobs.do(job)
	}
}

// Done implements wal.Waiter for every append of the log: only failures are news, the observer hears of the rest.
func (m *member) Done(err error) {
	if err == nil {
		return
	}
	m.mu.Lock()
	if errors.Is(err, wal.ErrFenced) {
		m.fail(err)
	}
	m.moved(time.Now())
	m.unlock()
}

// advanced follows the log's report that it moved.
func (m *member) advanced() {
	m.mu.Lock()
	m.moved(time.Now())
	if m.leader != nil {
		m.wakeBehind()
	}
	m.unlock()
}

// startMoved follows a deletion: followers go along.
func (m *member) startMoved() {
	m.mu.Lock()
	m.moved(time.Now())
	m.wakeAll()
	m.unlock()
}

// fenced follows the log's report that it failed (D3).
func (m *member) fenced(err error) {
	m.mu.Lock()
	m.fail(err)
	m.out.wake = true
	m.unlock()
}

// fail ends the use of the log until it is opened again. A leader goes on only to have another one elected.
func (m *member) fail(err error) {
	if m.failed != nil {
		return
	}
	m.failed = err
	if m.leader != nil {
		m.leader.OwnFailed(time.Now())
	}
}

// tick lets time pass, and tells whether it matters still.
func (m *member) tick(now time.Time) bool {
	m.mu.Lock()
	m.moved(now)
	switch {
	case m.leader != nil:
		m.leader.Tick(now)
		m.wakeAll()
	case m.follower != nil && m.failed == nil:
		m.follower.Tick(now)
	default:
		m.passOn(now)
	}
	m.offerLead(now)
	m.listed = m.watchful()
	listed := m.listed
	m.unlock()
	return listed
}

// watchful tells whether time matters.
func (m *member) watchful() bool {
	switch {
	case m.gone:
		return false
	case m.strayed(), m.wantsOut():
		return true
	case m.leader != nil:
		return m.leader.Watchful()
	case m.follower != nil && m.failed == nil:
		leader, _ := m.follower.Leader()
		return leader != model.NoBroker && !m.follower.Streaming()
	}
	return false
}

// sessionChanged tells whether the controller was heard of within the session (R6).
func (m *member) sessionChanged(alive bool) {
	m.mu.Lock()
	if m.leader != nil {
		m.leader.SessionChanged(alive)
	}
	m.unlock()
}

// brokersChanged tells of registrations and fences.
func (m *member) brokersChanged(live func(model.BrokerID) (model.BrokerEpoch, bool)) {
	m.mu.Lock()
	if m.leader != nil {
		m.leader.BrokersChanged(live, time.Now())
		m.wakeAll()
	}
	m.unlock()
}
