package replication

import (
	"time"

	"chronik/internal/invariant"
	"chronik/internal/model"
	"chronik/internal/record"
)

// stream is what flows to one follower.
type stream struct {
	number Subscription // the newest that was asked for; kept when the stream has ended, so that no older one comes back
	open   bool
	next   model.Offset // the first offset that was not sent yet
	credit int          // bytes that may be sent; the last message may overdraw it
	empty  bool         // the follower held nothing when it asked

	anew, straddles model.Offset // the batch that holds next begins at anew, below next; straddles is next then, else 0

	toldWatermark, toldStart model.Offset
}

// Subscribe answers a follower. No answer (nil) is due to a question that the follower has given up on.
func (l *Leader) Subscribe(m Subscribe, now time.Time) Answer {
	l.clock(now)
	about := Reply{Subscription: m.Subscription, LeaderEpoch: m.LeaderEpoch, BrokerEpoch: m.BrokerEpoch}
	p := l.peer(m.Broker)
	if why := l.refusal(p, &m); why != 0 {
		return Refused{Reply: about, Reason: why, Current: l.epoch}
	}
	if m.Subscription <= p.stream.number {
		return nil
	}
	p.stream = stream{number: m.Subscription}
	answer := l.compare(about, &m)
	if _, ok := answer.(Accepted); !ok {
		return answer
	}
	p.stream = stream{
		number: m.Subscription, open: true, next: m.Own.End, credit: m.Credit, empty: m.LastEpoch == model.NoEpoch,
		toldWatermark: l.watermark, toldStart: l.own.Start,
	}
	p.own.End, l.shared = m.Own.End, max(l.shared, m.Own.End)
	l.progress(p, m.Own) // its log agrees with ours up to its end, so what it has synced counts
	return Accepted{Reply: about, From: m.Own.End, HighWatermark: l.watermark, LogStart: l.own.Start}
}

// refusal is why a subscription is not even looked at (R1); 0 if there is no reason.
func (l *Leader) refusal(p *peer, m *Subscribe) Refusal {
	switch {
	case m.LeaderEpoch < l.epoch:
		return FencedLeaderEpoch
	case m.LeaderEpoch > l.epoch:
		return UnknownLeaderEpoch
	case l.ended || l.lost == LogFailed: // such a log must not have others thrown away; one that was cut still knows what it holds
		return NotLeading
	case p == nil:
		return NotReplica
	case m.BrokerEpoch < p.epoch:
		return FencedBrokerEpoch
	case m.BrokerEpoch > p.epoch:
		return UnknownBrokerEpoch
	case m.Own.Start < 0 || m.Own.End < m.Own.Start || m.Own.Synced > m.Own.End || m.LastEpoch > l.epoch:
		return BadSubscribe
	}
	return 0
}

// compare finds where the follower's log and the leader's part (R2).
func (l *Leader) compare(about Reply, m *Subscribe) Answer {
	end, first := m.Own.End, l.first()
	if m.LastEpoch == model.NoEpoch { // it holds nothing, so nothing can differ
		if end < first || end > l.own.End {
			return Restart{about, first}
		}
		return Accepted{Reply: about}
	}
	if end <= l.own.Start { // all that it holds is deleted here, and cannot be compared
		return Restart{about, first}
	}
	epoch, until := l.history.EpochEnd(m.LastEpoch)
	until = min(until, l.own.End)
	switch {
	case l.broken.skipTruncation:
		return Accepted{Reply: about}
	case epoch == m.LastEpoch && until >= end:
		return Accepted{Reply: about}
	case epoch == model.NoEpoch || until <= l.own.Start:
		return Restart{about, first}
	}
	return Diverged{about, epoch, until}
}

// first is where a follower begins that holds nothing: at the log start, or, if records were deleted up to an offset inside of a batch,
// at that batch's base offset as soon as that is known. The batch is kept as long as any of it is, and a log takes whole ones only.
func (l *Leader) first() model.Offset {
	if b := l.straddling; b.base < l.own.Start && l.own.Start < b.end {
		return b.base
	}
	return l.own.Start
}

// Next tells what a follower is to be sent: batches from that offset on, if there is credit left. It is false for a follower
// without a stream, for one that was sent everything, and for one that Overtaken has something for.
func (l *Leader) Next(to model.BrokerID) (from model.Offset, credit int, ok bool) {
	p := l.peer(to)
	if p == nil || l.ended || !p.stream.open || p.stream.next >= l.own.End || p.stream.credit <= 0 || l.restarts(p) {
		return 0, 0, false
	}
	return p.stream.next, p.stream.credit, true
}

