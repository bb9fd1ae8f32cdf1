package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// ShareGroupHeartbeat (76), version 1: a member of a share group joins, stays and leaves (KIP-932).
func (b *Broker) shareGroupHeartbeat(ctx context.Context, r *server.Request, req *kmsg.ShareGroupHeartbeatRequest) *kmsg.ShareGroupHeartbeatResponse {
	in := group.ShareHeartbeatRequest{
		Group: req.GroupID, Member: req.MemberID, Epoch: req.MemberEpoch, Rack: req.RackID, Topics: req.SubscribedTopicNames,
		ClientID: r.ClientID, ClientHost: clientHost(r.Conn),
	}
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	if err := in.Check(); err != nil {
		resp.ErrorCode, resp.ErrorMessage = Code(err), message(err)
		return resp
	}
	out, err := askGroup(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.ShareHeartbeatReply)) shard.Result {
		return m.ShareHeartbeat(now, in, reply)
	})
	if err = firstOf(err, out.Err); err != nil {
		resp.ErrorCode, resp.ErrorMessage = groupCode(err), message(err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &out.Member, out.Epoch, out.HeartbeatMs
	if out.Assigned {
		a := kmsg.NewShareGroupHeartbeatResponseAssignment()
		for _, t := range out.Assignment {
			a.TopicPartitions = append(a.TopicPartitions, kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition{TopicID: t.Topic, Partitions: t.Partitions})
		}
		resp.Assignment = &a
	}
	return resp
}
