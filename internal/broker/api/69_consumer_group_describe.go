package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
)

// What members speak, as ConsumerGroupDescribe has it.
const (
	classicMember  = 0
	consumerMember = 1
)

// ConsumerGroupDescribe (69), versions 0 to 1: groups of the new protocol, each once (KIP-848). Version 1 tells which protocol a member speaks.
func (b *Broker) consumerGroupDescribe(ctx context.Context, _ *server.Request, req *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	ids := distinct(req.Groups)
	asked := make([]pending[describedConsumer], len(ids))
	for i, id := range ids {
		asked[i] = begin(b, id, func(m *group.Machine, _ time.Time, reply func(describedConsumer)) shard.Result {
			return m.DescribeConsumer([]string{id}, func(d []group.ConsumerDescription, err error) { reply(describedConsumer{d[0], err}) })
		})
	}
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	for i, p := range asked {
		got, err := p.wait(ctx)
		out := kmsg.NewConsumerGroupDescribeResponseGroup()
		if err = firstOf(err, got.err, got.Err); err != nil {
			out.ErrorCode, out.ErrorMessage = groupCode(err), message(err)
		} else {
			describeConsumer(&out, &got.ConsumerDescription)
			if req.IncludeAuthorizedOperations {
				out.AuthorizedOperations = groupOperations
			}
		}
		out.Group = ids[i]
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

type describedConsumer struct {
	group.ConsumerDescription
	err error
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