// Send makes the message that carries batches from Next's offset to end, and counts them as sent. OwnMoved must have told of them. The
// answer is false if the follower is not to be sent them any more, or has to begin anew first: Overtaken tells.
func (l *Leader) Send(to model.BrokerID, from, end model.Offset, batches []byte) (Batches, bool) {
	if end > l.own.End {
		invariant.Failf("D5: offsets up to %d are sent, the log ends at %d", end, l.own.End)
	}
	next, _, ok := l.Next(to)
	if !ok || from != next || end <= from {
		return Batches{}, false
	}
	p := l.peer(to)
	if p.stream.empty && l.straddle(p, batches) {
		return Batches{}, false
	}
	p.stream.next, p.stream.credit, p.stream.empty = end, p.stream.credit-len(batches), false
	p.stream.toldWatermark, p.stream.toldStart = l.watermark, l.own.Start
	l.shared = max(l.shared, end)
	return Batches{
		Subscription: p.stream.number, LeaderEpoch: l.epoch, From: from, End: end, Bytes: batches,
		HighWatermark: l.watermark, LogStart: l.own.Start,
	}, true
}

// straddle tells whether the first batch that an empty follower is to be sent begins below the follower's end, which the follower's log
// would refuse for ever. Either the log start lies inside of that batch, or the follower's did when its last batch was cut off. It begins anew
// at the batch's base offset then.
func (l *Leader) straddle(p *peer, batches []byte) bool {
	b, _, err := record.Next(batches)
	if err != nil {
		return false
	}
	at, next := extent{b.BaseOffset(), b.LastOffset() + 1}, p.stream.next
	if at.base >= next || at.end <= next || at.base < 0 {
		return false
	}
	if at.base < l.own.Start {
		l.straddling = at
	}
	p.stream.anew, p.stream.straddles = at.base, next
	return true
}

// extent is from where to where a batch goes.
type extent struct{ base, end model.Offset }

// Watermark makes the message that tells a follower of the watermark and the log start, if it has not heard of them.
func (l *Leader) Watermark(to model.BrokerID) (Watermark, bool) {
	p := l.peer(to)
	if p == nil || l.ended || !p.stream.open || p.stream.toldWatermark == l.watermark && p.stream.toldStart == l.own.Start {
		return Watermark{}, false
	}
	p.stream.toldWatermark, p.stream.toldStart = l.watermark, l.own.Start
	return Watermark{Subscription: p.stream.number, LeaderEpoch: l.epoch, HighWatermark: l.watermark, LogStart: l.own.Start}, true
}

// Overtaken makes the message to a follower whose next batch has been deleted, or begins below where it is, and ends its stream.
func (l *Leader) Overtaken(by model.BrokerID) (Restart, bool) {
	p := l.peer(by)
	if p == nil || l.ended || !p.stream.open || !l.restarts(p) {
		return Restart{}, false
	}
	to := l.first()
	if p.stream.straddles > 0 {
		to = max(p.stream.anew, to)
	}
	p.stream.open = false
	return Restart{Reply{p.stream.number, l.epoch, p.epoch}, to}, true
}

// restarts tells whether a follower cannot go on where it is.
func (l *Leader) restarts(p *peer) bool { return p.stream.straddles > 0 || p.stream.next < l.first() }

// Grant gives a stream more credit.
func (l *Leader) Grant(from model.BrokerID, m Credit) {
	if p := l.peer(from); p != nil && p.stream.open && p.stream.number == m.Subscription && m.Bytes > 0 {
		p.stream.credit += m.Bytes
	}
}

// LinkLost tells that the connection is gone over which a follower had that subscription. What it acknowledged stays true. The
// follower may have come back over another one in the meantime: a newer subscription goes on.
func (l *Leader) LinkLost(to model.BrokerID, n Subscription) {
	if p := l.peer(to); p != nil && p.stream.number == n {
		p.stream.open = false
	}
}

// Progress is what is known of one follower, for metrics and for choosing a replica to read from.
type Progress struct {
	Broker    model.BrokerID
	InSync    bool
	Live      bool
	Streaming bool
	Own       Own           // model.NoOffset where it is not known in this epoch
	Sent      model.Offset  // one past the last offset sent; 0 without a stream
	Lag       time.Duration // since its synced offset last reached what was the leader's end then
}

// Followers lists the progress of the followers in replica order.
func (l *Leader) Followers(now time.Time) []Progress {
	out := make([]Progress, 0, len(l.peers))
	for i := range l.peers {
		p := &l.peers[i]
		f := Progress{Broker: p.id, InSync: p.isr, Live: p.live, Streaming: p.stream.open, Own: p.own, Sent: p.stream.next}
		if p.own.Synced < l.own.End && !p.even.IsZero() {
			f.Lag = max(0, now.Sub(p.even))
		}
		out = append(out, f)
	}
	return out
}
