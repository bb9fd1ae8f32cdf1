package txn

import (
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// Describe shows what is known of a transactional ID.
func (m *Machine) Describe(now time.Time, id string, reply func(Description)) shard.Result {
	out := Description{TransactionalID: id, Producer: noProducer, StartMs: schema.NoTime}
	t, ok := m.txns.Get(id)
	switch {
	case id == "":
		out.Err = ErrInvalidRequest
	case !ok:
		out.Err = ErrTransactionalIDNotFound
	default:
		out.Producer, out.State, out.TimeoutMs, out.StartMs = t.producer(), t.Status, t.TimeoutMs, t.StartTimestamp
		out.Partitions = unpack(t.Partitions)
		if s := m.soft[id]; s != nil && ending(t.Status) {
			out.Partitions = slices.DeleteFunc(out.Partitions, func(tp model.TopicPartition) bool { return !s.left[tp] })
		}
	}
	return m.decide(now).answered(id, func(err error) {
		if err != nil {
			out = Description{TransactionalID: id, Err: err, Producer: noProducer, StartMs: schema.NoTime}
		}
		reply(out)
	}, nil)
}

// List shows the transactional IDs that pass the filters, in order.
func (m *Machine) List(now time.Time, r ListRequest, reply func(ListReply)) shard.Result {
	d := m.decide(now)
	var out ListReply
	states := make(map[State]bool)
	for _, name := range r.States {
		if s, ok := schema.TransactionStatusNamed(name); ok {
			states[s] = true
		} else {
			out.Unknown = append(out.Unknown, name)
		}
	}
	producers := make(map[model.ProducerID]bool)
	for _, p := range r.Producers {
		producers[p] = true
	}
	for _, id := range m.ids() {
		t, _ := m.txns.Get(id)
		if len(r.States) > 0 && !states[t.Status] || len(r.Producers) > 0 && !producers[t.ProducerID] ||
			r.DurationMs >= 0 && d.nowMs()-t.StartTimestamp <= r.DurationMs || r.Pattern != nil && !r.Pattern.MatchString(id) {
			continue
		}
		d.sees(id)
		out.Transactions = append(out.Transactions, Listed{id, t.ProducerID, t.Status})
	}
	return d.answered("", func(err error) {
		if err != nil {
			out = ListReply{Err: err}
		}
		reply(out)
	}, nil)
}
