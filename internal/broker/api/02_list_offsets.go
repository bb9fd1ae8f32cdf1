package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// ListOffsets (2), versions 1 to 11: an offset by timestamp or by place. Version 4 adds leader epochs, 7 the
// maximum timestamp (KIP-734), 8 to 11 the places of tiered storage. Only the leader answers.
func (b *Broker) listOffsets(_ context.Context, _ *server.Request, req *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := kmsg.NewPtrListOffsetsResponse()
	committed := req.IsolationLevel == isolationCommitted
	seen := make(map[model.TopicPartition]bool)
	for _, t := range req.Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := model.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			out.Partitions = append(out.Partitions, b.listOffset(tp, p, committed, seen[tp]))
			seen[tp] = true
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (b *Broker) listOffset(tp model.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition, committed, again bool) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition = p.Partition
	at, err := b.findOffset(tp, p, committed, again)
	if err != nil {
		out.ErrorCode = Code(err)
		return out
	}
	out.Offset, out.Timestamp, out.LeaderEpoch = int64(at.Offset), at.Timestamp, int32(at.Epoch)
	return out
}

func (b *Broker) findOffset(tp model.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition, committed, again bool) (replica.Position, error) {
	if again {
		return replica.Position{}, errInvalidRequest // Kafka refuses a partition that is named twice
	}
	if p.Timestamp < replica.TimestampPendingUpload {
		return replica.Position{}, errUnsupportedVersion
	}
	r, err := b.partition(tp)
	if err != nil {
		return replica.Position{}, err
	}
	return r.Find(p.Timestamp, committed, model.LeaderEpoch(p.CurrentLeaderEpoch))
}
