package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
)

// ShareGroupDescribe (77), version 1: share groups and their members, each group once (KIP-932).
func (b *Broker) shareGroupDescribe(ctx context.Context, _ *server.Request, req *kmsg.ShareGroupDescribeRequest) *kmsg.ShareGroupDescribeResponse {
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	for _, got := range describeEach(ctx, b, req.GroupIDs, group.ErrInvalidGroupID, (*group.Machine).DescribeShare) {
		out := kmsg.NewShareGroupDescribeResponseGroup()
		if err := firstOf(got.err, got.group.Err); err != nil {
			out.ErrorCode, out.ErrorMessage = groupCode(err), message(err)
		} else {
			describeShare(&out, &got.group)
			if req.IncludeAuthorizedOperations {
				out.AuthorizedOperations = groupOperations
			}
		}
		out.GroupID = got.id
		resp.Groups = append(resp.Groups, out)
	}
	return resp
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
