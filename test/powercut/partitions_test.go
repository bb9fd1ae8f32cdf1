package powercut

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/record"
)

const acksAll = -1

// produce sends one batch to a partition of a topic, named by its ID, and returns the offset of the first record. It
// is tried once. as is the idempotent producer and its sequence; nil: none.
func (a asker) produce(ctx context.Context, topic id, partition int32, as *record.Producer, values ...[]byte) (int64, error) {
	w := record.NewBuilder(record.Options{Producer: as})
	for _, value := range values {
		w.Add(time.Now().UnixMilli(), nil, value)
	}
	batch, err := w.Build()
	if err != nil {
		return 0, err
	}
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, batch
	top := kmsg.NewProduceRequestTopic()
	top.TopicID, top.Partitions = topic, append(top.Partitions, part)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = acksAll, 10_000, append(req.Topics, top)
	resp, err := ask[*kmsg.ProduceResponse](ctx, a, req)
	if err != nil {
		return 0, sure(err, 0)
	}
	out := &resp.Topics[0].Partitions[0]
	if err := sure(nil, out.ErrorCode); err != nil {
		return 0, fmt.Errorf("producing to partition %d: %w", partition, err)
	}
	return out.BaseOffset, nil
}

// deleteRecords asks once to delete the records below an offset, and returns the low watermark.
func (a asker) deleteRecords(ctx context.Context, topic string, partition int32, before int64) (int64, error) {
	part := kmsg.NewDeleteRecordsRequestTopicPartition()
	part.Partition, part.Offset = partition, before
	top := kmsg.NewDeleteRecordsRequestTopic()
	top.Topic, top.Partitions = topic, append(top.Partitions, part)
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis, req.Topics = 10_000, append(req.Topics, top)
	resp, err := ask[*kmsg.DeleteRecordsResponse](ctx, a, req)
	if err != nil {
		return 0, sure(err, 0)
	}
	out := &resp.Topics[0].Partitions[0]
	return out.LowWatermark, sure(nil, out.ErrorCode)
}

// newProducer asks for the identity of an idempotent producer.
func (a asker) newProducer(ctx context.Context) (p record.Producer, err error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	err = until(ctx, func(int) error {
		resp, err := ask[*kmsg.InitProducerIDResponse](ctx, a, req)
		if err != nil {
			return sure(err, 0)
		}
		p.ID, p.Epoch = model.ProducerID(resp.ProducerID), resp.ProducerEpoch
		return sure(nil, resp.ErrorCode)
	})
	return p, err
}

// The timestamps that ListOffsets takes for the two ends of a log.
const (
	latest   = -1
	earliest = -2
)

// offset asks once where a partition starts or ends.
func (a asker) offset(ctx context.Context, topic string, partition int32, which int64) (int64, error) {
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp = partition, which
	top := kmsg.NewListOffsetsRequestTopic()
	top.Topic, top.Partitions = topic, append(top.Partitions, part)
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.Topics = -1, append(req.Topics, top)
	resp, err := ask[*kmsg.ListOffsetsResponse](ctx, a, req)
	if err != nil {
		return 0, sure(err, 0)
	}
	out := &resp.Topics[0].Partitions[0]
	return out.Offset, sure(nil, out.ErrorCode)
}
