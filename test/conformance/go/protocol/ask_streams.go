package main

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func streamsProbes() []probe {
	return []probe{
		{"streams/members", streamsMembers},
		{"streams/bad-members", badStreamsMembers},
		{"streams/topologies", streamsTopologies},
		{"streams/internal-topics", streamsInternalTopics},
		{"streams/describe", describeStreams},
		{"streams/other-groups", otherThanStreams},
		{"streams/offsets", streamsOffsets},
	}
}

// streamsBeat is a heartbeat of a member that has nothing to say.
func streamsBeat(group, member string, epoch int32) *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	return req
}

// streamsJoin says all that who joins says: that it reads topics.
func streamsJoin(group, member string, topics ...string) *kmsg.StreamsGroupHeartbeatRequest {
	req := streamsBeat(group, member, 0)
	req.RebalanceTimeoutMillis, req.ProcessID = 60_000, &member
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{{SubtopologyID: "0", SourceTopics: topics}}}
	return req
}

// running waits until a member has so many tasks, and returns its last answer: a new group waits for members, and an assignment is kept for a while. A member that joins again is told everything.
func (a *asker) running(join *kmsg.StreamsGroupHeartbeatRequest, tasks int) (got *kmsg.StreamsGroupHeartbeatResponse) {
	a.until(fmt.Sprintf("%s of %s has %d tasks", join.MemberID, join.Group, tasks), func() bool {
		got = a.quiet(join, 0).(*kmsg.StreamsGroupHeartbeatResponse)
		n := 0
		for _, t := range got.ActiveTasks {
			n += len(t.Partitions)
		}
		return got.ErrorCode == 0 && n == tasks && len(got.Status) == 0
	})
	return got
}

// beats asks, and writes down the answer without the epochs, which are a matter of time.
func (a *asker) beats(question string, req *kmsg.StreamsGroupHeartbeatRequest) *kmsg.StreamsGroupHeartbeatResponse {
	got := a.quiet(req, 0).(*kmsg.StreamsGroupHeartbeatResponse)
	if got.MemberEpoch > 0 && got.MemberEpoch == req.MemberEpoch {
		question += ": it keeps its epoch"
	}
	a.heard(question, got)
	return got
}

// heard writes down an answer without the epoch, and the interval that is configured.
func (a *asker) heard(question string, got *kmsg.StreamsGroupHeartbeatResponse) {
	shown := *got
	shown.MemberEpoch, shown.HeartbeatIntervalMillis = min(shown.MemberEpoch, 1), 0
	a.answered(question, &shown)
}

func owning(req *kmsg.StreamsGroupHeartbeatRequest, subtopology string, partitions ...int32) *kmsg.StreamsGroupHeartbeatRequest {
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{{SubtopologyID: subtopology, Partitions: partitions}}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	return req
}

func streamsMembers(a *asker) {
	topic, _ := a.topic("t", 2)
	group := a.group("g")
	a.beats("the first member", streamsJoin(group, memberA, topic))
	epoch := a.running(streamsJoin(group, memberA, topic), 2).MemberEpoch
	a.beats("a heartbeat without news", streamsBeat(group, memberA, epoch))
	a.beats("a heartbeat with its tasks", owning(streamsBeat(group, memberA, epoch), "0", 0, 1))
	a.beats("a heartbeat of an epoch to come", streamsBeat(group, memberA, epoch+5))
	a.beats("a heartbeat of an epoch long ago", streamsBeat(group, memberA, 1))
	a.beats("nobody's heartbeat", streamsBeat(group, memberB, epoch))
	a.beats("a task that there is not", owning(streamsBeat(group, memberA, epoch), "0", 2))
	a.beats("a subtopology that there is not", owning(streamsBeat(group, memberA, epoch), "1", 0))
	a.beats("joining again", streamsJoin(group, memberA, topic))
	a.quiet(streamsJoin(group, memberB, topic), 0)
	var first *kmsg.StreamsGroupHeartbeatResponse
	a.until("the first member is to give up something", func() bool {
		first = a.quiet(streamsBeat(group, memberA, epoch), 0).(*kmsg.StreamsGroupHeartbeatResponse)
		return first.ActiveTasks != nil
	})
	a.heard("the first member gives up", first)
	a.quiet(owning(streamsBeat(group, memberA, epoch), "0", 0), 0)
	second := a.running(streamsJoin(group, memberB, topic), 1)
	a.heard("the second member takes over", second)
	a.beats("asking for the end of all", func() *kmsg.StreamsGroupHeartbeatRequest {
		req := streamsJoin(group, memberB, topic)
		req.ShutdownApplication = true
		return req
	}())
	a.ask("leaving", streamsBeat(group, memberA, -1), 0)
	a.ask("leaving again", streamsBeat(group, memberA, -1), 0)
	a.ask("a heartbeat after leaving", streamsBeat(group, memberA, epoch), 0)
	a.ask("the last one leaves", streamsBeat(group, memberB, -1), 0)
	a.ask("a heartbeat of an empty group", streamsBeat(group, memberB, 1), 0)
}

