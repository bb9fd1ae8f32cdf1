package node_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
	"chronik/internal/node/nodetest"
)

// TestShareStatesArePruned: the log of share partitions' state is shortened as often as the key says, to the snapshots that count.
func TestShareStatesArePruned(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{
		"share.coordinator.state.topic.prune.interval.ms": "1", "share.coordinator.state.topic.num.partitions": "1",
		"share.coordinator.snapshot.update.records.per.snapshot": "0",
	}}).Client()
	deadline := time.Now().Add(30 * time.Second)
	create(t, c, "t")
	meta := kmsg.NewPtrMetadataRequest()
	name := "t"
	meta.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	key := share.Key{Group: "g", TopicID: model.TopicID(nodetest.Do[*kmsg.MetadataResponse](c, 12, meta).Topics[0].TopicID)}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKeys = 2, []string{key.Coordinated()}
	for nodetest.Do[*kmsg.FindCoordinatorResponse](c, 6, find).Coordinators[0].ErrorCode != 0 {
	}
	initialize := kmsg.NewPtrInitializeShareGroupStateRequest()
	initialize.GroupID = key.Group
	initialize.Topics = []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: key.TopicID, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{}}}}
	for nodetest.Do[*kmsg.InitializeShareGroupStateResponse](c, 0, initialize).Topics[0].Partitions[0].ErrorCode != 0 {
		if time.Now().After(deadline) {
			t.Fatal("the coordinator does not load")
		}
	}
	write := kmsg.NewPtrWriteShareGroupStateRequest()
	write.GroupID = key.Group
	write.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: key.TopicID, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{{StartOffset: 5}}}}
	if r := nodetest.Do[*kmsg.WriteShareGroupStateResponse](c, 0, write); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	earliest := kmsg.NewPtrListOffsetsRequest()
	earliest.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "__share_group_state", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -2, CurrentLeaderEpoch: -1}}}}
	for {
		p := nodetest.Do[*kmsg.ListOffsetsResponse](c, 7, earliest).Topics[0].Partitions[0]
		if p.ErrorCode == 0 && p.Offset == 1 { // the first snapshot, which the second one has replaced, is gone
			return
		}
		if p.ErrorCode != 0 || time.Now().After(deadline) {
			t.Fatalf("the log begins at %d still (error code %d)", p.Offset, p.ErrorCode)
		}
	}
}
