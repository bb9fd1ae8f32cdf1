package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
)

// wordCount joins a group: lines are read, and counted by word behind a repartition topic.
func wordCount(id, member string) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis, req.ProcessID = id, member, 60_000, &member
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	changelog := kmsg.TopicInfo{Topic: id + "-counts-changelog", Configs: []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "compact"}}}
	req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
		{SubtopologyID: "0", SourceTopics: []string{"lines"}, RepartitionSinkTopics: []string{id + "-words-repartition"}},
		{SubtopologyID: "1", RepartitionSourceTopics: []kmsg.TopicInfo{{Topic: id + "-words-repartition"}}, StateChangelogTopics: []kmsg.TopicInfo{changelog}},
	}}
	return req
}

// goOn is a heartbeat of a member that has nothing to say.
func goOn(id, member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = id, member, epoch
	return req
}

func streamsNode(t *testing.T) *nodetest.Client {
	c := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{
		"group.streams.initial.rebalance.delay.ms": "0", "group.streams.assignment.interval.ms": "0", "offsets.topic.num.partitions": "2",
	}}).Client()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = "k", []string{"k"}
	for do[*kmsg.FindCoordinatorResponse](c, 4, find).Coordinators[0].ErrorCode != 0 {
	}
	return c
}

// beat is a heartbeat that waits for the coordinator to have loaded.
func beat(c *nodetest.Client, req *kmsg.StreamsGroupHeartbeatRequest) *kmsg.StreamsGroupHeartbeatResponse {
	for {
		r := do[*kmsg.StreamsGroupHeartbeatResponse](c, 0, req)
		if r.ErrorCode != kerr.CoordinatorLoadInProgress.Code && r.ErrorCode != kerr.NotCoordinator.Code {
			return r
		}
	}
}

// TestStreamsGroup: a streams group from its first member to its last one, with topics that are created for it.
func TestStreamsGroup(t *testing.T) {
	c := streamsNode(t)
	joined := beat(c, wordCount("k", "m"))
	wantCode(t, "joining", joined.ErrorCode, nil)
	if joined.MemberID != "m" || joined.MemberEpoch != 2 || joined.HeartbeatIntervalMillis != 5000 || joined.ActiveTasks == nil || len(joined.ActiveTasks) != 0 ||
		len(joined.Status) != 1 || joined.Status[0].StatusCode != 1 || !strings.Contains(joined.Status[0].StatusDetail, "lines") {
		t.Fatalf("joined without its source: %+v", joined)
	}
	createTopic(t, c, "lines", 3)
	for joined.ActiveTasks = nil; len(joined.ActiveTasks) == 0; { // internal topics are created meanwhile
		joined = beat(c, goOn("k", "m", joined.MemberEpoch))
		wantCode(t, "staying", joined.ErrorCode, nil)
		for _, s := range joined.Status {
			if strings.Contains(s.StatusDetail, "could not") {
				t.Fatalf("%+v", joined)
			}
		}
	}
	if len(joined.ActiveTasks) != 2 || !slices.Equal(joined.ActiveTasks[1].Partitions, []int32{0, 1, 2}) || joined.StandbyTasks == nil || len(joined.Status) != 0 {
		t.Fatalf("all topics are there: %+v", joined)
	}
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "k-counts-changelog", ConfigNames: []string{"cleanup.policy"}}}
	if r := do[*kmsg.DescribeConfigsResponse](c, 4, describe); *r.Resources[0].Configs[0].Value != "compact" {
		t.Errorf("the changelog: %+v", r)
	}
	describedStreamsAs(t, c, joined.MemberEpoch)
	wantCode(t, "another epoch", beat(c, goOn("k", "m", 9)).ErrorCode, kerr.FencedMemberEpoch)
	if left := beat(c, goOn("k", "m", -1)); left.ErrorCode != 0 || left.MemberEpoch != -1 || left.Status == nil {
		t.Errorf("left: %+v", left)
	}
	wantCode(t, "leaving twice", beat(c, goOn("k", "m", -1)).ErrorCode, kerr.UnknownMemberID)
}

func describedStreamsAs(t *testing.T, c *nodetest.Client, epoch int32) {
	req := kmsg.NewPtrStreamsGroupDescribeRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{"k", "nobody", "", "k"}, true
	resp := do[*kmsg.StreamsGroupDescribeResponse](c, 0, req)
	if len(resp.Groups) != 3 {
		t.Fatalf("%d groups are described", len(resp.Groups))
	}
	wantCode(t, "a group that does not exist", resp.Groups[1].ErrorCode, kerr.GroupIDNotFound)
	wantCode(t, "a group without a name", resp.Groups[2].ErrorCode, kerr.InvalidGroupID)
	g := resp.Groups[0]
	if g.ErrorCode != 0 || g.Group != "k" || g.State != "Stable" || g.Epoch != epoch || g.AssignmentEpoch != epoch || len(g.Members) != 1 || g.AuthorizedOperations == -1<<31 {
		t.Fatalf("described as %+v", g)
	}
	s := g.Topology.Subtopologies
	if len(s) != 2 || !slices.Equal(s[0].SourceTopics, []string{"lines"}) || s[1].RepartitionSourceTopics[0].NumPartitions != 3 || s[1].StateChangelogTopics[0].Configs[0].Value != "compact" {
		t.Errorf("its topology is described as %+v", s)
	}
	m := g.Members[0]
	if m.MemberID != "m" || m.MemberEpoch != epoch || m.ProcessID != "m" || len(m.Assignment.ActiveTasks) != 2 || len(m.TargetAssignment.ActiveTasks) != 2 {
		t.Errorf("its member is described as %+v", m)
	}
}

// TestStreamsRefusals: what no member may say, with codes that clients understand; and why topics cannot be created.
func TestStreamsRefusals(t *testing.T) {
	c := streamsNode(t)
	instance := "i"
	for _, x := range []struct {
		what string
		edit func(*kmsg.StreamsGroupHeartbeatRequest)
		want *kerr.Error
	}{
		{"no group", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Group = "" }, kerr.InvalidRequest},
		{"a static member", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.InstanceID = &instance }, kerr.InvalidRequest},
		{"offsets", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.TaskOffsets = []kmsg.TaskOffset{} }, kerr.InvalidRequest},
		{"a brokers' topic", func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[0].SourceTopics = []string{"__consumer_offsets"}
		}, kerr.StreamsInvalidTopology},
		{"a changelog of its own size", func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[1].StateChangelogTopics[0].NumPartitions = 1
		}, kerr.StreamsInvalidTopology},
		{"nobody", func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology, r.MemberEpoch = nil, 3 }, kerr.GroupIDNotFound},
	} {
		req := wordCount("k", "m")
		x.edit(req)
		r := beat(c, req)
		if wantCode(t, x.what, r.ErrorCode, x.want); r.ErrorMessage == nil || r.Status == nil {
			t.Errorf("%s: %+v", x.what, r)
		}
	}
	createTopic(t, c, "lines", 1)
	req := wordCount("k", "m")
	req.Topology.Subtopologies[1].StateChangelogTopics[0].ReplicationFactor = 5
	r := beat(c, req)
	for wantCode(t, "joining", r.ErrorCode, nil); len(r.Status) != 1 || !strings.Contains(r.Status[0].StatusDetail, "could not be created: k-counts-changelog"); {
		if r = beat(c, goOn("k", "m", r.MemberEpoch)); len(r.Status) == 0 || r.Status[0].StatusCode != 3 {
			t.Fatalf("%+v", r)
		}
	}
}
