package group

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// Result is what was decided.
type Result struct {
	Records []schema.Record // one batch, all or none
	// Reply answers everybody that the decision answers. It is called once: with nil when the records are settled, or without
	// records when Sees is; with an error if that will not be known. nil: nobody asked.
	Reply  func(error)
	Sees   model.Offset // the last record that the reply depends on, model.NoOffset: none that is not settled
	Timers []TimerChange
}

// TimerKind is what a timer is for.
type TimerKind uint8

// The timers.
const (
	SessionTimer TimerKind = iota // a member's session
	JoinTimer                     // a group's rebalance, or the delay before its first
	SyncTimer                     // members that joined are to sync
	SweepTimer                    // expired offsets and groups
	PurgeTimer                    // offsets of topics that are gone
)

// TimerKey is a timer's identity. A timer that is set again is moved.
type TimerKey struct {
	Kind   TimerKind
	Group  string
	Member string
}

// TimerChange sets a timer; the zero time takes it away.
type TimerChange struct {
	Key TimerKey
	At  time.Time
}

// decision collects what a request or a timer leads to.
type decision struct {
	m       *Machine
	now     time.Time
	out     Result
	answers []func(error)
}

func (m *Machine) decide(now time.Time) *decision {
	return &decision{m: m, now: now, out: Result{Sees: model.NoOffset}}
}

func (d *decision) record(r ...schema.Record) { d.out.Records = append(d.out.Records, r...) }

func (d *decision) answer(f func(error)) { d.answers = append(d.answers, f) }

func (d *decision) timer(k TimerKey, at time.Time) {
	d.out.Timers = append(d.out.Timers, TimerChange{k, at})
}

// sees makes the reply wait for the last write to a group.
func (d *decision) sees(g *group) {
	if g != nil && d.m.saved.Unsettled(g.id) {
		d.out.Sees = max(d.out.Sees, min(g.wrote, d.m.end-1))
	}
}

// done ends a decision about a group, which may be nil.
func (d *decision) done(g *group) Result {
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
