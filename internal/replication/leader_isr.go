package replication

import (
	"time"

	"chronik/internal/model"
)

// Member is a broker in one of its incarnations.
type Member struct {
	Broker model.BrokerID
	Epoch  model.BrokerEpoch
}

// Proposal asks the active controller for another ISR. It commits it only if the partition is at exactly these epochs, and each
// member's registration is at the epoch named and not fenced; the partition epoch grows even where the ISR stays as it is (R3, KIP-497).
type Proposal struct {
	Number         uint64 // of the proposal within the leader epoch
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch int32
	ISR            []Member // in replica order
}

// Outcome is what is known of a proposal.
type Outcome uint8

// The outcomes of a proposal. Only the metadata tells that a proposal will never be committed: a request that was refused, or got no answer,
// may have a twin on its way, so its members count until the partition epoch has grown (R3).
const (
	Unanswered Outcome = iota // no answer, or one that leaves it open
	Declined                  // the controller would not have it
	Committed                 // the state that comes with it has it
)

// Resignation is why a leader wants another one to be elected.
type Resignation uint8

// The reasons to resign.
const (
	_          Resignation = iota
	LogStalled             // its own sync did not move for the lag time (R8); it goes on leading until another is elected
	LogCut                 // its log lost records that followers may have (R2); it appends no more
	LogFailed              // its log is fenced (D3); it appends no more
)

// String names the reason for a log line.
func (r Resignation) String() string {
	switch r {
	case LogStalled:
		return "its disk stands still"
	case LogCut:
		return "its log lost records that were sent already"
	case LogFailed:
		return "its log failed"
	}
	return "none"
}

// proposing is the ISR change in flight.
type proposing struct {
	number    uint64
	waiting   bool      // for an answer
	notBefore time.Time // of the next
}

// clock takes the time. A leader that was not running, or not told anything, for long has heard no acknowledgement either: the
// followers are not to blame for that time (R8). It is half the lag time, so that a Tick each quarter of it never counts as such.
func (l *Leader) clock(now time.Time) {
	gap := now.Sub(l.now)
	if gap <= 0 {
		return
	}
	l.now = now
	if gap <= l.cfg.LagTime/2 {
		return
	}
	l.movedAt = l.movedAt.Add(gap)
	for i := range l.peers {
		p := &l.peers[i]
		p.even, p.markAt = p.even.Add(gap), p.markAt.Add(gap)
	}
}

// evenNow notes that the peer has all that the leader had, or once had (R3). The leader's end goes from before to after now.
func (p *peer) evenNow(before, after model.Offset, now time.Time) {
	switch {
	case p.own.Synced >= before:
		p.even = now
	case p.own.Synced >= p.mark:
		p.even = maxTime(p.even, p.markAt)
	default:
		return
	}
	p.mark, p.markAt = after, now
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lags tells whether a peer is too far behind to be in sync.
func (l *Leader) lags(p *peer) bool {
	if p.own.Synced >= l.own.End {
		return false
	}
	return l.now.Sub(p.even) > l.cfg.LagTime ||
		l.cfg.LagEntries > 0 && int64(l.own.End-max(p.own.Synced, 0)) > l.cfg.LagEntries
}

// mayJoin tells whether a peer outside of the ISR can be elected without loss: it holds, durably, all that is committed, which for a
// new leader may be anything up to its epoch's start (R3). One that would be shrunk away at once is not let in.
func (l *Leader) mayJoin(p *peer) bool {
	if !p.live || !p.stream.open || p.own.Synced < l.watermark {
		return false
	}
	return p.own.Synced >= l.start && !l.lags(p) || l.broken.noEpochStart
}

// reconsider proposes the ISR that should be, if it is not the one that is. One proposal is on its way at a time. If the last one may still
// be committed and is not wanted any more, the present ISR is proposed: committed, it shuts the other out. A leader whose log was cut goes on
// with it: it may be the only member, and then nobody can take over from it before somebody has joined.
func (l *Leader) reconsider() {
	if l.ended || l.lost == LogFailed || l.asked.waiting || l.now.Before(l.asked.notBefore) {
		return
	}
	due := false
	for i := range l.peers {
		p := &l.peers[i]
		if p.isr {
			p.want = !l.lags(p)
		} else {
			p.want = l.mayJoin(p)
		}
		due = due || p.want != p.isr || p.doubtful()
	}
	if due {
		l.propose()
	}
}

// doubtful: outside of the committed ISR, but in one that may still be committed.
func (p *peer) doubtful() bool { return p.wide && !p.isr }

// propose sends the wanted ISR. From here on its members count for the watermark, before the request leaves (R3).
func (l *Leader) propose() {
	l.asked = proposing{number: l.asked.number + 1, waiting: true}
	p := &Proposal{Number: l.asked.number, LeaderEpoch: l.epoch, PartitionEpoch: l.state.PartitionEpoch}
	for _, id := range l.state.Replicas {
		if id == l.broker {
			p.ISR = append(p.ISR, Member{id, l.brokerEpoch})
		} else if f := l.peer(id); f.want {
			f.wide = true
			p.ISR = append(p.ISR, Member{id, f.epoch})
		}
	}
	l.out.Proposal = p
}

// ProposalAnswered tells the outcome of the proposal of that number; the state is read only with Committed. An answer to
// an older proposal changes nothing, unless it brings a newer state.
func (l *Leader) ProposalAnswered(number uint64, o Outcome, s State, now time.Time) {
	l.clock(now)
	if o == Committed {
		l.PartitionChanged(s, now)
	}
	if number == l.asked.number && l.asked.waiting {
		l.asked.waiting, l.asked.notBefore = false, now.Add(l.cfg.Retry)
	}
}

// stalled tells whether the leader's own sync holds everything up while another member could do better (R8).
func (l *Leader) stalled() bool {
	if l.own.Synced >= l.own.End || l.now.Sub(l.movedAt) <= l.cfg.LagTime {
		return false
	}
	for i := range l.peers {
		if p := &l.peers[i]; p.isr && p.live && p.own.Synced >= l.watermark {
			return true
		}
	}
	return false
}

// resign gives up appending in this epoch.
func (l *Leader) resign(why Resignation) {
	if l.lost == 0 || why == LogFailed {
		l.lost = why
	}
	l.offerResignation(l.lost)
}

func (l *Leader) offerResignation(why Resignation) {
	if l.ended || l.now.Before(l.resignAt) {
		return
	}
	l.out.Resign, l.resignAt = why, l.now.Add(l.cfg.Retry)
}

// Watchful tells whether time matters: somebody is behind, or something waits for an answer.
func (l *Leader) Watchful() bool {
	if l.ended {
		return false
	}
	if l.lost != 0 || l.own.Synced < l.own.End {
		return true
	}
	for i := range l.peers {
		if p := &l.peers[i]; p.own.Synced < l.own.End || p.doubtful() || !p.isr && p.stream.open {
			return true
		}
	}
	return false
}
