package txn

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// EndTxn commits or aborts the producer's transaction. The answer leaves when that is settled; markers are written from then on.
func (m *Machine) EndTxn(now time.Time, r EndRequest, reply func(EndReply)) shard.Result {
	return m.endTxn(now, model.NoProducer, r, reply)
}

func (m *Machine) endTxn(now time.Time, fresh model.ProducerID, r EndRequest, reply func(EndReply)) shard.Result {
	d := m.decide(now)
	d.fresh = fresh
	p, err := d.endRequest(&r)
	if r.Version < V2 || err != nil {
		p = noProducer
	}
	refuse := func(err error) { reply(EndReply{Err: err, Producer: noProducer}) }
	switch {
	case err == errAhead:
		err = ErrConcurrentTransactions
	case err == ErrConcurrentTransactions && r.Wait > 0:
		return d.hold(r.TransactionalID, r.Wait, func(now time.Time, wait time.Duration) shard.Result {
			r.Wait = wait
			return m.endTxn(now, model.NoProducer, r, reply)
		}, refuse)
	}
	answer := func(failed error) {
		if failed != nil {
			refuse(failed)
			return
		}
		reply(EndReply{Err: err, Producer: p})
	}
	return d.answered(r.TransactionalID, answer, func(now time.Time, id model.ProducerID) shard.Result {
		return m.endTxn(now, id, r, reply)
	})
}

func (d *decision) endRequest(r *EndRequest) (Producer, error) {
	if r.TransactionalID == "" {
		return noProducer, ErrInvalidRequest
	}
	t, ok := d.m.txns.Get(r.TransactionalID)
	if !ok {
		return noProducer, ErrInvalidProducerIDMapping
	}
	again, err := t.again(r)
	if err != nil {
		return noProducer, err
	}
	switch {
	case t.Status == schema.TxnOngoing:
		return d.end(r.TransactionalID, t, r.Commit, false, r.Version), nil
	case again && r.Commit && !t.commits() && r.Version >= V2: // nobody commits what it has aborted itself: the timeout has, or its successor
		return noProducer, ErrProducerFenced
	case again && t.commits() != r.Commit:
		return noProducer, ErrInvalidTxnState
	case again && ending(t.Status):
		return noProducer, ErrConcurrentTransactions
	case again:
		return t.producer(), nil
	case r.Version >= V2 && !r.Commit: // there is none; but what the producer has sent may come late, and is refused by the next epoch
		return d.end(r.TransactionalID, t, false, false, r.Version), nil
	case r.Version >= V2 && d.ahead(r.TransactionalID, t):
		return noProducer, errAhead
	}
	return noProducer, ErrInvalidTxnState
}

// commits tells whether what has ended, or is being ended, is committed.
func (t *txn) commits() bool {
	return t.Status == schema.TxnPrepareCommit || t.Status == schema.TxnCompleteCommit
}

// again tells whether a request asks for what has been done already, and refuses who is not the producer. Under V1 the state tells; under V2
// the epoch does, which has grown by one since: by that end, and not by an InitProducerId of who has ended a transaction under V1 then.
// Kafka takes one for the other, and gives a fenced producer the epoch of its successor. Who has heard of an end before its markers are written
// is told to wait for them, whatever it asks.
func (t *txn) again(r *EndRequest) (bool, error) {
	over := ending(t.Status) || ended(t.Status)
	bumped := over && t.ClientVersion >= V2
	if r.Version < V2 {
		switch {
		case r.Producer.ID != t.ProducerID:
			return false, ErrInvalidProducerIDMapping
		case r.Producer.Epoch != t.ProducerEpoch:
			return false, ErrProducerFenced
		}
		return over, nil
	}
	rotated := bumped && !ending(t.Status) && r.Producer == Producer{ID: t.PreviousProducerID, Epoch: lastEpoch} && t.ProducerEpoch == 0
	grown := bumped && r.Producer.ID == t.ProducerID && int(t.ProducerEpoch) == int(r.Producer.Epoch)+1
	switch {
	case rotated || grown:
		return true, nil
	case ending(t.Status) && r.Producer == successor(&t.Transaction) && r.Commit:
		return false, errAhead
	case ending(t.Status) && r.Producer == successor(&t.Transaction):
		return false, ErrConcurrentTransactions
	case r.Producer.ID != t.ProducerID:
		return false, ErrInvalidProducerIDMapping
	case r.Producer.Epoch != t.ProducerEpoch || ending(t.Status):
		return false, ErrProducerFenced
	}
	return false, nil
}

// fence aborts what is open, in an epoch that its producer does not have.
func (d *decision) fence(id string, t *txn) {
	d.end(id, t, false, true, d.m.Config.Version)
}

// end prepares the end of a transaction, and completes it if no partition needs to hear of it. It returns the producer from then on.
func (d *decision) end(id string, t *txn, commit, fence bool, version Version) Producer {
	next := model.NoProducer
	if version >= V2 && exhausted(t.ProducerEpoch) {
		if next = d.take(); d.needs {
			return noProducer
		}
	}
	if version >= V2 || fence {
		d.forget(id)
	}
	v := prepared(&t.Transaction, commit, fence, version, next, d.nowMs())
	d.put(id, v)
	d.send(id, v)
	return successor(v)
}

// timeOut aborts a transaction that is open for too long. The timer stays until that is settled.
func (m *Machine) timeOut(now time.Time, id string, fresh model.ProducerID) shard.Result {
	d := m.decide(now)
	d.fresh = fresh
	t, ok := m.txns.Get(id)
	switch {
	case ok && t.Status == schema.TxnOngoing && now.Before(m.open(id).deadline):
		d.timer(timeoutKey(id), m.open(id).deadline)
		return d.done()
	case ok && t.Status == schema.TxnOngoing:
		d.fence(id, t)
	case !m.txns.Unsettled(id):
		return d.done()
	}
	if d.needs {
		d.out.Effects = []shard.Effect{NeedProducerID{
			Resume: func(now time.Time, fresh model.ProducerID) shard.Result { return m.timeOut(now, id, fresh) },
			Refuse: func(error) {}, // the timer asks again
		}}
	}
	d.timer(timeoutKey(id), now.Add(retryPause))
	return d.done()
}
