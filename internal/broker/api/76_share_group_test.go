package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
)

// sharingGroup is a broker with a topic of two partitions and a share group that reads them.
type sharingGroup struct {
	t     *testing.T
	c     *nodetest.Client
	topic model.TopicID
}

// sharingMember is as clients make them up.
const sharingMember = "AAAAAAAAAAAAAAAAAAAAAA"

func newSharingGroup(t *testing.T) *sharingGroup {
	w := &sharingGroup{t: t, c: nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"share.coordinator.state.topic.num.partitions": "3"}}).Client()}
	w.topic = createTopic(t, w.c, "t", 2)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"g"}
	w.until("groups are coordinated", func() bool {
		return do[*kmsg.FindCoordinatorResponse](w.c, 6, find).Coordinators[0].ErrorCode == 0 && w.beat(-1).ErrorCode == kerr.GroupIDNotFound.Code
	})
	return w
}

func (w *sharingGroup) until(what string, seen func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !seen(); {
		if time.Now().After(end) {
			w.t.Fatalf("it never came true that %s", what)
		}
	}
}

func (w *sharingGroup) beat(epoch int32, topics ...string) *kmsg.ShareGroupHeartbeatResponse {
	req := kmsg.NewPtrShareGroupHeartbeatRequest()
	req.GroupID, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = "g", sharingMember, epoch, topics
	return do[*kmsg.ShareGroupHeartbeatResponse](w.c, 1, req)
}

// joined is a member's answer when it has both partitions: they have to begin first.
func (w *sharingGroup) joined() (got *kmsg.ShareGroupHeartbeatResponse) {
	w.t.Helper()
	w.until("the member has both partitions", func() bool {
		got = w.beat(0, "t")
		return got.ErrorCode == 0 && got.Assignment != nil && len(got.Assignment.TopicPartitions) == 1 && len(got.Assignment.TopicPartitions[0].Partitions) == 2
	})
	return got
}

func (w *sharingGroup) describe() kmsg.ShareGroupDescribeResponseGroup {
	req := kmsg.NewPtrShareGroupDescribeRequest()
	req.GroupIDs = []string{"g", "nobody", "g"}
	got := do[*kmsg.ShareGroupDescribeResponse](w.c, 1, req).Groups
	if len(got) != 2 {
		w.t.Fatalf("%d groups are described, asked for were two", len(got))
	}
	wantCode(w.t, "a group that does not exist", got[1].ErrorCode, kerr.GroupIDNotFound)
	return got[0]
}

// offsets are those of all partitions that the group has, or of partition 0 of topics.
func (w *sharingGroup) offsets(topics ...string) kmsg.DescribeShareGroupOffsetsResponseGroup {
	req := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
	g.GroupID = "g"
	for _, t := range topics {
		g.Topics = append(g.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: t, Partitions: []int32{0}})
	}
	req.Groups = append(req.Groups, g)
	return do[*kmsg.DescribeShareGroupOffsetsResponse](w.c, 1, req).Groups[0]
}

// alter has the group go on with partitions of t from an offset. It returns the code of all, or those of each.
func (w *sharingGroup) alter(start int64, partitions ...int32) (code int16, each []int16) {
	req := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	req.GroupID = "g"
	t := kmsg.NewAlterShareGroupOffsetsRequestTopic()
	t.Topic = "t"
	for _, p := range partitions {
		t.Partitions = append(t.Partitions, kmsg.AlterShareGroupOffsetsRequestTopicPartition{Partition: p, StartOffset: start})
	}
	req.Topics = append(req.Topics, t)
	got := do[*kmsg.AlterShareGroupOffsetsResponse](w.c, 0, req)
	for _, t := range got.Topics {
		for _, p := range t.Partitions {
			each = append(each, p.ErrorCode)
		}
	}
	return got.ErrorCode, each
}

