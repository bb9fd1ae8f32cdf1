package txn

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// InitProducerID gives a transactional ID to a producer: with a higher epoch than whoever had it, or another ID if there is none. A
// transaction that is open is aborted first, and the producer told to ask again. A producer that comes with what it has (KIP-360) is
// recognised when it repeats itself, and fenced if somebody else has come since.
func (m *Machine) InitProducerID(now time.Time, r InitRequest, reply func(InitReply)) shard.Result {
	return m.initProducerID(now, model.NoProducer, r, reply)
}

func (m *Machine) initProducerID(now time.Time, fresh model.ProducerID, r InitRequest, reply func(InitReply)) shard.Result {
	d := m.decide(now)
	d.fresh = fresh
	p, err := d.init(&r)
	refuse := func(err error) { reply(InitReply{Err: err, Producer: noProducer}) }
	if err == ErrConcurrentTransactions && r.Wait > 0 && !d.needs {
		return d.hold(r.TransactionalID, r.Wait, func(now time.Time, wait time.Duration) shard.Result {
			r.Wait = wait
			return m.initProducerID(now, model.NoProducer, r, reply)
		}, refuse)
	}
	answer := func(failed error) {
		switch {
		case failed != nil:
			refuse(failed)
		case err != nil:
			refuse(err)
		default:
			reply(InitReply{Producer: p})
		}
	}
	return d.answered(r.TransactionalID, answer, func(now time.Time, id model.ProducerID) shard.Result {
		return m.initProducerID(now, id, r, reply)
	})
}

func (d *decision) init(r *InitRequest) (Producer, error) {
	switch {
	case r.TransactionalID == "":
		return noProducer, ErrInvalidRequest
	case r.TimeoutMs <= 0 || r.TimeoutMs > d.m.Config.MaxTimeoutMs:
		return noProducer, ErrInvalidTimeout
	}
	t, ok := d.m.txns.Get(r.TransactionalID)
	if !ok {
		p := Producer{ID: d.take()}
		if d.needs {
			return noProducer, nil
		}
		d.put(r.TransactionalID, created(p.ID, r.TimeoutMs, d.nowMs()))
		return p, nil
	}
	replaced := d.m.replacedEpoch(r.TransactionalID, t)
	if r.Expected != nil && !t.expects(*r.Expected, replaced) {
		return noProducer, ErrProducerFenced
	}
	switch {
	case ending(t.Status):
		return noProducer, ErrConcurrentTransactions
	case t.Status == schema.TxnOngoing:
		d.fence(r.TransactionalID, t)
		return noProducer, ErrConcurrentTransactions
	case r.Expected != nil && r.Expected.Epoch != t.ProducerEpoch:
		v := initialized(&t.Transaction, t.producer(), r.TimeoutMs, d.nowMs())
		v.PreviousProducerID = t.PreviousProducerID // it may come once more
		d.put(r.TransactionalID, v)
		d.remember(r.TransactionalID, t.producer(), replaced)
		return t.producer(), nil
	}
	p := Producer{ID: t.ProducerID, Epoch: t.ProducerEpoch + 1}
	if exhausted(t.ProducerEpoch) {
		if p = (Producer{ID: d.take()}); d.needs {
			return noProducer, nil
		}
	}
	d.put(r.TransactionalID, initialized(&t.Transaction, p, r.TimeoutMs, d.nowMs()))
	if r.Expected != nil {
		d.remember(r.TransactionalID, p, t.ProducerEpoch)
	} else {
		d.forget(r.TransactionalID)
	}
	return p, nil
}

// expects tells whether a producer that comes with what it has is the latest one, or has not heard yet what replaced it. Kafka does not look
// at the epoch while a transaction is open, so that a fenced producer can abort that of its successor.
func (t *txn) expects(p Producer, replaced int16) bool {
	switch {
	case p == t.producer() || p == successor(&t.Transaction): // told of an end that is not complete, with another ID perhaps
		return true
	case replaced == -1 || p.Epoch != replaced:
		return false
	case t.ProducerEpoch == 0: // of another ID
		return p.ID == t.PreviousProducerID
	}
	return p.ID == t.ProducerID
}

// remember: who comes with the last epoch is who has it now.
func (d *decision) remember(id string, now Producer, last int16) {
	d.m.open(id).replaced = replaced{now: now, last: last}
}

// forget: who comes with an earlier epoch is somebody else.
func (d *decision) forget(id string) {
	if s := d.m.soft[id]; s != nil {
		s.replaced = replaced{now: noProducer, last: -1}
	}
}
