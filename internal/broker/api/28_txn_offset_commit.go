package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// errTransactionEnded: see commitInTransaction.
var errTransactionEnded = errors.New("the transaction has ended meanwhile")

// Versions of TxnOffsetCommit that say more, or understand more.
const (
	offsetsKnowLoading   = 2 // COORDINATOR_LOAD_IN_PROGRESS
	offsetsKnowAbortable = 4
)

// TxnOffsetCommit (28), versions 0 to 5: stores offsets in a producer's transaction (KIP-98), since version 3 of a member of a group (KIP-447). The
// transaction's coordinator is asked first whether it includes the group's offsets; from version 5 on they are made part of it (KIP-890).
func (b *Broker) txnOffsetCommit(ctx context.Context, _ *server.Request, req *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	in := group.TxnCommitRequest{
		CommitRequest: group.CommitRequest{Group: req.Group, Generation: -1, RetentionMs: -1}, Producer: producerOf(req.ProducerID, req.ProducerEpoch),
	}
	if req.Version >= 3 {
		in.Generation, in.Member, in.Instance = req.Generation, req.MemberID, req.InstanceID
	}
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	im := b.image()
	var asked []*kmsg.TxnOffsetCommitResponseTopicPartition // what in's offsets answer
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.TxnOffsetCommitResponseTopic{Topic: t.Topic, Partitions: make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(t.Partitions))}
		topic, err := topicOf(im, t.Topic, model.TopicID{}, false)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			out.Partitions[j] = kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition}
			if refusal := knows(topic, err, p.Partition); refusal != nil {
				out.Partitions[j].ErrorCode = Code(refusal)
				continue
			}
			in.Offsets = append(in.Offsets, commitOffset(topic, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata))
			asked = append(asked, &out.Partitions[j])
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(asked) == 0 {
		return resp
	}
	got, err := b.commitInTransaction(ctx, im, req, in)
	err = firstOf(err, got.Err)
	for i, out := range asked {
		each := err
		if each == nil {
			each = got.Offsets[i]
		}
		if out.ErrorCode = groupCode(each); out.ErrorCode == kerr.CoordinatorLoadInProgress.Code && req.Version < offsetsKnowLoading {
			out.ErrorCode = kerr.CoordinatorNotAvailable.Code
		}
	}
	return resp
}

// commitInTransaction asks the transaction's coordinator, and then the group's. If a marker is decided between the two, the transaction has ended, and is asked for
// once more: the offsets would wait for ever.
func (b *Broker) commitInTransaction(ctx context.Context, im *image.Image, req *kmsg.TxnOffsetCommitRequest, in group.TxnCommitRequest) (group.CommitReply, error) {
	tp, ok := coordinatedBy(im, schema.Groups, in.Group)
	switch {
	case in.Group == "":
		return group.CommitReply{}, group.ErrInvalidGroupID
	case !ok:
		return group.CommitReply{}, errNoCoordinator
	}
	verify := b.Config().Transactions.Verify || req.Version >= offsetsRaise
	for {
		a := b.offsetsAsked.begin(tp.Partition, in.Producer.ID)
		if verify {
			if err := b.includes(ctx, tp, req); err != nil {
				a.leave()
				return group.CommitReply{}, err
			}
		}
		got, err := askGroup(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.CommitReply)) shard.Result {
			if verify && a.over() {
				reply(group.CommitReply{Err: errTransactionEnded})
				return shard.Result{Sees: model.NoOffset}
			}
			return m.TxnCommit(now, in, reply)
		})
		a.leave()
		if got.Err != errTransactionEnded || ctx.Err() != nil {
			return got, err
		}
	}
}

// includes asks whether a transaction includes a group's offsets.
func (b *Broker) includes(ctx context.Context, tp model.TopicPartition, req *kmsg.TxnOffsetCommitRequest) error {
	answer := make(chan int16, 1)
	b.joiner.ask(&partitionJoining{
		id: req.TransactionalID, producer: producerOf(req.ProducerID, req.ProducerEpoch), add: req.Version >= offsetsRaise, partition: tp,
		since: time.Now(), done: func(code int16) { answer <- code },
	})
	select {
	case code := <-answer:
		switch {
		case code == kerr.ProducerFenced.Code:
			code = kerr.InvalidProducerEpoch.Code
		case code == kerr.TransactionAbortable.Code && req.Version < offsetsKnowAbortable:
			code = kerr.InvalidTxnState.Code
		case code == kerr.NotCoordinator.Code || code == kerr.CoordinatorNotAvailable.Code: // it is another coordinator that is not there
			code = kerr.CoordinatorLoadInProgress.Code
		}
		return kafkaError(code)
	case <-ctx.Done():
		return shard.ErrNotCoordinator
	}
}

// offsetsAsked are commits in transactions for which the transaction's coordinator is being asked. Who has a turn of the group's coordinator ends them with the marker
// that ends the transaction.
type offsetsAsked struct {
	mu  sync.Mutex
	all map[offsetsKey]map[*offsetAsked]struct{}
}

type offsetsKey struct {
	partition int32 // of __consumer_offsets
	producer  model.ProducerID
}

// offsetAsked is one of them.
type offsetAsked struct {
	of    *offsetsAsked
	key   offsetsKey
	ended bool
}

func (o *offsetsAsked) begin(partition int32, producer model.ProducerID) *offsetAsked {
	a := &offsetAsked{of: o, key: offsetsKey{partition, producer}}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[offsetsKey]map[*offsetAsked]struct{})
	}
	if o.all[a.key] == nil {
		o.all[a.key] = make(map[*offsetAsked]struct{})
	}
	o.all[a.key][a] = struct{}{}
	return a
}

// end says that a marker is being written.
func (o *offsetsAsked) end(partition int32, producer model.ProducerID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for a := range o.all[offsetsKey{partition, producer}] {
		a.ended = true
	}
}

// over tells whether a marker was written since the begin.
func (a *offsetAsked) over() bool {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	return a.ended
}

func (a *offsetAsked) leave() {
	a.of.mu.Lock()
	defer a.of.mu.Unlock()
	delete(a.of.all[a.key], a)
	if len(a.of.all[a.key]) == 0 {
		delete(a.of.all, a.key)
	}
}
