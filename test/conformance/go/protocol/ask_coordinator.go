package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func coordinatorProbes() []probe {
	return []probe{{"find-coordinator", findCoordinator}, {"internal-topics", internalTopics}}
}

// coordinatorRequest asks who coordinates keys; kinds are 0 for groups, 1 for transactional IDs and 2 for share partitions.
func coordinatorRequest(version int16, kind int8, keys ...string) *kmsg.FindCoordinatorRequest {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType = kind
	if version < 4 {
		req.CoordinatorKey = keys[0]
	} else {
		req.CoordinatorKeys = keys
	}
	return req
}

// coordinated waits until there is a coordinator, and returns its ID: the first who asks has the topic made.
func (a *asker) coordinated(kind int8, key string) (node int32) {
	a.until("there is a coordinator of "+key, func() bool {
		got := a.quiet(coordinatorRequest(6, kind, key), 6).(*kmsg.FindCoordinatorResponse).Coordinators[0]
		node = got.NodeID
		return got.ErrorCode == 0
	})
	return node
}

func findCoordinator(a *asker) {
	partition := a.topicName("g") + ":AAAAAAAAAAAAAAAAAAAAAQ:0"
	a.coordinated(0, "g")
	a.coordinated(1, "t")
	a.coordinated(2, partition)
	for kind, key := range []string{"g", "t", partition} {
		what := []string{"a group", "a transactional ID", "a share partition"}[kind]
		a.each(what, 0, 6, func(v int16) kmsg.Request { return coordinatorRequest(v, int8(kind), key) })
	}
	for _, v := range []int16{0, 1, 3, 4, 6} {
		for kind, what := range []string{"group", "transactional ID", "share partition"} {
			a.ask("an empty "+what, coordinatorRequest(v, int8(kind), ""), v)
		}
		a.ask("a kind that does not exist", coordinatorRequest(v, 3, "g"), v)
		a.ask("a negative kind", coordinatorRequest(v, -1, "g"), v)
	}
	for _, bad := range []string{"g", "g:0", "g:x:0", "g:AAAAAAAAAAAAAAAAAAAAAQ:x", "g:AAAAAAAAAAAAAAAAAAAAAQ:-1", ":AAAAAAAAAAAAAAAAAAAAAQ:0",
		"g:h:AAAAAAAAAAAAAAAAAAAAAQ:0", "g:AAAAAAAAAAAAAAAAAAAAAA:0", "g:AAAAAAAAAAAAAAAAAAAAAQ:+1",
		"g: AAAAAAAAAAAAAAAAAAAAAQ:1"} {
		a.ask("a share partition: "+bad, coordinatorRequest(6, 2, bad), 6)
	}
	a.each("several groups", 4, 6, func(v int16) kmsg.Request { return coordinatorRequest(v, 0, "a", "b", "c") })
	a.each("a group twice", 4, 6, func(v int16) kmsg.Request { return coordinatorRequest(v, 0, "a", "a") })
	a.each("no keys", 4, 6, func(v int16) kmsg.Request { return coordinatorRequest(v, 0) })
}

// internalTopics: what clients may do to the coordinators' topics.
func internalTopics(a *asker) {
	for kind, topic := range []string{"__consumer_offsets", "__transaction_state", "__share_group_state"} {
		a.coordinated(int8(kind), "g:AAAAAAAAAAAAAAAAAAAAAQ:0")
		meta := a.quiet(metadataFor(topic), 12).(*kmsg.MetadataResponse).Topics[0]
		a.question("%s is internal", topic)
		a.say("%v, %d partitions", meta.IsInternal, len(meta.Partitions))
		a.names[meta.TopicID] = topic
		for _, v := range []int16{3, 8, 13} {
			a.ask("producing to "+topic, produceRequest(topic, meta.TopicID, 0, newBatch(1).bytes()), v)
			a.ask("producing to a partition that does not exist of "+topic, produceRequest(topic, meta.TopicID, 999, newBatch(1).bytes()), v)
		}
		del := kmsg.NewPtrDeleteRecordsRequest()
		del.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: -1}}}}
		a.ask("deleting records of "+topic, del, 2)
		create := kmsg.NewPtrCreateTopicsRequest()
		create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}
		a.ask("creating "+topic, create, 7)
		for _, key := range []string{"cleanup.policy", "compression.type", "segment.bytes", "retention.ms", "unclean.leader.election.enable"} {
			c := kmsg.NewPtrDescribeConfigsRequest()
			c.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: topic, ConfigNames: []string{key}}}
			got := a.quiet(c, 4).(*kmsg.DescribeConfigsResponse).Resources[0].Configs[0]
			a.question("%s of %s", key, topic)
			a.say("%s, from %s", *got.Value, got.Source)
		}
	}
}
