package replication

import (
	"time"

	"chronik/internal/invariant"
	"chronik/internal/model"
)

// FollowerOptions says what a Follower belongs to.
type FollowerOptions struct {
	TopicID     model.TopicID
	Partition   int32
	Broker      model.BrokerID // this one
	BrokerEpoch model.BrokerEpoch
	History     History
	// Number returns a subscription number above all that it returned before in this incarnation of the broker. The first is above 0.
	Number func() Subscription
	Window int // bytes that may be on their way, or written and not yet synced
	// Retry is the time after a refusal, or the loss of the link, until the leader is asked again; Patience that after a question that
	// was not answered, longer than any round trip.
	Retry, Patience time.Duration
	// Watermark is what this broker knew of the partition before: as its leader, or written down.
	Watermark model.Offset
}

// phase is what a Follower is waiting for.
type phase uint8

const (
	idle        phase = iota // a leader
	subscribing              // an answer, or the time to ask again
	cutting                  // its own log to be cut
	streaming                // batches
)

// Follower follows one partition's leaders, one after the other.
type Follower struct {
	opts   FollowerOptions
	broken broken

	phase   phase
	epoch   model.LeaderEpoch
	leader  model.BrokerID
	number  Subscription // of the newest question
	retryAt time.Time
	cutNow  bool // the shell is cutting the log, perhaps on behalf of a leader that is gone

	own       Own
	next      model.Offset // where the next message must go on: the end of the log, and of what was accepted for it
	watermark model.Offset
	told      Watermark // what the present leader last said
	acked     Own       // what it was last told
	window    window
	held      bool // all credit is given with Give

	out FollowerEffects
}

// FollowerEffects is what a Follower wants done.
type FollowerEffects struct {
	// Subscribe, if not nil, goes to the leader.
	Subscribe *Subscribe
	// Truncate, if not nil, is to be done to the log, durably, and then told with Truncated. Nothing is appended before.
	Truncate *Truncate
	// DeleteTo, if not 0, is where the log start may go: the leader's is there.
	DeleteTo model.Offset
	// Moved: the watermark is higher than before; readers of this replica want to know.
	Moved bool
	// Grant: Due may have credit to give, although nothing has moved.
	Grant bool
}

// Truncate says how to cut the log.
type Truncate struct {
	To model.Offset
	// All: everything goes, and the log begins anew, empty, at To, which may lie beyond its end.
	All bool
	// Committed: what goes was committed as far as this replica knows. Only an unclean election leads to that: say it loudly.
	Committed bool
}

// NewFollower makes a Follower that has not heard of a leader.
func NewFollower(o FollowerOptions) *Follower {
	return &Follower{opts: o, epoch: model.NoEpoch, leader: model.NoBroker, watermark: max(0, o.Watermark)}
}

// Follow tells who leads now, and the present state of the log. An epoch that is not newer than the known one changes nothing. If
// there is no leader (model.NoBroker), it waits for one.
func (f *Follower) Follow(leader model.BrokerID, epoch model.LeaderEpoch, own Own, now time.Time) {
	if epoch <= f.epoch {
		return
	}
	f.leader, f.epoch = leader, epoch
	f.number, f.out.Subscribe = 0, nil
	if f.out.Truncate != nil { // nobody has begun with it
		f.out.Truncate, f.cutNow = nil, false
	}
	if !f.cutNow {
		f.own = own
	}
	f.forget()
	switch {
	case f.cutNow: // Truncated asks the new leader
		f.phase = cutting
	case leader == model.NoBroker:
		f.phase = idle
	default:
		f.subscribe(now)
	}
}

// Registered tells that this broker has registered again, without having restarted.
func (f *Follower) Registered(epoch model.BrokerEpoch, now time.Time) {
	f.opts.BrokerEpoch = epoch
	if f.phase == streaming || f.phase == subscribing {
		f.forget()
		f.subscribe(now)
	}
}

// forget drops what was heard in a subscription. The watermark stays what it was proved to be.
func (f *Follower) forget() {
	f.watermark = min(f.watermark, f.own.End)
	f.told = Watermark{HighWatermark: f.watermark}
	f.out.DeleteTo = 0
}

// subscribe asks the leader, from the end of the log.
func (f *Follower) subscribe(now time.Time) {
	f.phase, f.number, f.retryAt = subscribing, f.opts.Number(), now.Add(f.opts.Patience)
	f.next, f.acked = f.own.End, f.own
	f.window = window{size: f.opts.Window}
	credit := f.opts.Window
	if f.held {
		credit, f.window.free = 0, credit
	}
	f.out.Subscribe = &Subscribe{
		TopicID: f.opts.TopicID, Partition: f.opts.Partition, Subscription: f.number, LeaderEpoch: f.epoch,
		Broker: f.opts.Broker, BrokerEpoch: f.opts.BrokerEpoch, Own: f.own, LastEpoch: f.lastEpoch(), Credit: credit,
	}
}

func (f *Follower) lastEpoch() model.LeaderEpoch {
	if f.own.Start == f.own.End {
		return model.NoEpoch
	}
	return f.opts.History.LastEpoch()
}

// Hold has the leader send nothing but what it is given credit for bit by bit, with Give, as a throttle lets it (KIP-73); or not any more.
func (f *Follower) Hold(on bool) {
	if on != f.held {
		f.held, f.out.Grant = on, f.phase == streaming
	}
}

// later gives the present subscription up and asks again after a while.
func (f *Follower) later(now time.Time) {
	f.forget()
	f.phase, f.number, f.retryAt, f.out.Subscribe = subscribing, 0, now.Add(f.opts.Retry), nil
}

// OwnMoved tells the present state of the log.
func (f *Follower) OwnMoved(own Own, now time.Time) {
	switch {
	case f.phase == cutting:
		return // Truncated will tell what is left
	case f.phase == streaming && own.End > f.next:
		invariant.Failf("D5: the follower's log ends at %d, but only offsets below %d were accepted for it", own.End, f.next)
	case own.End < f.own.End: // appends failed, for want of space, and left the log
		f.own = own
		if f.phase == idle { // there is nobody to ask
			f.forget()
			return
		}
		f.later(now)
		return
	}
	f.own = own
	f.window.release(own.Synced)
	f.follow()
}

// AppendFailed tells that batches which Batches accepted did not get into the log, and the state that it is in.
func (f *Follower) AppendFailed(own Own, now time.Time) {
	if f.phase == cutting {
		return
	}
	f.own = own
	if f.phase == streaming {
		f.later(now)
	}
}

// LinkLost tells that the connection to the leader is gone, before anything is sent over the next one.
func (f *Follower) LinkLost(now time.Time) {
	if f.phase == streaming || f.phase == subscribing {
		f.later(now)
	}
}

// Tick lets time pass.
func (f *Follower) Tick(now time.Time) {
	if f.phase == subscribing && !now.Before(f.retryAt) {
		f.subscribe(now)
	}
}

// Take returns what there is to do, once.
func (f *Follower) Take() FollowerEffects {
	out := f.out
	f.out = FollowerEffects{}
	return out
}

// Watermark is the highest watermark that the leader told of, as far as this log goes: what it may serve (KIP-392), and what a leader
// made from it begins with.
func (f *Follower) Watermark() model.Offset { return min(f.watermark, f.own.End) }

// Leader is who is followed, in which epoch.
func (f *Follower) Leader() (model.BrokerID, model.LeaderEpoch) { return f.leader, f.epoch }

// Streaming tells whether the log agrees with the leader's and follows it.
func (f *Follower) Streaming() bool { return f.phase == streaming }
