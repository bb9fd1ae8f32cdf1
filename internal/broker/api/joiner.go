package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/wait"
)

// A coordinator that is not there yet, or does not get done with the producer's transaction before, is asked again for a while: producers that are told so
// wait for longer.
const (
	joinPause = 5 * time.Millisecond
	joinTime  = endingTime
	joinCall  = 5 * time.Second // one call
)

// topicIDsTag is what one broker says to another besides what Kafka's request can: the IDs of its topics, one after the other. Names are not enough where topics are made
// anew.
const topicIDsTag = 10_000

// joinCalls is how many calls to a coordinator are under way at a time. Meanwhile the next one gathers.
const joinCalls = 2

// joiner asks the coordinators of transactions about partitions that this broker leads (KIP-890).
type joiner struct {
	b *Broker

	mu     sync.Mutex
	queues map[model.BrokerID]*joinQueue
}

// joinQueue is what waits for one broker.
type joinQueue struct {
	waiting []*partitionJoining
	calls   int
}

// partitionJoining is one partition that is to be part of a transaction, or of which it is asked whether it is.
type partitionJoining struct {
	id        string
	producer  txn.Producer
	add       bool
	partition model.TopicPartition
	topicID   model.TopicID // zero: there is one topic of the name for ever
	since     time.Time
	done      func(code int16) // called once, on another goroutine, before the Broker is closed
}

// ask asks. It does not wait.
func (j *joiner) ask(r *partitionJoining) {
	im := j.b.image()
	to := model.NoBroker
	if tp, ok := coordinatedBy(im, schema.Transactions, r.id); ok {
		to = im.Partition(tp).Leader
	}
	switch to {
	case model.NoBroker:
		j.b.errands.run(func() { j.answer(r, kerr.CoordinatorNotAvailable.Code) })
	case j.b.NodeID:
		q := r.joining()
		q.Partitions, q.TopicIDs, q.Wait = []model.TopicPartition{r.partition}, []model.TopicID{r.topicID}, endingTime
		j.b.errands.begin() // until the coordinator has answered, or has stopped
		askTxn(j.b, r.id, q.decide, func(got txn.VerifyReply, err error) {
			go func() {
				defer j.b.errands.end()
				j.answer(r, q.codes(got, err, addPartitionsRaise)[0])
			}()
		})
	default:
		j.queue(to, r)
	}
}

// joining is the question without the partition.
func (r *partitionJoining) joining() joining {
	return joining{add: r.add, AddRequest: txn.AddRequest{TransactionalID: r.id, Producer: r.producer, Version: txn.V2}}
}

// queue has another broker asked, with all that waits for it.
func (j *joiner) queue(to model.BrokerID, r *partitionJoining) {
	j.mu.Lock()
	defer j.mu.Unlock()
	q := j.queues[to]
	if q == nil {
		if j.queues == nil {
			j.queues = make(map[model.BrokerID]*joinQueue)
		}
		q = new(joinQueue)
		j.queues[to] = q
	}
	q.waiting = append(q.waiting, r)
	if q.calls < joinCalls {
		q.calls++
		j.b.errands.run(func() { j.work(to, q) })
	}
}