func badStreamsMembers(a *asker) {
	topic, _ := a.topic("t", 1)
	group := a.group("g")
	ask := func(question string, edit func(*kmsg.StreamsGroupHeartbeatRequest)) {
		req := streamsJoin(group, memberA, topic)
		edit(req)
		a.ask(question, req, 0)
	}
	type beat = kmsg.StreamsGroupHeartbeatRequest
	ask("an empty group", func(r *beat) { r.Group = "" })
	ask("an empty member", func(r *beat) { r.MemberID = "" })
	ask("an empty rack", func(r *beat) { r.RackID = new(string) })
	ask("a static member", func(r *beat) { r.InstanceID = kmsg.StringPtr("i") })
	ask("a static member leaves for a while", func(r *beat) { *r = *streamsBeat(group, memberA, -2); r.InstanceID = kmsg.StringPtr("i") })
	ask("epoch -2", func(r *beat) { *r = *streamsBeat(group, memberA, -2) })
	ask("epoch -3", func(r *beat) { *r = *streamsBeat(group, memberA, -3) })
	ask("joining without a rebalance timeout", func(r *beat) { r.RebalanceTimeoutMillis = -1 })
	ask("joining without a topology", func(r *beat) { r.Topology = nil })
	ask("joining with tasks", func(r *beat) { owning(r, "0", 0) })
	ask("some tasks and nothing of others", func(r *beat) { r.StandbyTasks = nil })
	ask("warm-up tasks", func(r *beat) { r.WarmupTasks = []kmsg.TaskIDs{{SubtopologyID: "0", Partitions: []int32{0}}} })
	ask("offsets of tasks", func(r *beat) { r.TaskOffsets = []kmsg.TaskOffset{} })
	ask("end offsets of tasks", func(r *beat) { r.TaskEndOffsets = []kmsg.TaskOffset{} })
	ask("a topology of who has joined", func(r *beat) { r.MemberEpoch = 1 })
	ask("a changelog with partitions", func(r *beat) {
		r.Topology.Subtopologies[0].StateChangelogTopics = []kmsg.TopicInfo{{Topic: group + "-s", NumPartitions: 2}}
	})
	ask("a brokers' topic", func(r *beat) { r.Topology.Subtopologies[0].SourceTopics = []string{"__consumer_offsets"} })
	ask("a name that no topic has", func(r *beat) { r.Topology.Subtopologies[0].RepartitionSinkTopics = []string{"a/b"} })
	ask("a repartition topic that nobody writes", func(r *beat) {
		r.Topology.Subtopologies[0].RepartitionSourceTopics = []kmsg.TopicInfo{{Topic: group + "-r"}}
	})
	a.ask("a group that does not exist", streamsBeat(group, memberA, 1), 0)
	a.ask("leaving a group that does not exist", streamsBeat(group, memberA, -1), 0)
}

