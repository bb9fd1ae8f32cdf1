package txn

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// decision collects what a request or a timer leads to.
type decision struct {
	m     *Machine
	now   time.Time
	out   shard.Result
	fresh model.ProducerID // that nobody has, for this decision
	needs bool             // such an ID, and has none: what was decided is void
}

func (m *Machine) decide(now time.Time) *decision {
	return &decision{m: m, now: now, out: shard.Result{Sees: model.NoOffset}, fresh: model.NoProducer}
}

func (d *decision) nowMs() int64 { return d.now.UnixMilli() }

func (d *decision) put(id string, v *schema.Transaction) {
	d.out.Records = append(d.out.Records, &schema.TransactionLog{Key: schema.TransactionKey{TransactionalID: id}, Value: v})
}

func (d *decision) timer(k shard.TimerKey, at time.Time) {
	d.out.Timers = append(d.out.Timers, shard.TimerChange{Key: k, At: at, Wall: k.Kind == SweepTimer})
}

func timeoutKey(id string) shard.TimerKey { return shard.TimerKey{Kind: TimeoutTimer, Group: id} }

// take is an ID that nobody has.
func (d *decision) take() model.ProducerID {
	d.needs = d.fresh == model.NoProducer
	return d.fresh
}

// sees makes the reply wait for the last write to an ID.
func (d *decision) sees(id string) {
	if !d.m.txns.Unsettled(id) {
		return
	}
	at := d.m.end - 1 // deleted
	if t, ok := d.m.txns.Get(id); ok {
		at = t.at
	}
	d.out.Sees = max(d.out.Sees, at)
}

func (d *decision) done() shard.Result { return d.out }

// answered ends a decision about an ID that somebody has asked for. If it needs a producer ID, the request is decided anew when there is
// one.
func (d *decision) answered(id string, reply func(error), again func(now time.Time, fresh model.ProducerID) shard.Result) shard.Result {
	if d.needs {
		return shard.Result{Sees: model.NoOffset, Effects: []shard.Effect{NeedProducerID{Resume: again, Refuse: reply}}}
	}
	d.sees(id)
	d.out.Reply = reply
	return d.out
}