func (w *sharingGroup) forget(topics ...string) *kmsg.DeleteShareGroupOffsetsResponse {
	req := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
	req.GroupID = "g"
	for _, t := range topics {
		req.Topics = append(req.Topics, kmsg.DeleteShareGroupOffsetsRequestTopic{Topic: t})
	}
	return do[*kmsg.DeleteShareGroupOffsetsResponse](w.c, 0, req)
}

// TestShareGroup: a share group from its first member to its deletion.
func TestShareGroup(t *testing.T) {
	w := newSharingGroup(t)
	joined := w.joined()
	if still := w.beat(joined.MemberEpoch); still.ErrorCode != 0 || still.MemberEpoch != joined.MemberEpoch || still.Assignment != nil || still.HeartbeatIntervalMillis != 5000 {
		t.Errorf("still there: %+v", still)
	}
	wantCode(t, "another epoch", w.beat(joined.MemberEpoch+1).ErrorCode, kerr.FencedMemberEpoch)
	g := w.describe()
	if g.GroupState != "Stable" || g.Assignor != "simple" || len(g.Members) != 1 || g.Members[0].MemberID != sharingMember || g.Members[0].ClientHost == "" ||
		len(g.Members[0].Assignment.TopicPartitions) != 1 || g.Members[0].Assignment.TopicPartitions[0].Topic != "t" {
		t.Errorf("described as %+v", g)
	}
	code, _ := w.alter(5, 0)
	wantCode(t, "altering offsets under a member", code, kerr.NonEmptyGroup)
	wantCode(t, "deleting offsets under a member", w.forget("t").ErrorCode, kerr.NonEmptyGroup)
	wantCode(t, "leaving", w.beat(-1).ErrorCode, nil)
	wantCode(t, "leaving twice", w.beat(-1).ErrorCode, kerr.UnknownMemberID)
	code, each := w.alter(0, 0, 7)
	wantCode(t, "altering offsets", code, nil)
	wantCode(t, "altering the offset of a partition", each[0], nil)
	wantCode(t, "altering the offset of a partition that does not exist", each[1], kerr.UnknownTopicOrPartition)
	for _, o := range []kmsg.DescribeShareGroupOffsetsResponseGroup{w.offsets(), w.offsets("t")} {
		if len(o.Topics) != 1 || o.Topics[0].TopicID != w.topic || o.Topics[0].Partitions[0].StartOffset != 0 || o.Topics[0].Partitions[0].Lag != 0 {
			text, _ := json.Marshal(o)
			t.Errorf("its offsets are %s", text)
		}
	}
	forgotten := w.forget("t", "none").Topics
	wantCode(t, "deleting offsets", forgotten[0].ErrorCode, nil)
	wantCode(t, "deleting offsets of a topic that does not exist", forgotten[1].ErrorCode, kerr.UnknownTopicOrPartition)
	if o := w.offsets("t").Topics[0].Partitions[0]; o.ErrorCode != 0 || o.StartOffset != -1 || o.Lag != -1 {
		t.Errorf("after deleting, its offsets are %+v", o)
	}
	del := kmsg.NewPtrDeleteGroupsRequest()
	del.Groups = []string{"g"}
	wantCode(t, "deleting the group", do[*kmsg.DeleteGroupsResponse](w.c, 2, del).Groups[0].ErrorCode, nil)
	wantCode(t, "a group that is deleted", w.describe().ErrorCode, kerr.GroupIDNotFound)
}

// state is partition 0 of the group, as brokers ask each other about it.
func (w *sharingGroup) read(leaderEpoch int32) kmsg.ReadShareGroupStateResponseTopicPartition {
	req := kmsg.NewPtrReadShareGroupStateRequest()
	p := kmsg.ReadShareGroupStateRequestTopicPartition{LeaderEpoch: leaderEpoch}
	req.GroupID, req.Topics = "g", []kmsg.ReadShareGroupStateRequestTopic{{TopicID: w.topic, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{p}}}
	return do[*kmsg.ReadShareGroupStateResponse](w.c, 0, req).Topics[0].Partitions[0]
}

