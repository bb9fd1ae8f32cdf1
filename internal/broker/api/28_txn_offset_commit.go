package api

import (
	"context"
	"errors"
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
	var c committing
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.TxnOffsetCommitResponseTopic{Topic: t.Topic, Partitions: make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(t.Partitions))}
		topic, err := topicOf(im, t.Topic, model.TopicID{}, false)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			out.Partitions[j] = kmsg.TxnOffsetCommitResponseTopicPartition{Partition: p.Partition}
			c.add(topic, err, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, &out.Partitions[j].ErrorCode)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if in.Offsets = c.offsets; len(in.Offsets) == 0 {
		return resp
	}
	got, err := b.commitInTransaction(ctx, im, req, in)
	c.answer(got, err, func(err error) int16 {
		code := groupCode(err)
		if code == kerr.CoordinatorLoadInProgress.Code && req.Version < offsetsKnowLoading {
			code = kerr.CoordinatorNotAvailable.Code
		}
		return code
	})
	return resp
}

// commitInTransaction asks the transaction's coordinator, and then the group's. If a marker is decided between the two, or may have been by another coordinator of the
// group, the transaction has ended, and is asked for once more: the offsets would wait for ever.
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
		a := b.offsetsAsked.begin(tp.Partition, in.Producer.ID, b.leaderEpoch(tp))
		if verify {
			if err := b.includes(ctx, tp, req); err != nil {
				a.leave()
				return group.CommitReply{}, err
			}
		}
		got, err := askGroup(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.CommitReply)) shard.Result {
			if verify && a.over(b.leaderEpoch(tp)) {
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

// leaderEpoch is that of a partition, as far as this broker knows.
func (b *Broker) leaderEpoch(tp model.TopicPartition) model.LeaderEpoch {
	p := b.image().Partition(tp)
	if p == nil {
		return model.NoEpoch
	}
	return p.LeaderEpoch
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
