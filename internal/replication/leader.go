package replication

import (
	"slices"
	"time"

	"chronik/internal/invariant"
	"chronik/internal/model"
)

// State is what the metadata says of a partition, as far as its leader needs it.
type State struct {
	Leader         model.BrokerID
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch int32            // grows by one with every change that is committed, also with one that changes nothing
	Replicas       []model.BrokerID // those that a reassignment adds or removes are among them
	ISR            []model.BrokerID
}

// Config is how a partition is replicated.
type Config struct {
	// MinISR is the effective min.insync.replicas. It must come from the same place as the one by which the controller keeps
	// eligible leader replicas: below it the watermark stands still, and elections rely on that (D1, R4).
	MinISR     int
	LagTime    time.Duration // replica.lag.time.max.ms
	LagEntries int64         // how many entries an in-sync member may lack; 0: no limit
	Retry      time.Duration // between proposals that were not accepted, and between resignations
}

// History is what a log knows of the epochs in it.
type History interface {
	// EpochEnd returns the largest epoch not above e that the log knows, and where it ends. For an epoch below all known
	// ones it returns e and the first known offset; for one above, or if none is known, (model.NoEpoch, model.NoOffset).
	EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset)
	// LastEpoch is that of the last batch, model.NoEpoch if there is none.
	LastEpoch() model.LeaderEpoch
}

// LeaderOptions says in what a Leader begins.
type LeaderOptions struct {
	Broker      model.BrokerID
	BrokerEpoch model.BrokerEpoch // the epoch of State was granted to this incarnation (R1)
	State       State
	// Own is the log before anything was appended in this epoch; its End is the epoch's start.
	Own Own
	// Watermark is what this broker knew as a follower, see Follower.Watermark.
	Watermark model.Offset
	// History is that of the log, which has begun the epoch of State: it knows where that ends. A Leader whose log has not does
	// nothing but resign.
	History History
	Config  Config
	// Live returns the broker epoch of a registered broker, and whether it is not fenced.
	Live func(model.BrokerID) (model.BrokerEpoch, bool)
	Now  time.Time
}

// Leader leads one partition in one leader epoch.
type Leader struct {
	broker      model.BrokerID
	brokerEpoch model.BrokerEpoch
	epoch       model.LeaderEpoch
	start       model.Offset // of the epoch
	history     History
	cfg         Config
	broken      broken

	state     State
	peers     []peer // the other replicas, in replica order
	own       Own
	watermark model.Offset
	shared    model.Offset // the furthest that any follower has, or was sent, in this epoch

	straddling extent // a batch that the log start was found to lie inside of

	ended    bool // another leader epoch has begun
	lost     Resignation
	session  bool // the controller is in reach (R6)
	now      time.Time
	movedAt  time.Time // when the own synced offset moved, or began to have something to do
	asked    proposing
	resignAt time.Time // not before

	out LeaderEffects
}

// peer is another replica as its leader sees it.
type peer struct {
	id    model.BrokerID
	epoch model.BrokerEpoch
	live  bool
	isr   bool // in the committed ISR
	wide  bool // in a proposed ISR that may still be committed
	want  bool // in the ISR that the leader last wanted

	// own is what was acknowledged in this leader epoch by this incarnation; Synced and End are model.NoOffset before.
	own Own

	// The peer was even with the leader at even; it will have been so at markAt once its synced offset reaches mark.
	even, markAt time.Time
	mark         model.Offset

	stream stream
}

// LeaderEffects is what a Leader wants done.
type LeaderEffects struct {
	// Moved: the high watermark is higher than before, or acknowledgements are possible again. Waiters, readers and followers want to know.
	Moved bool
	// Proposal, if not nil, goes to the active controller once, and its outcome to ProposalAnswered.
	Proposal *Proposal
	// Resign, if not zero, asks the controller to elect another leader. It may be refused or get lost; it is
	// repeated while its reason lasts.
	Resign Resignation
}

