package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
)

// DescribeTransactions (65), version 0: what is known of transactional IDs, each once (KIP-664).
func (b *Broker) describeTransactions(ctx context.Context, _ *server.Request, req *kmsg.DescribeTransactionsRequest) *kmsg.DescribeTransactionsResponse {
	ids := distinct(req.TransactionalIDs)
	asked := make([]pending[txn.Description], len(ids))
	for i, id := range ids {
		asked[i] = beginTxn(b, id, func(m *txn.Machine, now time.Time, reply func(txn.Description)) shard.Result {
			return m.Describe(now, id, reply)
		})
	}
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	for i, p := range asked {
		got, err := p.wait(ctx)
		out := kmsg.NewDescribeTransactionsResponseTransactionState()
		out.TransactionalID = ids[i]
		if err = firstOf(err, got.Err); err != nil {
			out.ErrorCode = groupCode(err)
		} else {
			out.State, out.TimeoutMillis, out.StartTimestamp = got.State.String(), got.TimeoutMs, got.StartMs
			out.ProducerID, out.ProducerEpoch = int64(got.Producer.ID), got.Producer.Epoch
			out.Topics = describedTopics(&got)
		}
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return resp
}

func describedTopics(d *txn.Description) []kmsg.DescribeTransactionsResponseTransactionStateTopic {
	var out []kmsg.DescribeTransactionsResponseTransactionStateTopic
	for _, tp := range d.Partitions {
		if n := len(out); n == 0 || out[n-1].Topic != tp.Topic {
			t := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			t.Topic = tp.Topic
			out = append(out, t)
		}
		t := &out[len(out)-1]
		t.Partitions = append(t.Partitions, tp.Partition)
	}
	return out
}