func streamsTopologies(a *asker) {
	topic, _ := a.topic("t", 1)
	group := a.group("g")
	of := func(member string, epoch int32, topics ...string) *kmsg.StreamsGroupHeartbeatRequest {
		req := streamsJoin(group, member, topics...)
		req.Topology.Epoch = epoch
		return req
	}
	a.running(of(memberA, 3, topic), 1)
	a.beats("another topology", of(memberB, 3, topic, topic+"-other"))
	a.beats("a later one", of(memberB, 4, topic))
	a.beats("an earlier one", of(memberB, 2, topic+"-other"))
	a.until("the assignment is made again", func() bool {
		return len(a.quiet(of(memberB, 2, topic), 0).(*kmsg.StreamsGroupHeartbeatResponse).Status) == 1
	})
	got := a.quiet(of(memberB, 2, topic), 0).(*kmsg.StreamsGroupHeartbeatResponse)
	a.heard("an earlier one, again", got)
	missing := a.group("missing")
	a.beats("a source that is missing", streamsJoin(missing, memberA, topic+"-none"))
	odd, _ := a.topic("odd", 2)
	joined := streamsJoin(a.group("odd"), memberA, topic, odd)
	joined.Topology.Subtopologies[0].CopartitionGroups = []kmsg.StreamsGroupHeartbeatRequestTopologySubtopologyCopartitionGroup{{SourceTopics: []int16{0, 1}}}
	a.beats("topics that are to be partitioned alike", joined)
	sized := streamsJoin(a.group("sized"), memberA, topic)
	sized.Topology.Subtopologies[0].StateChangelogTopics = []kmsg.TopicInfo{{Topic: odd}}
	a.beats("a changelog of another size", sized)
}

// wordCount reads a topic, and another one that it writes itself, which it counts.
func wordCount(group, topic string) *kmsg.StreamsGroupHeartbeatRequest {
	req := streamsJoin(group, memberA, topic)
	changelog := kmsg.TopicInfo{Topic: group + "-changelog", Configs: []kmsg.TopicInfoConfig{{Key: "cleanup.policy", Value: "compact"}, {Key: "segment.bytes", Value: "52428800"}}}
	req.Topology.Subtopologies[0].RepartitionSinkTopics = []string{group + "-repartition"}
	req.Topology.Subtopologies = append(req.Topology.Subtopologies, kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{
		SubtopologyID: "1", RepartitionSourceTopics: []kmsg.TopicInfo{{Topic: group + "-repartition"}}, StateChangelogTopics: []kmsg.TopicInfo{changelog},
	})
	return req
}

func streamsInternalTopics(a *asker) {
	topic, _ := a.topic("t", 3)
	group := a.group("g")
	a.beats("topics that are to be created", wordCount(group, topic))
	got := a.running(wordCount(group, topic), 6)
	a.heard("topics that were created", got)
	for _, name := range []string{"-repartition", "-changelog"} {
		a.question("the partitions of %s", name)
		t := a.quiet(metadataFor(group+name), 9).(*kmsg.MetadataResponse).Topics[0]
		a.say("%d", len(t.Partitions))
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: group + name, ConfigNames: []string{"cleanup.policy", "segment.bytes"}}}
		for _, c := range a.quiet(req, 4).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
			a.say("%s=%s", c.Name, *c.Value)
		}
	}
	failing := a.group("failing")
	req := wordCount(failing, topic)
	req.Topology.Subtopologies[1].StateChangelogTopics[0].ReplicationFactor = 99
	a.beats("a topic with 99 replicas", req)
	a.until("somebody says why", func() bool {
		for _, s := range a.quiet(req, 0).(*kmsg.StreamsGroupHeartbeatResponse).Status {
			if strings.Contains(s.StatusDetail, "replication") {
				return true
			}
		}
		return false
	})
}

func describeStreams(a *asker) {
	topic, _ := a.topic("t", 2)
	group := a.group("g")
	join := wordCount(group, topic)
	join.ClientTags = []kmsg.StreamsGroupHeartbeatRequestClientTag{{Key: "zone", Value: "z"}}
	join.UserEndpoint = &kmsg.StreamsGroupHeartbeatRequestUserEndpoint{Host: "h", Port: 9}
	join.RackID = kmsg.StringPtr("r")
	ask := func(question string, authorized bool, groups ...string) {
		req := kmsg.NewPtrStreamsGroupDescribeRequest()
		req.Groups, req.IncludeAuthorizedOperations = groups, authorized
		got := a.quiet(req, 0).(*kmsg.StreamsGroupDescribeResponse)
		for i := range got.Groups {
			g := &got.Groups[i]
			g.Epoch, g.AssignmentEpoch = min(g.Epoch, 1), min(g.AssignmentEpoch, 1)
			for j := range g.Members {
				g.Members[j].MemberEpoch, g.Members[j].ClientHost = min(g.Members[j].MemberEpoch, 1), ""
			}
		}
		a.answered(question, got)
	}
	a.running(join, 4)
	ask("a group", false, group)
	ask("with what may be done to it", true, group)
	ask("none, and one without a name", true, group+"-none", "")
	ask("no groups", false)
	a.quiet(streamsBeat(group, memberA, -1), 0)
	ask("a group that is empty", false, group)
	waiting := a.group("waiting")
	a.quiet(wordCount(waiting, topic+"-none"), 0)
	ask("a group whose source is missing", false, waiting)
	list := kmsg.NewPtrListGroupsRequest()
	list.TypesFilter = []string{"Streams"}
	a.question("groups of streams")
	for _, g := range a.quiet(list, 5).(*kmsg.ListGroupsResponse).Groups {
		if g.Group == group || g.Group == waiting {
			a.say("%s %s %s", g.ProtocolType, g.GroupState, g.GroupType)
		}
	}
}