// NewLeader begins a leader epoch.
func NewLeader(o LeaderOptions) *Leader {
	l := &Leader{
		broker: o.Broker, brokerEpoch: o.BrokerEpoch, epoch: o.State.LeaderEpoch, start: o.Own.End,
		history: o.History, cfg: o.Config, own: o.Own, session: true, now: o.Now, movedAt: o.Now,
		// What was deleted was committed; what is not held is not known to be.
		watermark: max(o.Own.Start, min(o.Watermark, o.Own.End)),
	}
	if o.State.Leader != o.Broker || !slices.Contains(o.State.ISR, o.Broker) {
		invariant.Failf("R1: broker %d begins epoch %d, but its leader is %d and its ISR %v", o.Broker, l.epoch, o.State.Leader, o.State.ISR)
	}
	l.adopt(o.State)
	if e, _ := o.History.EpochEnd(l.epoch); e != l.epoch { // a log that never began the epoch does not know who agrees with it (R2)
		l.resign(LogFailed)
	}
	for i := range l.peers {
		p := &l.peers[i]
		p.epoch, p.live = o.Live(p.id)
		if p.isr { // it has the whole lag time to come and subscribe
			p.even, p.markAt, p.mark = o.Now, o.Now, o.Own.End
		}
	}
	l.advance()
	l.reconsider()
	return l
}

// OwnMoved tells the present state of the leader's log.
func (l *Leader) OwnMoved(own Own, now time.Time) {
	l.clock(now)
	if own.End < l.own.End {
		l.cut(own)
	}
	if own.Synced != l.own.Synced || l.own.Synced == l.own.End {
		l.movedAt = now
	}
	if own.End > l.own.End {
		for i := range l.peers { // those that were even are so up to now
			l.peers[i].evenNow(l.own.End, own.End, now)
		}
	}
	l.own = own
	l.advance()
	l.reconsider()
}

// cut: appends failed, for want of space, and left the log. Nothing of them was durable, so the watermark is not above. But if a
// follower has some of it, this log would part from the follower's where they were found to agree (R2): this epoch appends no more.
func (l *Leader) cut(own Own) {
	if own.End < l.watermark {
		invariant.Failf("D1: the log was cut to %d, below the watermark %d", own.End, l.watermark)
	}
	if l.shared > own.End {
		l.resign(LogCut)
	}
	// What this log had not synced when the epoch began was not committed: its broker was in the ISR, or eligible.
	l.start = min(l.start, own.End)
	for i := range l.peers {
		l.peers[i].mark = min(l.peers[i].mark, own.End)
	}
}

// OwnFailed: the log is fenced (D3). This broker cannot lead the partition any more.
func (l *Leader) OwnFailed(now time.Time) {
	l.clock(now)
	l.resign(LogFailed)
}

// Ack tells what a follower acknowledged. It reports whether that counts: an acknowledgement of another leader epoch, of
// another incarnation of the follower or of a former subscription does not (D5).
func (l *Leader) Ack(from model.BrokerID, m Ack, now time.Time) bool {
	l.clock(now)
	p := l.peer(from)
	if p == nil || l.ended {
		return false
	}
	bound := m.LeaderEpoch == l.epoch && m.BrokerEpoch == p.epoch && m.Subscription == p.stream.number && p.stream.open
	if !bound && !l.broken.ackByOffset {
		return false
	}
	if l.lost == LogCut { // the follower may have what this log has lost; below that they agree
		m.Own.End, m.Own.Synced = min(m.Own.End, l.own.End), min(m.Own.Synced, l.own.End)
	}
	if m.Own.End > l.own.End || m.Own.Synced > m.Own.End || m.Own.Start > m.Own.End {
		if !l.broken.ackByOffset {
			return false // no follower of this log can be there
		}
		m.Own.End = min(m.Own.End, l.own.End)
		m.Own.Synced = min(m.Own.Synced, l.own.End)
	}
	l.progress(p, m.Own)
	return true
}

