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

// AlterShareGroupOffsets (91), version 0: a share group without members, which is made if there is none, goes on with partitions from other offsets (KIP-932).
func (b *Broker) alterShareGroupOffsets(ctx context.Context, _ *server.Request, req *kmsg.AlterShareGroupOffsetsRequest) *kmsg.AlterShareGroupOffsetsResponse {
	in := group.AlterShareOffsetsRequest{Group: req.GroupID}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			in.Offsets = append(in.Offsets, group.ShareOffset{TopicPartition: model.TopicPartition{Topic: t.Topic, Partition: p.Partition}, Offset: model.Offset(p.StartOffset)})
		}
	}
	resp := kmsg.NewPtrAlterShareGroupOffsetsResponse()
	got, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.AlterShareOffsetsReply)) shard.Result {
		return m.AlterShareOffsets(now, in, reply)
	})
	if err = firstOf(err, got.Err); err != nil {
		resp.ErrorCode, resp.ErrorMessage = groupCode(err), message(err)
		return resp
	}
	next := got.Offsets
	for _, t := range req.Topics {
		out := kmsg.NewAlterShareGroupOffsetsResponseTopic()
		out.Topic = t.Topic
		for i, p := range t.Partitions {
			part := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
			part.Partition, part.ErrorCode, part.ErrorMessage = p.Partition, shareCode(next[i].Err), message(next[i].Err)
			out.TopicID = next[i].TopicID
			out.Partitions = append(out.Partitions, part)
		}
		next = next[len(t.Partitions):]
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
