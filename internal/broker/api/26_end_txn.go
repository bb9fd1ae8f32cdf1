package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/model"
	"chronik/internal/record"
)

// EndTxn (26), versions 0 to 5: commits or aborts a producer's transaction (KIP-98). The answer leaves when that is decided for good; markers are
// written from then on. Version 2 knows PRODUCER_FENCED; from version 5 on the epoch grows with it, and the answer has the new one (KIP-890).
func (b *Broker) endTxn(ctx context.Context, _ *server.Request, req *kmsg.EndTxnRequest) *kmsg.EndTxnResponse {
	in := txn.EndRequest{
		TransactionalID: req.TransactionalID, Producer: producerOf(req.ProducerID, req.ProducerEpoch), Version: versionOf(req.Version, endRaises), Commit: req.Commit,
		Wait: endingTime,
	}
	got, err := beginTxn(b, in.TransactionalID, func(m *txn.Machine, now time.Time, reply func(txn.EndReply)) shard.Result {
		return m.EndTxn(now, in, reply)
	}).wait(ctx)
	resp := kmsg.NewPtrEndTxnResponse()
	resp.ProducerID, resp.ProducerEpoch = int64(model.NoProducer), record.NoProducerEpoch
	if err = firstOf(err, got.Err); err != nil {
		resp.ErrorCode = fencedCode(err, req.Version, 2)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = int64(got.Producer.ID), got.Producer.Epoch
	return resp
}
