package api

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/txn"
	"chronik/internal/record"
	"chronik/internal/replica"
	"chronik/internal/wal"
	"chronik/internal/wire"
)

// Versions of Produce that understand more about transactions.
const produceKnowsAbortable = 11 // TRANSACTION_ABORTABLE

// errNoTransactionalID refuses a transactional batch in a request that does not name the transaction.
var errNoTransactionalID = errors.New("the batch is of a transaction, and the request does not say of which")

// appendTransactional places a batch of a transaction in the log. If it begins the transaction on the partition its coordinator is asked first (KIP-890): the
// batch is parked meanwhile, like an append that waits for replicas, and what the producer sends after it to the partition waits behind it. Until Placed is
// called the request cannot be answered: it holds a share.
func (b *Broker) appendTransactional(p *producing, req *server.Request, r *replica.Replica, batch record.Batch, out *wire.ProduceResponsePartition) {
	if !p.in.IsTransactional {
		p.refuse(out, errNoTransactionalID)
		return
	}
	w := p.waiter(out)
	p.open.Add(1)
	req.Frame.Retain()
	frame, version := req.Frame, req.Version
	q := partitionJoining{
		id: strings.Clone(p.in.TransactionalID), producer: txn.Producer{ID: batch.ProducerID(), Epoch: batch.ProducerEpoch()}, add: version >= produceRaises, partition: r.Partition(),
		topicID: r.TopicID(),
	}
	verify := b.Config().Transactions.Verify || q.add
	r.Transact(replica.Transaction{
		Append: replica.Append{Batch: batch, Owner: frame, Acks: p.in.Acks, Waiter: w, Verified: !verify, TV2: q.add},
		Verify: func(done func(error)) {
			ask := q
			ask.since = time.Now()
			ask.done = func(code int16) { done(unverified(code, version)) }
			b.joiner.ask(&ask)
		},
		Placed: func(placed wal.Appended, err error) {
			defer frame.Release()
			if err != nil {
				w.refuse(err)
			} else {
				out.BaseOffset, out.LogStartOffset = placed.BaseOffset, placed.LogStart
			}
			p.settle()
		},
	})
}

// refuse answers for a partition whose batch the log has not taken, unless its time was over before.
func (w *partitionWaiter) refuse(err error) {
	if !w.told.Swap(true) {
		w.of.refuse(w.out, err)
		w.of.settle()
	}
}

// unverified is why a batch cannot begin a transaction on its partition, given what the coordinator has said, in words that producers of that version
// understand. What they should send again without looking for another leader is NOT_ENOUGH_REPLICAS, as Kafka has it.
func unverified(code, version int16) error {
	err := kafkaError(code)
	switch code {
	case kerr.ProducerFenced.Code:
		err = kerr.InvalidProducerEpoch
	case kerr.TransactionAbortable.Code:
		if version < produceKnowsAbortable {
			err = kerr.InvalidTxnState
		}
	case kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code:
		err = kerr.NotEnoughReplicas
	case kerr.ConcurrentTransactions.Code:
		if version < produceRaises {
			err = kerr.NotEnoughReplicas
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: the transaction's coordinator has answered %s when it was asked whether the partition is part of it", err, kerr.TypedErrorForCode(code).Message)
}
