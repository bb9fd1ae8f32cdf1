package txn

import (
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// AddPartitions makes partitions part of the producer's transaction: from their producer (V1), or from the brokers that lead them (V2).
// AddOffsetsToTxn is one partition of __consumer_offsets. Whoever asks may know more of the metadata than was told here: ErrBehind.
func (m *Machine) AddPartitions(now time.Time, r AddRequest, reply func(error)) shard.Result {
	d := m.decide(now)
	err := d.add(&r)
	if err == ErrConcurrentTransactions && r.Wait > 0 {
		return d.hold(r.TransactionalID, r.Wait, func(now time.Time, wait time.Duration) shard.Result {
			r.Wait = wait
			return m.AddPartitions(now, r, reply)
		}, reply)
	}
	return d.answered(r.TransactionalID, func(failed error) {
		if failed == nil {
			failed = err
		}
		reply(failed)
	}, nil)
}

func (d *decision) add(r *AddRequest) error {
	t, err := d.m.of(r.TransactionalID, r.Producer)
	switch {
	case err != nil:
		return err
	case d.m.behind(r):
		return ErrBehind
	case t.Status == schema.TxnOngoing && !slices.ContainsFunc(r.Partitions, t.lacks()):
		return nil
	}
	d.put(r.TransactionalID, added(&t.Transaction, r.Partitions, r.Version, d.nowMs()))
	if t.Status != schema.TxnOngoing {
		at := d.now.Add(time.Duration(t.TimeoutMs) * time.Millisecond)
		d.m.open(r.TransactionalID).deadline = at
		d.timer(timeoutKey(r.TransactionalID), at)
	}
	return nil
}

// behind tells whether the machine has not heard of a topic that the transaction is to write to, or of another one of its name. Else that would be taken for gone when the
// transaction ends, and get no marker (T3): if the topic was made anew since the transaction began, its name says nothing.
func (m *Machine) behind(r *AddRequest) bool {
	for i, tp := range r.Partitions {
		if !m.exists(tp) || i < len(r.TopicIDs) && !r.TopicIDs[i].IsZero() && m.image.Topic(tp.Topic).ID != r.TopicIDs[i] {
			return true
		}
	}
	return false
}

// of is the state of an ID that a producer may write to partitions in.
func (m *Machine) of(id string, p Producer) (*txn, error) {
	t, ok := m.txns.Get(id)
	switch {
	case id == "":
		return nil, ErrInvalidRequest
	case !ok:
		return nil, ErrInvalidProducerIDMapping
	case ending(t.Status) && p == successor(&t.Transaction): // also if that has another ID
		return nil, ErrConcurrentTransactions
	case t.ProducerID != p.ID:
		return nil, ErrInvalidProducerIDMapping
	case t.ProducerEpoch != p.Epoch:
		return nil, ErrProducerFenced
	case ending(t.Status):
		return nil, ErrConcurrentTransactions
	}
	return t, nil
}

// lacks tells whether a partition is not of the transaction.
func (t *txn) lacks() func(model.TopicPartition) bool {
	has := unpack(t.Partitions)
	return func(tp model.TopicPartition) bool {
		_, ok := slices.BinarySearchFunc(has, tp, model.TopicPartition.Compare)
		return !ok
	}
}

// Verify tells whether partitions are of the producer's transaction, and changes nothing (KIP-890).
func (m *Machine) Verify(now time.Time, r AddRequest, reply func(VerifyReply)) shard.Result {
	d := m.decide(now)
	out := VerifyReply{Partitions: make([]error, len(r.Partitions))}
	t, err := m.of(r.TransactionalID, r.Producer)
	if err == nil && m.behind(&r) {
		err = ErrBehind
	}
	refuse := func(err error) { reply(VerifyReply{Err: err, Partitions: make([]error, len(r.Partitions))}) }
	if err == ErrConcurrentTransactions && r.Wait > 0 {
		return d.hold(r.TransactionalID, r.Wait, func(now time.Time, wait time.Duration) shard.Result {
			r.Wait = wait
			return m.Verify(now, r, reply)
		}, refuse)
	}
	if out.Err = err; err == nil {
		lacks := t.lacks()
		for i, tp := range r.Partitions {
			if lacks(tp) {
				out.Partitions[i] = ErrTransactionAbortable
			}
		}
	}
	return d.answered(r.TransactionalID, func(failed error) {
		if failed != nil {
			refuse(failed)
			return
		}
		reply(out)
	}, nil)
}
