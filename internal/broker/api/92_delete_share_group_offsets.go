package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// DeleteShareGroupOffsets (92), version 0: a share group without members forgets what it has done with topics (KIP-932).
func (b *Broker) deleteShareGroupOffsets(ctx context.Context, _ *server.Request, req *kmsg.DeleteShareGroupOffsetsRequest) *kmsg.DeleteShareGroupOffsetsResponse {
	in := group.DeleteShareOffsetsRequest{Group: req.GroupID}
	for _, t := range req.Topics {
		in.Topics = append(in.Topics, t.Topic)
	}
	resp := kmsg.NewPtrDeleteShareGroupOffsetsResponse()
	got, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.DeleteShareOffsetsReply)) shard.Result {
		return m.DeleteShareOffsets(now, in, reply)
	})
	if err = firstOf(err, got.Err); err != nil {
		resp.ErrorCode, resp.ErrorMessage = groupCode(err), message(err)
		return resp
	}
	for i, t := range got.Topics {
		out := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		out.Topic, out.TopicID, out.ErrorCode, out.ErrorMessage = in.Topics[i], t.TopicID, shareCode(t.Err), message(t.Err)
		if errors.Is(t.Err, group.ErrNoShareOffsets) { // as Kafka does
			out.TopicID = model.TopicID{}
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
