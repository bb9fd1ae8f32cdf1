package sim

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replication"
	producers "chronik/internal/wal/producer"
)

// The times of asking whether a partition is of a transaction (KIP-890).
const (
	joinPause = 5 * time.Millisecond
	joinTime  = 100 * time.Millisecond
	joinCall  = 400 * time.Millisecond
	joinLate  = 120 * time.Millisecond
	joinWait  = 20 * time.Millisecond
)

// sellRequest is some batches of a transaction, for one partition. It is answered by a code for each. As in Kafka's protocol it does not say who
// is believed to lead in what epoch.
type sellRequest struct {
	till    string
	version txn.Version
	id      model.TopicID
	num     int32
	batches []record.Batch
}

// beginning is a producer that waits for the coordinator of its transaction, with what it sends meanwhile.
type beginning struct {
	parked []parked
	lead   *replication.Leader // in whose epoch it was asked
	void   bool                // a marker was written since: what the coordinator says may be of the transaction before
}

// parked is a batch of a transaction that is to be appended.
type parked struct {
	batch  record.Batch
	raised bool
	verify func(done func(error))
	placed func(error)                   // what the log has said
	answer func(c code, at model.Offset) // what became of it, if it has taken it
}

// sell appends the batches of a transaction in their order.
func (n *node) sell(q sellRequest, answer func(any, error)) {
	r, c := n.leads(q.id, q.num)
	codes, left := make([]code, len(q.batches)), len(q.batches)
	if c != okay {
		for i := range codes {
			codes[i] = c
		}
		answer(codes, nil)
		return
	}
	for i, b := range q.batches {
		told := false
		tell := func(c code) {
			if told {
				return
			}
			told, codes[i] = true, c
			if left--; left == 0 {
				answer(slices.Clone(codes), nil)
			}
		}
		r.transact(parked{
			batch: b, raised: q.version >= txn.V2,
			verify: func(done func(error)) {
				n.join(q.till, txn.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch()}, q.version, model.TopicPartition{Topic: r.topic, Partition: r.num}, r.id, n.now(), done)
			},
			placed: func(err error) {
				if err != nil {
					tell(codeOf(err))
				}
			},
			answer: func(c code, _ model.Offset) { tell(c) },
		})
	}
}

// leads finds a partition if this node leads it.
func (n *node) leads(id model.TopicID, num int32) (*replica, code) {
	r := n.find(id, num)
	if r == nil || r.leader == nil {
		return nil, notLeader
	}
	return n.led(id, num, r.leader.Epoch())
}

// transact appends a batch of a transaction. One that begins it on the partition is verified first.
func (r *replica) transact(p parked) {
	id := p.batch.ProducerID()
	if b := r.begins[id]; b != nil {
		b.parked = append(b.parked, p)
		return
	}
	err := r.place(&p, r.n.w.bugs.unverified && !p.raised)
	if !errors.Is(err, producers.ErrUnverified) {
		p.placed(err)
		return
	}
	b := &beginning{parked: []parked{p}, lead: r.leader}
	if r.begins == nil {
		r.begins = make(map[model.ProducerID]*beginning)
	}
	r.begins[id] = b
	p.verify(func(err error) { r.verified(id, b, err) })
}

// place appends a batch if the log takes it.
func (r *replica) place(p *parked, verified bool) error {
	if r.leader == nil || r.failed != nil {
		return replication.ErrNotLeading
	}
	x := write{batch: p.batch, acks: -1, verified: verified, raised: p.raised}
	_, err := r.append(x, p.answer)
	if r.n.w.bugs.fencedProduce && errors.Is(err, producers.ErrInvalidProducerEpoch) {
		x.origin = producers.Replication
		p.batch.SetBaseOffset(r.log.End())
		p.batch.SetLeaderEpoch(r.leader.Epoch())
		_, err = r.append(x, p.answer)
	}
	return err
}

// verified goes on with those who wait, now that the coordinator has answered for the first of them.
func (r *replica) verified(id model.ProducerID, b *beginning, no error) {
	w := r.n.w
	if w.bugs.fencedProduce && errors.Is(no, txn.ErrProducerFenced) {
		no = nil
	}
	if b.void && no == nil && !w.bugs.neverVoid {
		w.stats[voidVerifications]++
		b.void = false
		b.parked[0].verify(func(err error) { r.verified(id, b, err) })
		return
	}
	if r.leader == nil || r.leader != b.lead { // another leader may have written markers meanwhile
		no = replication.ErrNotLeading
	}
	if no != nil {
		w.stats[refusedVerifications]++
	}
	delete(r.begins, id)
	epoch := b.parked[0].batch.ProducerEpoch()
	for i, p := range b.parked {
		err := no
		if no == nil || p.batch.ProducerEpoch() != epoch {
			err = r.place(&p, i == 0)
		}
		if errors.Is(err, producers.ErrUnverified) && i > 0 { // the producer's next transaction
			next := &beginning{parked: b.parked[i:], lead: r.leader}
			r.begins[id] = next
			p.verify(func(err error) { r.verified(id, next, err) })
			return
		}
		p.placed(err)
	}
}

// appendMarker ends a producer's transaction on the partition.
func (r *replica) appendMarker(k *mark, done func(error)) {
	if b := r.begins[k.Producer]; b != nil {
		b.void = true
	}
	_, err := r.append(write{batch: record.EndTxn(k.Marker), acks: -1, raised: k.raised}, func(c code, _ model.Offset) {
		if c == okay {
			done(nil)
		} else {
			done(refusal(c))
		}
	})
	if err != nil {
		done(err)
	}
}

// join asks the coordinator of a transaction whether a partition is part of it, or to make it so. One that is ending the transaction before, or is not there
// yet, is asked again for a while.
func (n *node) join(till string, p txn.Producer, version txn.Version, tp model.TopicPartition, id model.TopicID, since time.Time, done func(error)) {
	q := joinRequest{add: version >= txn.V2, AddRequest: txn.AddRequest{Wait: joinWait, TransactionalID: till, Producer: p, Version: version,
		Partitions: []model.TopicPartition{tp}, TopicIDs: []model.TopicID{id}}}
	answered := func(err error) {
		again := errors.Is(err, txn.ErrConcurrentTransactions) || err != nil && !definite(err)
		if again && n.now().Sub(since) < joinTime {
			n.after(joinPause, func() { n.join(till, p, version, tp, id, since, done) })
			return
		}
		done(err)
	}
	t := n.topic(schema.Transactions.Name)
	to := model.NoBroker
	if t != nil {
		to = t.Partitions[schema.Partition(till, int32(len(t.Partitions)))].Leader
	}
	if to == model.NoBroker {
		n.after(0, func() { answered(shard.ErrNotCoordinator) })
		return
	}
	n.confer(nodeID(to), groupRequest{body: q}, joinCall, func(answer any) {
		a, ok := answer.(groupReply)
		o, _ := a.body.(txn.VerifyReply)
		err := o.Err
		switch {
		case !ok:
			err = shard.ErrNotCoordinator
		case a.err != nil:
			err = a.err
		}
		if n.w.calm || n.w.one(2) {
			answered(err)
			return
		}
		n.after(n.w.between(0, joinLate), func() { answered(err) }) // much happens until somebody sees to it
	})
}
