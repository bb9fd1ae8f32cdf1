package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
)

// OffsetForLeaderEpoch (23), versions 2 to 4: where a leader epoch ends, so that clients and followers find
// the place where their log and ours part (KIP-101, KIP-320).
func (b *Broker) offsetForLeaderEpoch(_ context.Context, _ *server.Request, req *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, t := range req.Topics {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			part.Partition, part.LeaderEpoch, part.EndOffset = p.Partition, int32(model.NoEpoch), int64(model.NoOffset)
			epoch, end, err := b.epochEnd(model.TopicPartition{Topic: t.Topic, Partition: p.Partition}, p)
			if err != nil {
				part.ErrorCode = Code(err)
			} else {
				part.LeaderEpoch, part.EndOffset = int32(epoch), int64(end)
			}
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *Broker) epochEnd(tp model.TopicPartition, p kmsg.OffsetForLeaderEpochRequestTopicPartition) (model.LeaderEpoch, model.Offset, error) {
	r, err := b.partition(tp)
	if err != nil {
		return model.NoEpoch, model.NoOffset, err
	}
	return r.EpochEnd(model.LeaderEpoch(p.LeaderEpoch), model.LeaderEpoch(p.CurrentLeaderEpoch))
}
