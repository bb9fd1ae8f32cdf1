package group

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// What timers are for.
const (
	SessionTimer   shard.TimerKind = iota // a member's session
	JoinTimer                             // a group's rebalance, or the delay before its first
	SyncTimer                             // members that joined are to sync
	SweepTimer                            // expired offsets and groups
	PurgeTimer                            // offsets of topics that are gone
	RebalanceTimer                        // a member of the new protocol is to give up partitions
	AssignTimer                           // a new streams group has waited for members
)

// decision collects what a request or a timer leads to.
type decision struct {
	m       *Machine
	now     time.Time
	out     shard.Result
	answers []func(error)
}

func (m *Machine) decide(now time.Time) *decision {
	return &decision{m: m, now: now, out: shard.Result{Sees: model.NoOffset}}
}

func (d *decision) record(r ...schema.Record) { d.out.Records = append(d.out.Records, r...) }

func (d *decision) answer(f func(error)) { d.answers = append(d.answers, f) }

func (d *decision) timer(k shard.TimerKey, at time.Time) {
	d.out.Timers = append(d.out.Timers, shard.TimerChange{Key: k, At: at, Wall: k.Kind == SweepTimer})
}

// sees makes the reply wait for the last write to a group.
func (d *decision) sees(g *group) {
	if g != nil && g.wrote >= d.m.log.Watermark() {
		d.out.Sees = max(d.out.Sees, min(g.wrote, d.m.end-1))
	}
}

// group finds a group, and makes up for what the log has refused of it; nil: there is none.
func (d *decision) group(id string) *group {
	g := d.m.lookup(id)
	if g != nil {
		d.mend(g)
	}
	return g
}

// opened is as group, and makes one if there is none.
func (d *decision) opened(id string) *group {
	g := d.m.open(id)
	d.mend(g)
	return g
}

// done ends a decision about a group, which may be nil.
func (d *decision) done(g *group) shard.Result {
	if d.sees(g); g != nil {
		d.m.tidy(g)
	}
	if answers := d.answers; len(answers) > 0 {
		d.out.Reply = func(err error) {
			for _, f := range answers {
				f(err)
			}
		}
	}
	return d.out
}

// told answers with a reply, or with what it is if the log has refused what it says.
func told[Reply interface{ failed(error) Reply }](d *decision, reply func(Reply), out Reply) {
	d.answer(func(err error) {
		if err != nil {
			out = out.failed(err)
		}
		reply(out)
	})
}

// failed is a JoinReply with an error.
func failed(member string, err error) JoinReply {
	return JoinReply{Err: err, Generation: -1, Member: member}
}

func (r JoinReply) failed(err error) JoinReply { return failed(r.Member, err) }
func (r SyncReply) failed(err error) SyncReply { return SyncReply{Err: err} }
func (r CommitReply) failed(err error) CommitReply {
	return CommitReply{Err: err, Offsets: make([]error, len(r.Offsets))}
}
func (r ConsumerHeartbeatReply) failed(err error) ConsumerHeartbeatReply {
	return ConsumerHeartbeatReply{Err: err}
}
func (r StreamsHeartbeatReply) failed(err error) StreamsHeartbeatReply {
	return StreamsHeartbeatReply{Err: err}
}
