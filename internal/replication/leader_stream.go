package replication

import (
	"time"

	"chronik/internal/invariant"
	"chronik/internal/model"
)

// stream is what flows to one follower.
type stream struct {
	number Subscription // the newest that was asked for; kept when the stream has ended, so that no older one comes back
	open   bool
	next   model.Offset // the first offset that was not sent yet
	credit int          // bytes that may be sent; the last message may overdraw it

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
	p.stream = stream{number: m.Subscription, open: true, next: m.Own.End, credit: m.Credit, toldWatermark: l.watermark, toldStart: l.own.Start}
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
	end := m.Own.End
	if m.LastEpoch == model.NoEpoch { // it holds nothing, so nothing can differ
		if end < l.own.Start || end > l.own.End {
			return Restart{about, l.own.Start}
		}
		return Accepted{Reply: about}
	}
	if end <= l.own.Start { // all that it holds is deleted here, and cannot be compared
		return Restart{about, l.own.Start}
	}
	epoch, until := l.history.EpochEnd(m.LastEpoch)
	until = min(until, l.own.End)
	switch {
	case l.broken.skipTruncation:
		return Accepted{Reply: about}
	case epoch == m.LastEpoch && until >= end:
		return Accepted{Reply: about}
	case epoch == model.NoEpoch || until <= l.own.Start:
		return Restart{about, l.own.Start}
	}
	return Diverged{about, epoch, until}
}

// Next tells what a follower is to be sent: batches from that offset on, if there is credit left. It is false for a follower
// without a stream, for one that was sent everything, and for one that retention has overtaken.
func (l *Leader) Next(to model.BrokerID) (from model.Offset, credit int, ok bool) {
	p := l.peer(to)
	if p == nil || l.ended || !p.stream.open || p.stream.next >= l.own.End || p.stream.next < l.own.Start || p.stream.credit <= 0 {
		return 0, 0, false
	}
	return p.stream.next, p.stream.credit, true
}

// Send makes the message that carries batches from Next's offset to end, and counts them as sent. OwnMoved must have told of them. The
// answer is false if the follower is not to be sent them any more.
func (l *Leader) Send(to model.BrokerID, from, end model.Offset, batches []byte) (Batches, bool) {
	if end > l.own.End {
		invariant.Failf("D5: offsets up to %d are sent, the log ends at %d", end, l.own.End)
	}
	next, _, ok := l.Next(to)
	if !ok || from != next || end <= from {
		return Batches{}, false
	}
	p := l.peer(to)
	p.stream.next, p.stream.credit = end, p.stream.credit-len(batches)
	p.stream.toldWatermark, p.stream.toldStart = l.watermark, l.own.Start
	l.shared = max(l.shared, end)
	return Batches{
		Subscription: p.stream.number, LeaderEpoch: l.epoch, From: from, End: end, Bytes: batches,
		HighWatermark: l.watermark, LogStart: l.own.Start,
	}, true
}

// Watermark makes the message that tells a follower of the watermark and the log start, if it has not heard of them.
func (l *Leader) Watermark(to model.BrokerID) (Watermark, bool) {
	p := l.peer(to)
	if p == nil || l.ended || !p.stream.open || p.stream.toldWatermark == l.watermark && p.stream.toldStart == l.own.Start {
		return Watermark{}, false
	}
	p.stream.toldWatermark, p.stream.toldStart = l.watermark, l.own.Start
	return Watermark{Subscription: p.stream.number, LeaderEpoch: l.epoch, HighWatermark: l.watermark, LogStart: l.own.Start}, true
}

// Overtaken makes the message to a follower whose next batch has been deleted, and ends its stream.
func (l *Leader) Overtaken(by model.BrokerID) (Restart, bool) {
	p := l.peer(by)
	if p == nil || l.ended || !p.stream.open || p.stream.next >= l.own.Start {
		return Restart{}, false
	}
	p.stream.open = false
	return Restart{Reply{p.stream.number, l.epoch, p.epoch}, l.own.Start}, true
}

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
