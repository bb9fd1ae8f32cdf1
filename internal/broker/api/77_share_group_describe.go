package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// ShareGroupDescribe (77), version 1: share groups and their members, each group once (KIP-932).
func (b *Broker) shareGroupDescribe(ctx context.Context, _ *server.Request, req *kmsg.ShareGroupDescribeRequest) *kmsg.ShareGroupDescribeResponse {
	ids := distinct(req.GroupIDs)
	asked := make([]pending[describedShare], len(ids))
	for i, id := range ids {
		if id != "" {
			asked[i] = begin(b, id, func(m *group.Machine, _ time.Time, reply func(describedShare)) shard.Result {
				return m.DescribeShare([]string{id}, func(d []group.ShareDescription, err error) { reply(describedShare{d[0], err}) })
			})
		}
	}
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	for i, p := range asked {
		var got describedShare
		err := group.ErrInvalidGroupID
		if ids[i] != "" {
			got, err = p.wait(ctx)
		}
		out := kmsg.NewShareGroupDescribeResponseGroup()
		if err = firstOf(err, got.err, got.Err); err != nil {
			out.ErrorCode, out.ErrorMessage = groupCode(err), message(err)
		} else {
			describeShare(&out, &got.ShareDescription)
			if req.IncludeAuthorizedOperations {
				out.AuthorizedOperations = groupOperations
			}
		}
		out.GroupID = ids[i]
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

type describedShare struct {
	group.ShareDescription
	err error
}

func describeShare(out *kmsg.ShareGroupDescribeResponseGroup, d *group.ShareDescription) {
	out.GroupState, out.GroupEpoch, out.AssignmentEpoch, out.Assignor = d.State.String(), d.Epoch, d.AssignmentEpoch, d.Assignor
	for _, m := range d.Members {
		member := kmsg.NewShareGroupDescribeResponseGroupMember()
		member.MemberID, member.RackID, member.MemberEpoch = m.Member, m.Rack, m.Epoch
		member.ClientID, member.ClientHost, member.SubscribedTopicNames = m.ClientID, m.ClientHost, m.Topics
		for _, t := range m.Assignment {
			member.Assignment.TopicPartitions = append(member.Assignment.TopicPartitions, kmsg.ShareGroupDescribeResponseGroupMemberAssignmentTopicPartition{
				TopicID: t.TopicID, Topic: t.Topic, Partitions: t.Partitions,
			})
		}
		out.Members = append(out.Members, member)
	}
}
