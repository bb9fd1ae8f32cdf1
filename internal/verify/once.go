package verify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/record"
)

// errNotSent is for records that no request was made for.
var errNotSent = errors.New("the partition has no leader")

// sendOnce sends a record in a request of its own, to the leader as it is known, and does not try again. Without retries the answer
// is about the only copy that there can be.
func (w *producer) sendOnce(r *kgo.Record) error {
	c := w.run.cluster
	h := c.head(r.Partition)
	if h.leader < 0 {
		return errNotSent
	}
	b := record.NewBuilder(record.Options{})
	b.Add(time.Now().UnixMilli(), r.Key, r.Value)
	batch, err := b.Build()
	if err != nil {
		return err
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = r.Partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID, t.Partitions = r.Topic, c.id, []kmsg.ProduceRequestTopicPartition{p}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32((w.run.opts.RequestTimeout / 2).Milliseconds())
	req.Topics = []kmsg.ProduceRequestTopic{t}
	ctx, cancel := context.WithTimeout(context.Background(), w.run.opts.RequestTimeout)
	defer cancel()
	answer, err := c.cl.Broker(int(h.leader)).Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.ProduceResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fmt.Errorf("a broker answers Produce for another partition than %d", r.Partition)
	}
	got := resp.Topics[0].Partitions[0]
	r.Offset = got.BaseOffset
	return kerr.ErrorForCode(got.ErrorCode)
}

// mostOnce is how many such records may be outstanding in a partition: brokers take one request at a time from a connection, and one
// that is given up takes those behind it along.
const mostOnce = 8

// refusedOnce tells whether an error comes before an append, or before there was a connection. It says nothing of a record that was sent before.
func refusedOnce(err error) bool {
	var op *net.OpError
	return errors.Is(err, errNotSent) || errors.Is(err, kerr.NotEnoughReplicas) || errors.As(err, &op) && op.Op == "dial"
}