// work makes calls to a broker until nothing waits for it.
func (j *joiner) work(to model.BrokerID, q *joinQueue) {
	for {
		j.mu.Lock()
		all := q.waiting
		q.waiting = nil
		if len(all) == 0 {
			if q.calls--; q.calls == 0 {
				delete(j.queues, to)
			}
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
		j.call(to, all)
	}
}

// call makes one call, with the partitions of each transaction together.
func (j *joiner) call(to model.BrokerID, all []*partitionJoining) {
	var entries []joining
	var of [][]*partitionJoining
	for _, r := range all {
		i := slices.IndexFunc(entries, func(e joining) bool { return e.TransactionalID == r.id && e.Producer == r.producer && e.add == r.add })
		if i < 0 {
			i = len(entries)
			entries, of = append(entries, r.joining()), append(of, nil)
		}
		e := &entries[i]
		e.Partitions, e.TopicIDs, of[i] = append(e.Partitions, r.partition), append(e.TopicIDs, r.topicID), append(of[i], r)
	}
	ctx, cancel := context.WithTimeout(j.b.errands.ctx, joinCall)
	defer cancel()
	codes, err := j.b.joinAt(ctx, to, entries)
	for i := range of {
		for k, r := range of[i] {
			if err != nil {
				j.answer(r, kerr.CoordinatorNotAvailable.Code)
				continue
			}
			j.answer(r, codes[i][k])
		}
	}
}

// answer passes on what a coordinator has said, unless it is asked again. A Broker that is being closed asks no more.
func (j *joiner) answer(r *partitionJoining, code int16) {
	switch code {
	case kerr.ConcurrentTransactions.Code, kerr.CoordinatorLoadInProgress.Code, kerr.CoordinatorNotAvailable.Code, kerr.NotCoordinator.Code:
		if e := &j.b.errands; time.Since(r.since) < joinTime && e.ctx.Err() == nil {
			e.run(func() {
				if wait.For(e.ctx, joinPause) != nil {
					r.done(code)
					return
				}
				j.ask(r)
			})
			return
		}
	}
	r.done(code)
}

var (
	errOtherAnswer = errors.New("the broker has answered something else than it was asked")
	errNoCluster   = errors.New("this broker is alone")
)

// joinAt has a coordinator on another broker decide: codes are as those of join.
func (b *Broker) joinAt(ctx context.Context, to model.BrokerID, entries []joining) ([][]int16, error) {
	answer, err := b.callBroker(ctx, to, addPartitionsOf(entries))
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.AddPartitionsToTxnResponse)
	if err := kafkaError(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Transactions) != len(entries) {
		return nil, errOtherAnswer
	}
	codes := make([][]int16, len(entries))
	for i := range resp.Transactions {
		for _, t := range resp.Transactions[i].Topics {
			for _, p := range t.Partitions {
				codes[i] = append(codes[i], p.ErrorCode)
			}
		}
		if len(codes[i]) != len(entries[i].Partitions) {
			return nil, errOtherAnswer
		}
	}
	return codes, nil
}

// addPartitionsOf is what another broker is asked.
func addPartitionsOf(entries []joining) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	var ids []byte
	for i := range entries {
		e := &entries[i]
		q := kmsg.NewAddPartitionsToTxnRequestTransaction()
		q.TransactionalID, q.ProducerID, q.ProducerEpoch, q.VerifyOnly = e.TransactionalID, int64(e.Producer.ID), e.Producer.Epoch, !e.add
		for k, tp := range e.Partitions {
			ids = append(ids, e.TopicIDs[k][:]...)
			t := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
			q.Topics = append(q.Topics, t)
		}
		req.Transactions = append(req.Transactions, q)
	}
	req.Version = addPartitionsRaise
	req.UnknownTags.Set(topicIDsTag, ids)
	return req
}

// callBroker has another broker answer a request of this one.
func (b *Broker) callBroker(ctx context.Context, to model.BrokerID, req kmsg.Request) (kmsg.Response, error) {
	if b.Cluster == nil {
		return nil, errNoCluster
	}
	body, err := b.Cluster.Transact(ctx, to, Forwarded{Key: req.Key(), Version: req.GetVersion(), Body: req.AppendTo(nil)})
	if err != nil {
		return nil, err
	}
	out := req.ResponseKind()
	if err := out.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("the answer of node %d to %s cannot be read: %w", to, kmsg.NameForKey(req.Key()), err)
	}
	return out, nil
}

// Transact answers what another broker asks about transactions, the state of share partitions, and where partitions end.
func (b *Broker) Transact(ctx context.Context, q Forwarded) ([]byte, error) {
	in, err := b.decodeForwarded(q)
	if err != nil {
		return nil, err
	}
	switch in := in.(type) {
	case *kmsg.WriteTxnMarkersRequest:
		return versioned(b.writeTxnMarkers(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.AddPartitionsToTxnRequest:
		return versioned(b.addPartitionsToTxn(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.ListOffsetsRequest:
		return versioned(b.listOffsets(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.InitializeShareGroupStateRequest:
		return versioned(b.initializeShareGroupState(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.ReadShareGroupStateRequest:
		return versioned(b.readShareGroupState(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.WriteShareGroupStateRequest:
		return versioned(b.writeShareGroupState(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.DeleteShareGroupStateRequest:
		return versioned(b.deleteShareGroupState(ctx, nil, in), in).AppendTo(nil), nil
	case *kmsg.ReadShareGroupStateSummaryRequest:
		return versioned(b.readShareGroupStateSummary(ctx, nil, in), in).AppendTo(nil), nil
	}
	return nil, fmt.Errorf("%w: %s (key %d) is not for brokers", errInvalidRequest, kmsg.NameForKey(q.Key), q.Key)
}
