package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// OffsetDelete (47), version 0: takes away offsets of partitions that no member of the group is subscribed to (KIP-496).
func (b *Broker) offsetDelete(ctx context.Context, _ *server.Request, req *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	in := group.DeleteOffsetsRequest{Group: req.Group}
	resp := kmsg.NewPtrOffsetDeleteResponse()
	im := b.image()
	var asked []*kmsg.OffsetDeleteResponseTopicPartition // what in's partitions answer
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.OffsetDeleteResponseTopic{Topic: t.Topic, Partitions: make([]kmsg.OffsetDeleteResponseTopicPartition, len(t.Partitions))}
		topic, err := topicOf(im, t.Topic, model.TopicID{}, false)
		for j, p := range t.Partitions {
			out.Partitions[j] = kmsg.OffsetDeleteResponseTopicPartition{Partition: p.Partition}
			if refusal := knows(topic, err, p.Partition); refusal != nil {
				out.Partitions[j].ErrorCode = Code(refusal)
				continue
			}
			in.Partitions = append(in.Partitions, model.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			asked = append(asked, &out.Partitions[j])
		}
		resp.Topics = append(resp.Topics, out)
	}
	got, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.DeleteOffsetsReply)) shard.Result {
		return m.DeleteOffsets(now, in, reply)
	})
	if err = firstOf(err, got.Err); err != nil {
		resp.ErrorCode, resp.Topics = groupCode(err), nil
		return resp
	}
	for i, out := range asked {
		out.ErrorCode = groupCode(got.Offsets[i])
	}
	return resp
}
