package replication

import (
	"time"

	"chronik/internal/model"
)

// Answer takes the leader's answer to a Subscribe, or the Restart that it may send later. An answer to anything but the present
// question changes nothing: it was found for a log that is not this one any more.
func (f *Follower) Answer(a Answer, now time.Time) {
	about := a.About()
	if f.number == 0 || about != (Reply{f.number, f.epoch, f.opts.BrokerEpoch}) {
		return
	}
	_, restart := a.(Restart)
	if f.phase != subscribing && !(restart && f.phase == streaming) {
		return
	}
	switch m := a.(type) {
	case Accepted:
		f.accepted(m, now)
	case Diverged:
		f.diverged(m, now)
	case Restart:
		f.restart(m, now)
	default: // Refused: the metadata will tell, or time will
		f.later(now)
	}
}

func (f *Follower) accepted(m Accepted, now time.Time) {
	if m.From != f.own.End {
		f.subscribe(now) // the log has been cut since it was asked for
		return
	}
	f.phase, f.out.Grant = streaming, f.held
	f.hear(m.HighWatermark, m.LogStart)
}

// diverged cuts the log where the epochs part, as far as the two histories tell (KIP-101, KIP-279). Above EndOffset the leader has
// only epochs that this log does not; above its own end of the largest epoch up to Epoch this log has only ones that the leader
// does not. So neither cut takes anything that both have, and what is left ends in an older epoch than before, or earlier in the same one: asking
// again comes to an end.
func (f *Follower) diverged(m Diverged, now time.Time) {
	last := f.lastEpoch()
	to := m.EndOffset
	if m.Epoch < last {
		_, end := f.opts.History.EpochEnd(m.Epoch)
		to = min(to, end)
	}
	if m.Epoch < 0 || m.Epoch > last || to < 0 || to >= f.own.End {
		f.later(now) // no leader answers that
		return
	}
	f.cut(Truncate{To: to, Committed: to < f.Watermark()})
}

// restart drops the log, all of which lies below the leader's start. What the leader has deleted was committed. An empty log may
// have to begin a little lower, where a batch does.
func (f *Follower) restart(m Restart, now time.Time) {
	if m.LogStart < 0 {
		f.later(now)
		return
	}
	f.cut(Truncate{To: m.LogStart, All: true, Committed: f.own.Start < f.own.End && m.LogStart < f.Watermark()})
}

func (f *Follower) cut(t Truncate) {
	f.forget()
	f.phase, f.cutNow, f.number, f.out.Truncate = cutting, true, 0, &t
}

// Truncated tells that the log was cut, and the state that it is in, which may be shorter than was asked for. The leader, by now perhaps
// another one, is asked from there.
func (f *Follower) Truncated(own Own, now time.Time) {
	if !f.cutNow {
		return
	}
	f.cutNow = false
	f.own = own
	f.watermark = max(own.Start, min(f.watermark, own.End))
	f.forget()
	if f.leader == model.NoBroker {
		f.phase = idle
		return
	}
	f.subscribe(now)
}

// Batches tells whether the batches are to be appended, now, in this order. What belongs to another subscription or epoch, or was there before,
// is not; after a hole the leader is asked again.
func (f *Follower) Batches(m Batches, now time.Time) bool {
	if !f.streams(m.Subscription, m.LeaderEpoch) || m.From < f.next || m.End <= m.From {
		return false
	}
	if m.From > f.next {
		f.subscribe(now)
		return false
	}
	f.next = m.End
	f.window.take(m.End, len(m.Bytes))
	f.hear(m.HighWatermark, m.LogStart)
	return true
}

// HearWatermark takes the leader's word on the watermark and the log start.
func (f *Follower) HearWatermark(m Watermark) {
	if f.streams(m.Subscription, m.LeaderEpoch) {
		f.hear(m.HighWatermark, m.LogStart)
	}
}

func (f *Follower) streams(n Subscription, epoch model.LeaderEpoch) bool {
	return f.phase == streaming && (n == f.number && epoch == f.epoch || f.broken.batchesByOffset)
}

func (f *Follower) hear(watermark, start model.Offset) {
	f.told.HighWatermark = max(f.told.HighWatermark, watermark)
	f.told.LogStart = max(f.told.LogStart, start)
	f.follow()
}

// follow brings the watermark and the log start to where the leader's are, as far as the log goes. The log agrees with the leader's as long as
// it streams; what it holds otherwise is not vouched for.
func (f *Follower) follow() {
	if f.phase != streaming {
		return
	}
	if to := min(f.told.HighWatermark, f.own.End); to > f.watermark {
		f.watermark, f.out.Moved = to, true
	}
	if to := min(f.told.LogStart, f.watermark); to > f.own.Start {
		f.out.DeleteTo = to
	}
}

// Ack makes the acknowledgement of what has moved since the last one.
func (f *Follower) Ack() (Ack, bool) {
	if !f.AckDue() {
		return Ack{}, false
	}
	f.acked = f.own
	return Ack{Subscription: f.number, LeaderEpoch: f.epoch, BrokerEpoch: f.opts.BrokerEpoch, Own: f.own}, true
}

// AckDue tells whether the leader has to hear of the follower's log. That it has grown alone is not worth a message: the leader counts
// what is durable, and hears of the end with that.
func (f *Follower) AckDue() bool {
	return f.phase == streaming && (f.own.Synced != f.acked.Synced || f.own.Start != f.acked.Start || f.own.End < f.acked.End)
}

// Credit makes the message that gives the leader back the bytes that have become durable.
func (f *Follower) Credit() (Credit, bool) { return f.Give(f.Due()) }

// Due is how many bytes may be given, if it is worth a message.
func (f *Follower) Due() int {
	if f.phase != streaming || !f.held && !f.window.due() {
		return 0
	}
	return f.window.free
}

// Give is Credit for some of what is due.
func (f *Follower) Give(bytes int) (Credit, bool) {
	if bytes = min(bytes, f.Due()); bytes <= 0 {
		return Credit{}, false
	}
	f.window.free -= bytes
	return Credit{Subscription: f.number, Bytes: bytes}, true
}
