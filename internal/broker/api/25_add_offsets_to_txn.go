package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
)

// AddOffsetsToTxn (25), versions 0 to 4: offsets of a group are to be part of a producer's transaction: the partition of __consumer_offsets is, where they
// will be (KIP-98). Version 2 knows PRODUCER_FENCED. Producers that raise their epochs do not ask: see TxnOffsetCommit.
func (b *Broker) addOffsetsToTxn(ctx context.Context, _ *server.Request, req *kmsg.AddOffsetsToTxnRequest) *kmsg.AddOffsetsToTxnResponse {
	resp := kmsg.NewPtrAddOffsetsToTxnResponse()
	tp, ok := coordinatedBy(b.image(), schema.Groups, req.Group)
	if !ok {
		resp.ErrorCode = Code(errNoCoordinator)
		return resp
	}
	in := txn.AddRequest{
		TransactionalID: req.TransactionalID, Producer: producerOf(req.ProducerID, req.ProducerEpoch), Version: txn.V1, Partitions: []model.TopicPartition{tp},
		Wait: endingTime,
	}
	got, err := beginTxn(b, in.TransactionalID, func(m *txn.Machine, now time.Time, reply func(error)) shard.Result {
		return m.AddPartitions(now, in, reply)
	}).wait(ctx)
	resp.ErrorCode = fencedCode(firstOf(err, got), req.Version, 2)
	return resp
}