func otherThanStreams(a *asker) {
	topic, _ := a.topic("t", 1)
	group := a.group("g")
	a.running(streamsJoin(group, memberA, topic), 1)
	others := func(when string) {
		consumer := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		consumer.Group, consumer.MemberID, consumer.RebalanceTimeoutMillis, consumer.SubscribedTopicNames = group, memberB, 1000, []string{topic}
		consumer.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		a.ask(when+": a consumer joins", consumer, 1)
		a.ask(when+": a sharer joins", shareBeat(group, memberB, 0, topic), 1)
		a.ask(when+": a classic heartbeat", heartbeatRequest(group, memberB, 1), 4)
		a.ask(when+": a classic member leaves", leaveRequest(group, memberB), 5)
		describe := kmsg.NewPtrDescribeGroupsRequest()
		describe.Groups = []string{group}
		a.ask(when+": as a classic group", describe, 6)
		consumers := kmsg.NewPtrConsumerGroupDescribeRequest()
		consumers.Groups = []string{group}
		a.ask(when+": as one of consumers", consumers, 1)
		a.ask(when+": a classic member joins with an ID", joinRequest(group, memberB), 5) // the last: Kafka refuses it, and deletes the group if it is empty
	}
	others("with a member")
	a.ask("with a member: a classic member joins", joinRequest(group, ""), 5)
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{group}
	a.ask("with a member: deleting", del, 2)
	a.quiet(streamsBeat(group, memberA, -1), 0)
	others("empty")
	joined := a.quiet(joinRequest(group, ""), 3).(*kmsg.JoinGroupResponse)
	a.question("empty: a classic member joins")
	a.say("%s", errorName(joined.ErrorCode))
	a.beats("a classic group with a member", streamsJoin(group, memberA, topic))
	a.quiet(leaveRequest(group, joined.MemberID), 5)
	a.beats("a classic group without members", streamsJoin(group, memberA, topic))
	a.quiet(streamsBeat(group, memberA, -1), 0)
	a.ask("deleting", del, 2)
	a.ask("deleting again", del, 1)
}

func streamsOffsets(a *asker) {
	topic, _ := a.topic("t", 2)
	group := a.group("g")
	epoch := a.running(streamsJoin(group, memberA, topic), 2).MemberEpoch
	commit := func(question, member string, epoch int32, version int16) {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = group, member, epoch
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset = 1
		req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
		a.ask("committing "+question, req, version)
	}
	fetch := func(question string, member *string, epoch int32) {
		req := kmsg.NewPtrOffsetFetchRequest()
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberID, g.MemberEpoch = group, member, epoch
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{0}}}
		req.Groups = []kmsg.OffsetFetchRequestGroup{g}
		a.ask("fetching "+question, req, 9)
	}
	a1, b1 := memberA, memberB
	commit("as a member", memberA, epoch, 9)
	commit("as a member, which this version cannot be", memberA, epoch, 8)
	commit("of another epoch", memberA, epoch+1, 9)
	commit("of an epoch long ago", memberA, 1, 9)
	commit("as nobody", "", -1, 9)
	commit("as another one", memberB, epoch, 9)
	fetch("as a member", &a1, epoch)
	fetch("of another epoch", &a1, epoch+1)
	fetch("as another one", &b1, epoch)
	fetch("as nobody", nil, -1)
	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = group
	del.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}}}
	a.ask("deleting what is read", del, 0)
	a.quiet(streamsBeat(group, memberA, -1), 0)
	commit("as nobody to an empty group", "", -1, 9)
	a.ask("deleting what nobody reads", del, 0)
}
