package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
)

// DescribeProducers (61), version 0: the producers whose state this broker's replica of a partition holds, leader or not (KIP-664).
func (b *Broker) describeProducers(_ context.Context, _ *server.Request, req *kmsg.DescribeProducersRequest) *kmsg.DescribeProducersResponse {
	resp := kmsg.NewPtrDescribeProducersResponse()
	for _, t := range req.Topics {
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = t.Topic
		for _, n := range t.Partitions {
			part := kmsg.NewDescribeProducersResponseTopicPartition()
			part.Partition = n
			active, err := b.producersOf(model.TopicPartition{Topic: t.Topic, Partition: n})
			part.ActiveProducers, part.ErrorCode, part.ErrorMessage = active, Code(err), message(err)
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *Broker) producersOf(tp model.TopicPartition) ([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, error) {
	if err := model.CheckTopicName(tp.Topic); err != nil {
		return nil, err
	}
	r, err := b.partition(tp)
	if err != nil {
		return nil, err
	}
	infos, err := r.Producers()
	if err != nil {
		return nil, err
	}
	active := make([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, 0, len(infos))
	for _, i := range infos {
		p := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		p.ProducerID, p.ProducerEpoch = int64(i.Producer), int32(i.Epoch)
		p.LastSequence, p.LastTimestamp = i.LastSeq, i.LastTimestamp
		p.CoordinatorEpoch, p.CurrentTxnStartOffset = i.CoordinatorEpoch, int64(i.TxnStart)
		active = append(active, p)
	}
	return active, nil
}
