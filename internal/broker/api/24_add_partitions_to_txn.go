package api

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// AddPartitionsToTxn (24), versions 0 to 5: partitions are to be part of a producer's transaction (KIP-98). Version 2 knows PRODUCER_FENCED. From version
// 4 on it is for the brokers that lead the partitions, and has several transactions: they ask whether a partition is in one, or have it added when a
// producer writes to it (KIP-890).
func (b *Broker) addPartitionsToTxn(ctx context.Context, _ *server.Request, req *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	if req.Version < addPartitionsRaise {
		one := joining{add: true, AddRequest: txn.AddRequest{TransactionalID: req.TransactionalID, Producer: producerOf(req.ProducerID, req.ProducerEpoch), Wait: endingTime}}
		for _, t := range req.Topics {
			one.with(t.Topic, t.Partitions)
		}
		return oneJoined(req, b.join(ctx, []joining{one}, req.Version)[0])
	}
	ids := topicIDs(req)
	all := make([]joining, len(req.Transactions))
	for i := range req.Transactions {
		q := &req.Transactions[i]
		all[i] = joining{add: !q.VerifyOnly, AddRequest: txn.AddRequest{
			TransactionalID: q.TransactionalID, Producer: producerOf(q.ProducerID, q.ProducerEpoch), Version: txn.V2, Wait: endingBrokerTime,
		}}
		for _, t := range q.Topics {
			all[i].with(t.Topic, t.Partitions)
			all[i].TopicIDs = append(all[i].TopicIDs, slices.Repeat([]model.TopicID{ids()}, len(t.Partitions))...)
		}
	}
	codes := b.join(ctx, all, req.Version)
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	for i := range req.Transactions {
		q := &req.Transactions[i]
		out := kmsg.NewAddPartitionsToTxnResponseTransaction()
		out.TransactionalID = q.TransactionalID
		next := codes[i]
		for _, t := range q.Topics {
			topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
			topic.Topic = t.Topic
			for j, p := range t.Partitions {
				part := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
				part.Partition, part.ErrorCode = p, next[j]
				topic.Partitions = append(topic.Partitions, part)
			}
			next = next[len(t.Partitions):]
			out.Topics = append(out.Topics, topic)
		}
		resp.Transactions = append(resp.Transactions, out)
	}
	return resp
}

// topicIDs returns the ID of each of the topics in turn, zero if it is not said.
func topicIDs(req *kmsg.AddPartitionsToTxnRequest) func() model.TopicID {
	var left []byte
	req.UnknownTags.Each(func(tag uint32, value []byte) {
		if tag == topicIDsTag {
			left = value
		}
	})
	return func() (id model.TopicID) {
		left = left[copy(id[:], left):]
		return id
	}
}

func oneJoined(req *kmsg.AddPartitionsToTxnRequest, codes []int16) *kmsg.AddPartitionsToTxnResponse {
	resp := kmsg.NewPtrAddPartitionsToTxnResponse()
	for _, t := range req.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTopic()
		topic.Topic = t.Topic
		for i, p := range t.Partitions {
			part := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			part.Partition, part.ErrorCode = p, codes[i]
			topic.Partitions = append(topic.Partitions, part)
		}
		codes = codes[len(t.Partitions):]
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// joining is partitions that are to be part of a transaction, or of which it is asked whether they are.
type joining struct {
	txn.AddRequest
	add bool
}

func (j *joining) with(topic string, partitions []int32) {
	for _, p := range partitions {
		j.Partitions = append(j.Partitions, model.TopicPartition{Topic: topic, Partition: p})
	}
}

// decide asks the machine.
func (j *joining) decide(m *txn.Machine, now time.Time, reply func(txn.VerifyReply)) shard.Result {
	if j.add {
		return m.AddPartitions(now, j.AddRequest, func(err error) { reply(txn.VerifyReply{Err: err}) })
	}
	return m.Verify(now, j.AddRequest, reply)
}

// codes are the error codes of an answer, for each of the partitions.
func (j *joining) codes(got txn.VerifyReply, err error, version int16) []int16 {
	err = firstOf(err, got.Err)
	codes := make([]int16, len(j.Partitions))
	for i := range codes {
		each := err
		if each == nil && got.Partitions != nil {
			each = got.Partitions[i]
		}
		codes[i] = fencedCode(each, version, 2)
	}
	return codes
}

// join has the transactions decided that this broker coordinates, and returns an error code for each partition of each.
func (b *Broker) join(ctx context.Context, all []joining, version int16) [][]int16 {
	im := b.image()
	codes := make([][]int16, len(all))
	asked := make([]pending[txn.VerifyReply], len(all))
	for i := range all {
		q := &all[i]
		codes[i] = make([]int16, len(q.Partitions))
		unknown := false
		for j, tp := range q.Partitions {
			topic, err := topicOf(im, tp.Topic, model.TopicID{}, false)
			if err := knows(topic, err, tp.Partition); err != nil {
				codes[i][j], unknown = Code(err), true
			}
		}
		if unknown { // all or nothing
			for j, code := range codes[i] {
				if code == 0 {
					codes[i][j] = kerr.OperationNotAttempted.Code
				}
			}
			continue
		}
		asked[i] = beginTxn(b, q.TransactionalID, q.decide)
	}
	for i, p := range asked {
		if p.answer != nil {
			got, err := p.wait(ctx)
			codes[i] = all[i].codes(got, err, version)
		}
	}
	return codes
}
