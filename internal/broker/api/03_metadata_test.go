package api_test

import (
	"math"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
)

// metadataRequest asks for topics by name; nil names asks for all.
func metadataRequest(autoCreate bool, names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = autoCreate
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(n)
		req.Topics = append(req.Topics, t)
	}
	return req
}

func topicNames(r *kmsg.MetadataResponse) []string {
	var names []string
	for _, t := range r.Topics {
		if t.Topic != nil {
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return names
}

func TestMetadataVersions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	id := createTopic(t, c, "t", 2)
	for v := int16(0); v <= 13; v++ {
		r := do[*kmsg.MetadataResponse](c, v, metadataRequest(false, "t"))
		if len(r.Brokers) != 1 || r.Brokers[0].NodeID != 1 || r.Brokers[0].Host != nodetest.Host || r.Brokers[0].Port != nodetest.KafkaPort {
			t.Fatalf("v%d: brokers %+v", v, r.Brokers)
		}
		if v >= 1 && r.ControllerID != 1 || v >= 2 && (r.ClusterID == nil || *r.ClusterID == "") {
			t.Errorf("v%d: controller %d of cluster %v", v, r.ControllerID, r.ClusterID)
		}
		topic := r.Topics[0]
		if topic.ErrorCode != 0 || *topic.Topic != "t" || len(topic.Partitions) != 2 || v >= 10 && topic.TopicID != id {
			t.Fatalf("v%d: topic %+v", v, topic)
		}
		for n, p := range topic.Partitions {
			if p.Partition != int32(n) || p.Leader != 1 || !slices.Equal(p.Replicas, []int32{1}) || !slices.Equal(p.ISR, []int32{1}) || len(p.OfflineReplicas) != 0 {
				t.Errorf("v%d: partition %+v", v, p)
			}
		}
		if v >= 8 && topic.AuthorizedOperations != math.MinInt32 {
			t.Errorf("v%d: operations %d that nobody asked for", v, topic.AuthorizedOperations)
		}
	}
}

// TestMetadataAllOrNone: null means all, an empty list none; in version 0, which had no null, all.
func TestMetadataAllOrNone(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "a", 1)
	createTopic(t, c, "b", 1)
	none := metadataRequest(false)
	none.Topics = []kmsg.MetadataRequestTopic{}
	for _, tc := range []struct {
		version int16
		req     *kmsg.MetadataRequest
		want    []string
	}{
		{0, none, []string{"a", "b"}},
		{1, none, nil}, {9, none, nil}, {13, none, nil},
		{1, metadataRequest(false), []string{"a", "b"}},
		{13, metadataRequest(true), []string{"a", "b"}},
		{13, metadataRequest(false, "b", "b"), []string{"b"}},
	} {
		if got := topicNames(do[*kmsg.MetadataResponse](c, tc.version, tc.req)); !slices.Equal(got, tc.want) {
			t.Errorf("v%d, %d topics asked: got %v, want %v", tc.version, len(tc.req.Topics), got, tc.want)
		}
	}
}

func TestMetadataByID(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	id := createTopic(t, c, "t", 1)
	ask := func(version int16, id model.TopicID, name *string) kmsg.MetadataResponseTopic {
		req := metadataRequest(true)
		rt := kmsg.NewMetadataRequestTopic()
		rt.TopicID, rt.Topic = id, name
		req.Topics = append(req.Topics, rt)
		return do[*kmsg.MetadataResponse](c, version, req).Topics[0]
	}
	if got := ask(12, id, nil); got.ErrorCode != 0 || got.Topic == nil || *got.Topic != "t" {
		t.Errorf("by ID: %+v", got)
	}
	unknown := ask(13, model.TopicID{8}, nil)
	wantCode(t, "an unknown ID", unknown.ErrorCode, kerr.UnknownTopicID)
	if unknown.TopicID != (model.TopicID{8}) {
		t.Errorf("the answer is for ID %v", unknown.TopicID)
	}
	wantCode(t, "neither name nor ID", ask(12, model.TopicID{}, nil).ErrorCode, kerr.InvalidRequest)
	wantCode(t, "an ID before version 12", ask(11, id, kmsg.StringPtr("t")).ErrorCode, kerr.InvalidRequest)
}

// TestMetadataAutoCreate: only where broker and request both allow it, and with the broker's defaults.
func TestMetadataAutoCreate(t *testing.T) {
	for _, tc := range []struct {
		name            string
		broker          string
		version         int16
		client, creates bool
	}{
		{"both allow it", "true", 12, true, true},
		{"the client forbids it", "true", 12, false, false},
		{"the broker forbids it", "false", 12, true, false},
		{"an old client cannot forbid it", "true", 3, false, true},
	} {
		c := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"auto.create.topics.enable": tc.broker, "num.partitions": "3"}}).Client()
		got := do[*kmsg.MetadataResponse](c, tc.version, metadataRequest(tc.client, "new")).Topics[0]
		if !tc.creates {
			wantCode(t, tc.name, got.ErrorCode, kerr.UnknownTopicOrPartition)
		} else if got.ErrorCode != 0 || len(got.Partitions) != 3 {
			t.Errorf("%s: %+v, want a topic with 3 partitions", tc.name, got)
		}
		again := do[*kmsg.MetadataResponse](c, 12, metadataRequest(false, "new")).Topics[0]
		if (again.ErrorCode == 0) != tc.creates {
			t.Errorf("%s: afterwards the topic's error is %d", tc.name, again.ErrorCode)
		}
	}
}

func TestMetadataInvalidNames(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for _, name := range []string{"", ".", "..", "a b", "a/b", string(make([]byte, 250))} {
		got := do[*kmsg.MetadataResponse](c, 12, metadataRequest(true, name)).Topics[0]
		wantCode(t, "the name "+name, got.ErrorCode, kerr.InvalidTopicException)
	}
	if left := topicNames(do[*kmsg.MetadataResponse](c, 12, metadataRequest(false))); len(left) != 0 {
		t.Errorf("these topics were created: %v", left)
	}
}

func TestMetadataOperations(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	req := metadataRequest(false, "t")
	req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
	r := do[*kmsg.MetadataResponse](c, 10, req)
	if r.AuthorizedOperations != 0x1fa0 || r.Topics[0].AuthorizedOperations != 0xdf8 {
		t.Errorf("operations: cluster %#x, topic %#x; want 0x1fa0 and 0xdf8 as Kafka without an authorizer", r.AuthorizedOperations, r.Topics[0].AuthorizedOperations)
	}
}