// progress takes what a follower has proved to agree with in this epoch. Within one epoch it only grows.
func (l *Leader) progress(p *peer, own Own) {
	p.own = Own{Start: max(p.own.Start, own.Start), End: max(p.own.End, own.End), Synced: max(p.own.Synced, own.Synced)}
	p.evenNow(l.own.End, l.own.End, l.now)
	l.advance()
	l.reconsider()
}

// PartitionChanged tells a state out of the metadata. One that is not newer than what is known changes nothing. After one with other
// replicas, BrokersChanged tells of them.
func (l *Leader) PartitionChanged(s State, now time.Time) {
	l.clock(now)
	if l.ended || s.LeaderEpoch < l.epoch || s.PartitionEpoch <= l.state.PartitionEpoch {
		return
	}
	if s.LeaderEpoch > l.epoch || s.Leader != l.broker {
		l.ended = true
		l.out = LeaderEffects{}
		return
	}
	// Whatever was proposed at an older partition epoch is either this state or will never be one (R3).
	l.asked, l.out.Proposal = proposing{number: l.asked.number}, nil
	l.adopt(s)
	l.advance()
	l.reconsider()
}

// adopt makes the peers those of the state. Those that stay keep their progress.
func (l *Leader) adopt(s State) {
	s.Replicas, s.ISR = slices.Clone(s.Replicas), slices.Clone(s.ISR)
	peers := make([]peer, 0, len(s.Replicas))
	for _, id := range s.Replicas {
		if id == l.broker {
			continue
		}
		p := l.peer(id)
		if p == nil {
			p = newPeer(id)
		}
		p.isr, p.wide = slices.Contains(s.ISR, id), false
		peers = append(peers, *p)
	}
	l.state, l.peers = s, peers
}

func newPeer(id model.BrokerID) *peer {
	return &peer{id: id, epoch: model.NoBrokerEpoch, own: unknown, mark: model.NoOffset}
}

// unknown is the progress of a follower that has acknowledged nothing yet.
var unknown = Own{Start: model.NoOffset, End: model.NoOffset, Synced: model.NoOffset}

// BrokersChanged tells that brokers have registered, or were fenced or unfenced.
func (l *Leader) BrokersChanged(live func(model.BrokerID) (model.BrokerEpoch, bool), now time.Time) {
	l.clock(now)
	for i := range l.peers {
		p := &l.peers[i]
		epoch, up := live(p.id)
		if epoch != p.epoch { // another incarnation: it has to say anew where it is
			p.epoch, p.own, p.stream = epoch, unknown, stream{}
		}
		p.live = up
	}
	l.reconsider()
}

// SessionChanged tells whether the broker has heard of an active controller within its session (R6).
func (l *Leader) SessionChanged(alive bool) {
	l.out.Moved = l.out.Moved || alive && !l.session
	l.session = alive
}

// Configure changes the configuration.
func (l *Leader) Configure(c Config, now time.Time) {
	l.clock(now)
	l.cfg = c
	l.advance()
	l.reconsider()
}

// Tick lets time pass. While Watchful, it is due at least every quarter of the lag time.
func (l *Leader) Tick(now time.Time) {
	l.clock(now)
	if l.ended {
		return
	}
	if l.lost != 0 {
		l.resign(l.lost)
	} else if l.stalled() {
		l.offerResignation(LogStalled)
	}
	l.reconsider()
}

// Take returns what there is to do, once.
func (l *Leader) Take() LeaderEffects {
	out := l.out
	l.out = LeaderEffects{}
	return out
}

// peer finds a replica; nil if it is none, or this broker.
func (l *Leader) peer(id model.BrokerID) *peer {
	for i := range l.peers {
		if l.peers[i].id == id {
			return &l.peers[i]
		}
	}
	return nil
}
