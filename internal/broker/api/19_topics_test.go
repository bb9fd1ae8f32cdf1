package api_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// newTopic is one topic of a CreateTopics request.
func newTopic(name string, partitions int32, factor int16, change ...func(*kmsg.CreateTopicsRequestTopic)) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
	for _, f := range change {
		f(&t)
	}
	return t
}

func withConfig(name string, value *string) func(*kmsg.CreateTopicsRequestTopic) {
	return func(t *kmsg.CreateTopicsRequestTopic) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, value
		t.Configs = append(t.Configs, c)
	}
}

func withReplicas(partition int32, brokers ...int32) func(*kmsg.CreateTopicsRequestTopic) {
	return func(t *kmsg.CreateTopicsRequestTopic) {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = partition, brokers
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
}

func createAll(c *nodetest.Client, version int16, validateOnly bool, topics ...kmsg.CreateTopicsRequestTopic) []kmsg.CreateTopicsResponseTopic {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.ValidateOnly = topics, validateOnly
	return do[*kmsg.CreateTopicsResponse](c, version, req).Topics
}

func TestCreateTopics(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"num.partitions": "4"}}).Client()
	createTopic(t, c, "taken", 1)
	createTopic(t, c, "like.this", 1)
	str := kmsg.StringPtr
	for _, tc := range []struct {
		name  string
		topic kmsg.CreateTopicsRequestTopic
		want  *kerr.Error
	}{
		{"plain", newTopic("plain", 2, 1), nil},
		{"defaults", newTopic("defaults", -1, -1), nil},
		{"by hand", newTopic("by-hand", -1, -1, withReplicas(0, 1), withReplicas(1, 1)), nil},
		{"configured", newTopic("configured", 1, 1, withConfig("retention.ms", str("5"))), nil},
		{"taken", newTopic("taken", 1, 1), kerr.TopicAlreadyExists},
		{"collides", newTopic("like_this", 1, 1), kerr.InvalidTopicException},
		{"bad name", newTopic("a/b", 1, 1), kerr.InvalidTopicException},
		{"empty name", newTopic("", 1, 1), kerr.InvalidTopicException},
		{"no partitions", newTopic("x", 0, 1), kerr.InvalidPartitions},
		{"no replicas", newTopic("x", 1, 0), kerr.InvalidReplicationFactor},
		{"too many replicas", newTopic("x", 1, 2), kerr.InvalidReplicationFactor},
		{"both ways", newTopic("x", 1, 1, withReplicas(0, 1)), kerr.InvalidRequest},
		{"a broker that is not there", newTopic("x", -1, -1, withReplicas(0, 9)), kerr.InvalidReplicaAssignment},
		{"a gap", newTopic("x", -1, -1, withReplicas(1, 1)), kerr.InvalidReplicaAssignment},
		{"unknown key", newTopic("x", 1, 1, withConfig("no.such.key", str("1"))), kerr.InvalidConfig},
		{"bad value", newTopic("x", 1, 1, withConfig("retention.ms", str("long"))), kerr.InvalidConfig},
		{"null value", newTopic("x", 1, 1, withConfig("retention.ms", nil)), kerr.InvalidConfig},
	} {
		got := createAll(c, 7, false, tc.topic)
		wantCode(t, tc.name, got[0].ErrorCode, tc.want)
		switch {
		case tc.want != nil && (got[0].ErrorMessage == nil || got[0].NumPartitions != -1 || !model.TopicID(got[0].TopicID).IsZero()):
			t.Errorf("%s: the refusal is %+v", tc.name, got[0])
		case tc.want == nil && (model.TopicID(got[0].TopicID).IsZero() || len(got[0].Configs) == 0 || got[0].ReplicationFactor != 1):
			t.Errorf("%s: the answer is %+v", tc.name, got[0])
		}
		if tc.name == "defaults" && got[0].NumPartitions != 4 {
			t.Errorf("%d partitions by default, want 4", got[0].NumPartitions)
		}
	}
}

