package sim

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// idTime is how long it takes to get a producer ID, at most.
const idTime = 20 * time.Millisecond

// joinRequest asks for partitions to be part of a transaction, or whether they are (AddPartitionsToTxn, AddOffsetsToTxn).
type joinRequest struct {
	txn.AddRequest
	add bool
}

// endRequest ends a transaction (EndTxn). deal is for the books only.
type endRequest struct {
	txn.EndRequest
	deal *deal
}

func (w *world) txnConfig() txn.Config {
	return txn.Config{MaxTimeoutMs: 60_000, Expiration: 7 * 24 * time.Hour, SweepEvery: 10 * time.Second, Version: w.trades.version}
}

func (s *seat) decideTxn(m *txn.Machine, now time.Time, body any, answer func(any, error)) shard.Result {
	w := s.r.n.w
	switch q := body.(type) {
	case txn.InitRequest:
		return m.InitProducerID(now, q, func(o txn.InitReply) {
			if p := o.Producer; o.Err == nil {
				w.trades.newest[p.ID] = max(w.trades.newest[p.ID], p.Epoch)
			}
			answer(o, o.Err)
		})
	case joinRequest:
		if q.add {
			return m.AddPartitions(now, q.AddRequest, func(err error) { answer(txn.VerifyReply{Err: err}, err) })
		}
		return m.Verify(now, q.AddRequest, func(o txn.VerifyReply) {
			if o.Err == nil {
				o.Err = o.Partitions[0]
			}
			answer(o, o.Err)
		})
	case endRequest:
		return m.EndTxn(now, q.EndRequest, func(o txn.EndReply) {
			w.trades.promised(w, q.deal, o.Err)
			answer(o, o.Err)
		})
	}
	panic("not a request")
}

// effect does what a coordinator of transactions wants done elsewhere.
func (s *seat) effect(e shard.Effect) {
	n := s.r.n
	switch e := e.(type) {
	case *txn.Markers:
		n.carry(s, e)
	case txn.NeedProducerID:
		n.after(n.w.between(0, idTime), func() {
			switch {
			case s.over:
				e.Refuse(shard.ErrNotCoordinator)
			case !n.w.calm && n.w.one(20):
				e.Refuse(refusal(notAvailable)) // who gives out IDs is not there
			default:
				n.w.trades.ids++
				id := 2000 + n.w.trades.ids
				s.shard.Do(n.now(), func(now time.Time) shard.Result { return e.Resume(now, id) }, e.Refuse)
			}
		})
	}
}

// early sends the markers of what is about to be written, for a coordinator that is broken on purpose.
func (s *seat) early(b record.Batch) {
	for _, rec := range s.r.n.w.trades.written[b.CRC()] {
		v := rec.Value
		if v == nil || ending(v.Status) == undecided {
			continue
		}
		m := &txn.Markers{TransactionalID: rec.Key.TransactionalID, Producer: txn.Producer{ID: v.ProducerID, Epoch: v.ProducerEpoch},
			Version: v.ClientVersion, Commit: ending(v.Status) == visible}
		for _, t := range v.Partitions {
			for _, num := range t.Partitions {
				m.Partitions = append(m.Partitions, model.TopicPartition{Topic: t.Topic, Partition: num})
			}
		}
		s.r.n.carry(s, m)
	}
}

// underWay tells whether a transaction is open, or being ended, that the seat coordinates.
func (s *seat) underWay() (open, ends bool) {
	w := s.r.n.w
	if s.r.topic != schema.Transactions.Name || s.shard == nil {
		return false, false
	}
	for id, v := range w.trades.states { // in whatever order
		if w.coordinatorOf(s.r.topic, id) == s.r.num {
			open, ends = open || v.Status == schema.TxnOngoing, ends || ending(v.Status) != undecided
		}
	}
	return open, ends
}
