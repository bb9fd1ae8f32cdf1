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

// failed is a JoinReply with an error.
func failed(member string, err error) JoinReply {
	return JoinReply{Err: err, Generation: -1, Member: member}
}

func (d *decision) joined(f func(JoinReply), r JoinReply) {
	d.answer(func(err error) {
		if err != nil {
			r = failed(r.Member, err)
		}
		f(r)
	})
}

func (d *decision) synced(f func(SyncReply), r SyncReply) {
	d.answer(func(err error) {
		if err != nil {
			r = SyncReply{Err: err}
		}
		f(r)
	})
}