func (w *sharingGroup) write(stateEpoch, leaderEpoch int32, start int64, batches ...kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch) int16 {
	req := kmsg.NewPtrWriteShareGroupStateRequest()
	p := kmsg.NewWriteShareGroupStateRequestTopicPartition()
	p.StateEpoch, p.LeaderEpoch, p.StartOffset, p.DeliveryCompleteCount, p.StateBatches = stateEpoch, leaderEpoch, start, 2, batches
	req.GroupID, req.Topics = "g", []kmsg.WriteShareGroupStateRequestTopic{{TopicID: w.topic, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{p}}}
	return do[*kmsg.WriteShareGroupStateResponse](w.c, 1, req).Topics[0].Partitions[0].ErrorCode
}

// TestShareGroupState: what brokers tell each other about a share partition: it begins, is read and written by its leader, and is forgotten.
func TestShareGroupState(t *testing.T) {
	w := newSharingGroup(t)
	w.joined() // it has begun
	w.beat(-1)
	epoch := w.read(3).StateEpoch
	batch := kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{FirstOffset: 10, LastOffset: 11, DeliveryState: 2, DeliveryCount: 1}
	wantCode(t, "writing", w.write(epoch, 3, 10, batch), nil)
	if got := w.read(3); got.ErrorCode != 0 || got.StateEpoch != epoch || got.StartOffset != 10 || len(got.StateBatches) != 1 || got.StateBatches[0].LastOffset != 11 {
		t.Errorf("read is %+v", got)
	}
	wantCode(t, "reading as an earlier leader", w.read(2).ErrorCode, kerr.FencedLeaderEpoch)
	wantCode(t, "writing as an earlier leader", w.write(epoch, 2, 11), kerr.FencedLeaderEpoch)
	wantCode(t, "writing in an earlier epoch", w.write(epoch-1, 3, 11), kerr.FencedStateEpoch)
	sum := kmsg.NewPtrReadShareGroupStateSummaryRequest()
	sum.GroupID = "g"
	sum.Topics = []kmsg.ReadShareGroupStateSummaryRequestTopic{{TopicID: w.topic, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{{}}}}
	if got := do[*kmsg.ReadShareGroupStateSummaryResponse](w.c, 1, sum).Topics[0].Partitions[0]; got.StartOffset != 10 || got.LeaderEpoch != 3 || got.DeliveryCompleteCount != 2 {
		t.Errorf("the summary is %+v", got)
	}
	begin := kmsg.NewPtrInitializeShareGroupStateRequest()
	p := kmsg.InitializeShareGroupStateRequestTopicPartition{StateEpoch: epoch - 1, StartOffset: 4}
	begin.GroupID, begin.Topics = "g", []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: w.topic, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{p}}}
	wantCode(t, "beginning in an earlier epoch", do[*kmsg.InitializeShareGroupStateResponse](w.c, 0, begin).Topics[0].Partitions[0].ErrorCode, kerr.FencedStateEpoch)
	begin.Topics[0].Partitions[0].StateEpoch = epoch + 1
	wantCode(t, "beginning anew", do[*kmsg.InitializeShareGroupStateResponse](w.c, 0, begin).Topics[0].Partitions[0].ErrorCode, nil)
	if got := w.read(3); got.StartOffset != 4 || got.StateEpoch != epoch+1 || len(got.StateBatches) != 0 {
		t.Errorf("begun anew it is %+v", got)
	}
	forget := kmsg.NewPtrDeleteShareGroupStateRequest()
	forget.GroupID, forget.Topics = "g", []kmsg.DeleteShareGroupStateRequestTopic{{TopicID: w.topic, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{}}}}
	wantCode(t, "forgetting", do[*kmsg.DeleteShareGroupStateResponse](w.c, 0, forget).Topics[0].Partitions[0].ErrorCode, nil)
	wantCode(t, "reading what is forgotten", w.read(3).ErrorCode, kerr.InvalidRequest)
	forget.GroupID = ""
	if got := do[*kmsg.DeleteShareGroupStateResponse](w.c, 0, forget); len(got.Topics) != 0 {
		t.Errorf("of no group it answers %+v", got)
	}
}
