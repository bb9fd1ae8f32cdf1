package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/shard"
)

// heartbeatNamesItself is the version of ConsumerGroupHeartbeat from which on members make up their IDs.
const heartbeatNamesItself = 1

// ConsumerGroupHeartbeat (68), versions 0 to 1: a member of a group of the new protocol joins, stays and leaves (KIP-848). Version 1 has
// regular expressions, and members that make up their IDs.
func (b *Broker) consumerGroupHeartbeat(ctx context.Context, r *server.Request, req *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	in := group.ConsumerHeartbeatRequest{
		Group: req.Group, Member: req.MemberID, Epoch: req.MemberEpoch, Instance: req.InstanceID, Rack: req.RackID,
		RebalanceMs: req.RebalanceTimeoutMillis, Topics: req.SubscribedTopicNames, Regex: req.SubscribedTopicRegex, Assignor: req.ServerAssignor,
		ClientID: r.ClientID, ClientHost: clientHost(r.Conn),
	}
	if req.Version < heartbeatNamesItself {
		in.UUID = newUUID()
	}
	if req.Topics != nil {
		in.Owned = make([]assign.TopicPartitions, len(req.Topics))
		for i, t := range req.Topics {
			in.Owned[i] = assign.TopicPartitions{Topic: t.TopicID, Partitions: t.Partitions}
		}
	}
	out, err := askNamed(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.ConsumerHeartbeatReply)) shard.Result {
		return m.ConsumerHeartbeat(now, in, reply)
	})
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	if err = firstOf(err, out.Err); err != nil {
		resp.ErrorCode, resp.ErrorMessage = groupCode(err), message(err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &out.Member, out.Epoch, out.HeartbeatMs
	if out.Assigned {
		a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
		for _, t := range out.Assignment {
			a.Topics = append(a.Topics, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: t.Topic, Partitions: t.Partitions})
		}
		resp.Assignment = &a
	}
	return resp
}
