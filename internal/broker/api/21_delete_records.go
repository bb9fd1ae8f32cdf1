package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
)

// DeleteRecords (21), versions 0 to 2: moves log start offsets up (KIP-107). The new start is on disk before
// the answer. Offset -1 means up to the high watermark.
func (b *Broker) deleteRecords(_ context.Context, _ *server.Request, req *kmsg.DeleteRecordsRequest) *kmsg.DeleteRecordsResponse {
	resp := kmsg.NewPtrDeleteRecordsResponse()
	for _, t := range req.Topics {
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := model.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			low, err := b.deleteBefore(tp, model.Offset(p.Offset))
			part := kmsg.NewDeleteRecordsResponseTopicPartition()
			part.Partition, part.LowWatermark, part.ErrorCode = p.Partition, int64(low), Code(err)
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *Broker) deleteBefore(tp model.TopicPartition, to model.Offset) (model.Offset, error) {
	r, err := b.partition(tp)
	if err != nil {
		return model.NoOffset, err
	}
	if isInternal(tp.Topic) {
		return model.NoOffset, errInternalTopic
	}
	if !r.Policy().Deletes {
		return model.NoOffset, errPolicyViolation
	}
	low, err := r.DeleteBefore(to)
	if err != nil {
		return model.NoOffset, err
	}
	return low, nil
}
