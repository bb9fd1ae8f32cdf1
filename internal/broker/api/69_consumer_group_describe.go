package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
)

// What members speak, as ConsumerGroupDescribe has it.
const (
	classicMember  = 0
	consumerMember = 1
)

// ConsumerGroupDescribe (69), versions 0 to 1: groups of the new protocol, each once (KIP-848). Version 1 tells which protocol a member speaks.
func (b *Broker) consumerGroupDescribe(ctx context.Context, _ *server.Request, req *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for _, got := range describeEach(ctx, b, req.Groups, nil, (*group.Machine).DescribeConsumer) {
		out := kmsg.NewConsumerGroupDescribeResponseGroup()
		if err := firstOf(got.err, got.group.Err); err != nil {
			out.ErrorCode, out.ErrorMessage = groupCode(err), message(err)
		} else {
			describeConsumer(&out, &got.group)
			if req.IncludeAuthorizedOperations {
				out.AuthorizedOperations = groupOperations
			}
		}
		out.Group = got.id
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

func describeConsumer(out *kmsg.ConsumerGroupDescribeResponseGroup, d *group.ConsumerDescription) {
	out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = d.State.String(), d.Epoch, d.AssignmentEpoch, d.Assignor
	for _, m := range d.Members {
		member := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		member.MemberID, member.InstanceID, member.RackID, member.MemberEpoch = m.Member, m.Instance, m.Rack, m.Epoch
		member.ClientID, member.ClientHost, member.SubscribedTopics, member.SubscribedTopicRegex = m.ClientID, m.ClientHost, m.Topics, m.Regex
		member.Assignment, member.TargetAssignment = describedAssignment(m.Assignment), describedAssignment(m.Target)
		if member.MemberType = consumerMember; m.Classic {
			member.MemberType = classicMember
		}
		out.Members = append(out.Members, member)
	}
}

func describedAssignment(all []group.DescribedPartitions) kmsg.Assignment {
	a := kmsg.NewAssignment()
	for _, t := range all {
		a.TopicPartitions = append(a.TopicPartitions, kmsg.AssignmentTopicPartition{TopicID: t.TopicID, Topic: t.Topic, Partitions: t.Partitions})
	}
	return a
}
