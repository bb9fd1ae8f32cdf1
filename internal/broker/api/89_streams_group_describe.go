package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
)

// StreamsGroupDescribe (89), version 0: streams groups, each once (KIP-1071).
func (b *Broker) streamsGroupDescribe(ctx context.Context, _ *server.Request, req *kmsg.StreamsGroupDescribeRequest) *kmsg.StreamsGroupDescribeResponse {
	resp := kmsg.NewPtrStreamsGroupDescribeResponse()
	for _, got := range describeEach(ctx, b, req.Groups, group.ErrInvalidGroupID, (*group.Machine).DescribeStreams) {
		out := kmsg.NewStreamsGroupDescribeResponseGroup()
		if err := firstOf(got.err, got.group.Err); err != nil {
			out.ErrorCode, out.ErrorMessage = groupCode(err), message(err)
		} else {
			describeStreams(&out, &got.group)
			if req.IncludeAuthorizedOperations {
				out.AuthorizedOperations = groupOperations
			}
		}
		out.Group = got.id
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}

func describeStreams(out *kmsg.StreamsGroupDescribeResponseGroup, d *group.StreamsDescription) {
	out.State, out.Epoch, out.AssignmentEpoch = d.State.String(), d.Epoch, d.AssignmentEpoch
	if d.Topology != nil {
		t := kmsg.NewStreamsGroupDescribeResponseGroupTopology()
		t.Epoch, t.Subtopologies = d.Topology.Epoch, []kmsg.StreamsGroupDescribeResponseGroupTopologySubtopology{}
		for _, s := range d.Topology.Subtopologies {
			t.Subtopologies = append(t.Subtopologies, kmsg.StreamsGroupDescribeResponseGroupTopologySubtopology{
				SubtopologyID: s.ID, SourceTopics: s.Sources, RepartitionSinkTopics: s.Sinks,
				StateChangelogTopics: topicInfos(s.StateChangelogs), RepartitionSourceTopics: topicInfos(s.RepartitionSources),
			})
		}
		out.Topology = &t
	}
	for _, m := range d.Members {
		out.Members = append(out.Members, describedStreamsMember(&m))
	}
}

func describedStreamsMember(m *group.StreamsMemberDescription) kmsg.StreamsGroupDescribeResponseGroupMember {
	out := kmsg.NewStreamsGroupDescribeResponseGroupMember()
	about := m.About
	out.MemberID, out.MemberEpoch, out.InstanceID, out.RackID = m.Member, m.Epoch, about.InstanceID, about.RackID
	out.ClientID, out.ClientHost, out.TopologyEpoch, out.ProcessID = about.ClientID, about.ClientHost, about.TopologyEpoch, about.ProcessID
	if e := about.UserEndpoint; e != nil {
		out.UserEndpoint = &kmsg.StreamsGroupDescribeResponseGroupMemberUserEndpoint{Host: e.Host, Port: e.Port}
	}
	for _, t := range about.ClientTags {
		out.ClientTags = append(out.ClientTags, kmsg.StreamsGroupDescribeResponseGroupMemberClientTag{Key: t.Key, Value: t.Value})
	}
	out.Assignment, out.TargetAssignment = streamsAssignment(m.Assignment), streamsAssignment(m.Target)
	return out
}

func streamsAssignment(t streams.Tasks) kmsg.StreamsAssignment {
	return kmsg.StreamsAssignment{ActiveTasks: taskIDs(t.Active), StandbyTasks: taskIDs(t.Standby), WarmupTasks: taskIDs(t.Warmup)}
}

func topicInfos(all []schema.InternalTopic) (out []kmsg.TopicInfo) {
	for _, t := range all {
		x := kmsg.TopicInfo{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.ReplicationFactor}
		for _, c := range t.TopicConfigs {
			x.Configs = append(x.Configs, kmsg.TopicInfoConfig{Key: c.Key, Value: c.Value})
		}
		out = append(out, x)
	}
	return out
}