// TestCreateTopicsTogether: each topic of a request is answered for itself; named twice, it is refused.
func TestCreateTopicsTogether(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for v := int16(2); v <= 7; v++ {
		name := string(rune('a' + v))
		codes := map[string]int16{}
		for _, got := range createAll(c, v, false, newTopic(name, 1, 1), newTopic("bad name", 1, 1), newTopic("twice", 1, 1), newTopic("twice", 1, 1)) {
			codes[got.Topic] = got.ErrorCode
		}
		wantCode(t, "the good one", codes[name], nil)
		wantCode(t, "the bad one", codes["bad name"], kerr.InvalidTopicException)
		wantCode(t, "named twice", codes["twice"], kerr.InvalidRequest)
	}
	if got := createAll(c, 7, true, newTopic("only-looked-at", 3, 1)); got[0].ErrorCode != 0 || got[0].NumPartitions != 3 {
		t.Errorf("validate only: %+v", got)
	}
	names := topicNames(do[*kmsg.MetadataResponse](c, 12, metadataRequest(false)))
	if want := []string{"c", "d", "e", "f", "g", "h"}; !slices.Equal(names, want) {
		t.Errorf("topics %v, want %v", names, want)
	}
}

func TestDeleteTopics(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	for v := int16(1); v <= 5; v++ {
		createTopic(t, c, "t", 1)
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TopicNames = []string{"t", "none"}
		got := do[*kmsg.DeleteTopicsResponse](c, v, req).Topics
		wantCode(t, "by name", got[0].ErrorCode, nil)
		wantCode(t, "unknown", got[1].ErrorCode, kerr.UnknownTopicOrPartition)
	}
	id := createTopic(t, c, "t", 1)
	del := func(name *string, id model.TopicID) kmsg.DeleteTopicsResponseTopic {
		req := kmsg.NewPtrDeleteTopicsRequest()
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic, rt.TopicID = name, id
		req.Topics = append(req.Topics, rt)
		return do[*kmsg.DeleteTopicsResponse](c, 6, req).Topics[0]
	}
	wantCode(t, "unknown ID", del(nil, model.TopicID{3}).ErrorCode, kerr.UnknownTopicID)
	wantCode(t, "name and ID", del(kmsg.StringPtr("t"), id).ErrorCode, kerr.InvalidRequest)
	wantCode(t, "neither", del(nil, model.TopicID{}).ErrorCode, kerr.InvalidRequest)
	got := del(nil, id)
	wantCode(t, "by ID", got.ErrorCode, nil)
	if got.Topic == nil || *got.Topic != "t" || got.TopicID != id {
		t.Errorf("deleting by ID answered %+v", got)
	}
}

// TestL5DeletedAndCreatedAgain: the new topic has nothing of the old one, before and after a restart.
func TestL5DeletedAndCreatedAgain(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	createTopic(t, c, "t", 1)
	o := record.Options{Producer: &record.Producer{ID: 3}}
	produce(t, c, "t", 0, batchOf(t, o, testTime, testTime))
	deleteTopic(t, c, "t")
	wantCode(t, "fetching what is gone", fetchOne(t, c, 12, fetchPart{topic: "t"}).ErrorCode, kerr.UnknownTopicOrPartition)
	createTopic(t, c, "t", 1)
	if f := fetchOne(t, c, 12, fetchPart{topic: "t"}); f.HighWatermark != 0 || len(f.RecordBatches) != 0 {
		t.Errorf("the new topic starts with %d bytes, watermark %d", len(f.RecordBatches), f.HighWatermark)
	}
	if at := produce(t, c, "t", 0, batchOf(t, o, testTime)); at != 0 {
		t.Errorf("the producer's first batch in the new topic stands at %d, want 0", at)
	}
	after := b.Restart().Client()
	if f := fetchOne(t, after, 12, fetchPart{topic: "t"}); f.HighWatermark != 1 {
		t.Errorf("after a restart the watermark is %d, want 1", f.HighWatermark)
	}
}

