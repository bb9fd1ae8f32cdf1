package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/broker/server"
	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// StreamsGroupHeartbeat (88), version 0: a member of a streams group joins, stays and leaves (KIP-1071). Internal topics that its topology needs and nobody has
// created yet are created meanwhile, as whoever asks: a later heartbeat finds them.
func (b *Broker) streamsGroupHeartbeat(ctx context.Context, r *server.Request, req *kmsg.StreamsGroupHeartbeatRequest) *kmsg.StreamsGroupHeartbeatResponse {
	in := streamsHeartbeat(req)
	in.ClientID, in.ClientHost = r.ClientID, clientHost(r.Conn)
	resp := kmsg.NewPtrStreamsGroupHeartbeatResponse()
	resp.Status = []kmsg.StreamsGroupHeartbeatResponseStatus{} // none, but not null
	var out group.StreamsHeartbeatReply
	err := in.Check()
	if err == nil {
		out, err = askGroup(ctx, b, in.Group, func(m *group.Machine, now time.Time, reply func(group.StreamsHeartbeatReply)) shard.Result {
			return m.StreamsHeartbeat(now, in, reply)
		})
	}
	if err = firstOf(err, out.Err); err != nil {
		resp.ErrorCode, resp.ErrorMessage = groupCode(err), message(err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = out.Member, out.Epoch, out.HeartbeatMs
	if out.Assigned {
		resp.ActiveTasks, resp.StandbyTasks, resp.WarmupTasks = taskIDs(out.Tasks.Active), taskIDs(out.Tasks.Standby), taskIDs(out.Tasks.Warmup)
	}
	b.internalTopics.create(originOf(r), r.ClientID, out.Create, 2*time.Duration(out.HeartbeatMs)*time.Millisecond)
	for _, s := range out.Status {
		if s.Code == group.MissingInternal {
			s.Detail += b.internalTopics.trouble(out.Create)
		}
		resp.Status = append(resp.Status, kmsg.StreamsGroupHeartbeatResponseStatus{StatusCode: int8(s.Code), StatusDetail: s.Detail})
	}
	resp.EndpointInformationEpoch = out.EndpointEpoch
	if out.Endpoints != nil {
		resp.PartitionsByUserEndpoint = make([]kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpoint, 0, len(out.Endpoints))
	}
	for _, e := range out.Endpoints {
		x := kmsg.NewStreamsGroupHeartbeatResponsePartitionsByUserEndpoint()
		x.UserEndpoint.Host, x.UserEndpoint.Port = e.Endpoint.Host, e.Endpoint.Port
		for _, p := range e.Active {
			x.ActivePartitions = append(x.ActivePartitions, kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointActivePartition{Topic: p.Topic, Partitions: p.Partitions})
		}
		for _, p := range e.Standby {
			x.StandbyPartitions = append(x.StandbyPartitions, kmsg.StreamsGroupHeartbeatResponsePartitionsByUserEndpointStandbyPartition{Topic: p.Topic, Partitions: p.Partitions})
		}
		resp.PartitionsByUserEndpoint = append(resp.PartitionsByUserEndpoint, x)
	}
	return resp
}

// streamsHeartbeat is what a request asks.
func streamsHeartbeat(req *kmsg.StreamsGroupHeartbeatRequest) group.StreamsHeartbeatRequest {
	in := group.StreamsHeartbeatRequest{
		Group: req.Group, Member: req.MemberID, Epoch: req.MemberEpoch, EndpointEpoch: req.EndpointInformationEpoch, Instance: req.InstanceID, Rack: req.RackID,
		RebalanceMs: req.RebalanceTimeoutMillis, Active: tasksOf(req.ActiveTasks), Standby: tasksOf(req.StandbyTasks), Warmup: tasksOf(req.WarmupTasks),
		Process: req.ProcessID, TaskOffsets: req.TaskOffsets != nil, TaskEndings: req.TaskEndOffsets != nil, Shutdown: req.ShutdownApplication,
	}
	if e := req.UserEndpoint; e != nil {
		in.Endpoint = &schema.Endpoint{Host: e.Host, Port: e.Port}
	}
	if req.ClientTags != nil {
		in.Tags = make([]schema.KeyValue, len(req.ClientTags))
		for i, t := range req.ClientTags {
			in.Tags[i] = schema.KeyValue{Key: t.Key, Value: t.Value}
		}
	}
	if t := req.Topology; t != nil {
		in.Topology = &schema.StreamsTopology{Epoch: t.Epoch}
		for i := range t.Subtopologies {
			in.Topology.Subtopologies = append(in.Topology.Subtopologies, subtopologyOf(&t.Subtopologies[i]))
		}
	}
	return in
}

func subtopologyOf(s *kmsg.StreamsGroupHeartbeatRequestTopologySubtopology) schema.Subtopology {
	topics := func(all []kmsg.TopicInfo) (out []schema.InternalTopic) {
		for _, t := range all {
			x := schema.InternalTopic{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
			for _, c := range t.Configs {
				x.TopicConfigs = append(x.TopicConfigs, schema.KeyValue{Key: c.Key, Value: c.Value})
			}
			out = append(out, x)
		}
		return out
	}
	out := schema.Subtopology{
		SubtopologyID: s.SubtopologyID, SourceTopics: s.SourceTopics, SourceTopicRegex: s.SourceTopicRegex,
		StateChangelogTopics: topics(s.StateChangelogTopics), RepartitionSinkTopics: s.RepartitionSinkTopics, RepartitionSourceTopics: topics(s.RepartitionSourceTopics),
	}
	for _, g := range s.CopartitionGroups {
		out.CopartitionGroups = append(out.CopartitionGroups, schema.CopartitionGroup{
			SourceTopics: g.SourceTopics, SourceTopicRegex: g.SourceTopicRegex, RepartitionSourceTopics: g.RepartitionSourceTopics,
		})
	}
	return out
}

// tasksOf are tasks that a request names; nil: it does not say.
func tasksOf(all []kmsg.TaskIDs) []streams.TaskID {
	if all == nil {
		return nil
	}
	out := []streams.TaskID{}
	for _, t := range all {
		for _, n := range t.Partitions {
			out = append(out, streams.TaskID{Subtopology: t.SubtopologyID, Partition: n})
		}
	}
	return out
}

// taskIDs are tasks, which are in order, as answers have them: never null.
func taskIDs(tasks []streams.TaskID) []kmsg.TaskIDs {
	out := []kmsg.TaskIDs{}
	for _, t := range tasks {
		if n := len(out); n == 0 || out[n-1].SubtopologyID != t.Subtopology {
			out = append(out, kmsg.TaskIDs{SubtopologyID: t.Subtopology})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, t.Partition)
	}
	return out
}