func TestCreatePartitions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	grow := func(version int16, name string, count int32, assignments ...[]int32) kmsg.CreatePartitionsResponseTopic {
		req := kmsg.NewPtrCreatePartitionsRequest()
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = name, count
		for _, a := range assignments {
			ra := kmsg.NewCreatePartitionsRequestTopicAssignment()
			ra.Replicas = a
			rt.Assignment = append(rt.Assignment, ra)
		}
		req.Topics = append(req.Topics, rt)
		return do[*kmsg.CreatePartitionsResponse](c, version, req).Topics[0]
	}
	wantCode(t, "unknown topic", grow(3, "none", 3).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "as many as before", grow(3, "t", 2).ErrorCode, kerr.InvalidPartitions)
	wantCode(t, "fewer", grow(3, "t", 1).ErrorCode, kerr.InvalidPartitions)
	wantCode(t, "unknown broker", grow(3, "t", 3, []int32{7}).ErrorCode, kerr.InvalidReplicaAssignment)
	wantCode(t, "too few assignments", grow(3, "t", 4, []int32{1}).ErrorCode, kerr.InvalidReplicaAssignment)
	for v := int16(0); v <= 3; v++ {
		wantCode(t, "one more", grow(v, "t", 3+int32(v)).ErrorCode, nil)
		if at := produce(t, c, "t", 2+int32(v), batchOf(t, record.Options{}, testTime)); at != 0 {
			t.Errorf("the new partition's first batch stands at %d", at)
		}
	}
}

func TestDeleteRecords(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	createTopic(t, c, "t", 1)
	createTopic(t, c, "compacted", 1, "cleanup.policy", "compact")
	createTopic(t, c, "both", 1, "cleanup.policy", "compact,delete")
	for range 4 {
		produce(t, c, "t", 0, batchOf(t, record.Options{}, testTime))
	}
	for v := int16(0); v <= 2; v++ {
		if got := deleteRecords(c, v, "t", 0, int64(v)+1); got.ErrorCode != 0 || got.LowWatermark != int64(v)+1 {
			t.Errorf("v%d: %+v, want the start at %d", v, got, v+1)
		}
	}
	if got := deleteRecords(c, 2, "t", 0, 1); got.ErrorCode != 0 || got.LowWatermark != 3 {
		t.Errorf("below the start: %+v, want it to stay at 3", got)
	}
	wantCode(t, "above the end", deleteRecords(c, 2, "t", 0, 5).ErrorCode, kerr.OffsetOutOfRange)
	wantCode(t, "negative", deleteRecords(c, 2, "t", 0, -2).ErrorCode, kerr.OffsetOutOfRange)
	wantCode(t, "unknown", deleteRecords(c, 2, "none", 0, 0).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "internal, but not there", deleteRecords(c, 2, "__consumer_offsets", 0, 0).ErrorCode, kerr.UnknownTopicOrPartition)
	createTopic(t, c, "__consumer_offsets", 1)
	wantCode(t, "internal", deleteRecords(c, 2, "__consumer_offsets", 0, 0).ErrorCode, kerr.InvalidTopicException)
	wantCode(t, "compacted only", deleteRecords(c, 2, "compacted", 0, 0).ErrorCode, kerr.PolicyViolation)
	wantCode(t, "compacted and deleted", deleteRecords(c, 2, "both", 0, 0).ErrorCode, nil)
	wantCode(t, "a fetch below the start", fetchOne(t, c, 12, fetchPart{topic: "t", offset: 2}).ErrorCode, kerr.OffsetOutOfRange)
	if got := deleteRecords(c, 2, "t", 0, -1); got.ErrorCode != 0 || got.LowWatermark != 4 {
		t.Errorf("everything: %+v, want the start at 4", got)
	}
	after := b.Restart().Client()
	if f := fetchOne(t, after, 12, fetchPart{topic: "t", offset: 4}); f.ErrorCode != 0 || f.LogStartOffset != 4 {
		t.Errorf("after a restart: %+v, want the start at 4", f)
	}
}
