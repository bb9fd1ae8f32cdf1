package api_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

func TestDescribeCluster(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	for v := int16(0); v <= 2; v++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = true
		r := do[*kmsg.DescribeClusterResponse](c, v, req)
		if r.ErrorCode != 0 || r.ClusterID == "" || r.ControllerID != 1 || r.EndpointType != 1 || r.ClusterAuthorizedOperations != 0x1fa0 ||
			len(r.Brokers) != 1 || r.Brokers[0].Host != nodetest.Host || r.Brokers[0].Port != nodetest.KafkaPort {
			t.Errorf("v%d: %+v", v, r)
		}
	}
	for kind, want := range map[int8]*kerr.Error{2: kerr.MismatchedEndpointType, 3: kerr.UnsupportedEndpointType, 0: kerr.UnsupportedEndpointType} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = kind
		r := do[*kmsg.DescribeClusterResponse](c, 1, req)
		wantCode(t, fmt.Sprintf("endpoint type %d", kind), r.ErrorCode, want)
		if len(r.Brokers) != 0 || r.EndpointType != 1 {
			t.Errorf("endpoint type %d: the refusal is of type %d and names %d brokers", kind, r.EndpointType, len(r.Brokers))
		}
	}
}

// TestDescribeTopicPartitionsPages walks all partitions page by page: each comes once, in order.
func TestDescribeTopicPartitionsPages(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "b", 3)
	createTopic(t, c, "a", 2)
	createTopic(t, c, "c", 1)
	for limit := int32(-1); limit <= 7; limit++ {
		var got []string
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		for pages := 0; ; pages++ {
			r := do[*kmsg.DescribeTopicPartitionsResponse](c, 0, req)
			n := 0
			for _, topic := range r.Topics {
				for _, p := range topic.Partitions {
					got = append(got, fmt.Sprintf("%s%d", *topic.Topic, p.Partition))
					n++
				}
			}
			if n > int(max(limit, 1)) {
				t.Fatalf("limit %d: a page has %d partitions", limit, n)
			}
			if r.NextCursor == nil {
				break
			}
			if pages > 6 {
				t.Fatalf("limit %d: the pages do not end: %v", limit, got)
			}
			next := kmsg.NewDescribeTopicPartitionsRequestCursor()
			next.Topic, next.Partition = r.NextCursor.Topic, r.NextCursor.Partition
			req.Cursor = &next
		}
		if want := "[a0 a1 b0 b1 b2 c0]"; fmt.Sprint(got) != want {
			t.Errorf("limit %d: got %v, want %s", limit, got, want)
		}
	}
}

func TestDescribeTopicPartitions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"max.request.partition.size.limit": "2"}}).Client()
	id := createTopic(t, c, "t", 3)
	ask := func(cursor *kmsg.DescribeTopicPartitionsRequestCursor, names ...string) *kmsg.DescribeTopicPartitionsResponse {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Cursor = cursor
		for _, n := range names {
			rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
			rt.Topic = n
			req.Topics = append(req.Topics, rt)
		}
		return do[*kmsg.DescribeTopicPartitionsResponse](c, 0, req)
	}
	at := func(topic string, partition int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = topic, partition
		return &cursor
	}
	r := ask(nil, "t", "t")
	if len(r.Topics) != 1 || r.Topics[0].TopicID != id || len(r.Topics[0].Partitions) != 2 || r.NextCursor == nil || r.NextCursor.Partition != 2 {
		t.Errorf("the broker's limit of 2: %+v", r)
	}
	wantCode(t, "unknown topic", ask(nil, "none").Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "bad name", ask(nil, "a/b").Topics[0].ErrorCode, kerr.InvalidTopicException)
	wantCode(t, "a cursor at a topic that was not asked for", ask(at("s", 0), "t").Topics[0].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "a cursor before the first partition", ask(at("t", -1), "t").Topics[0].ErrorCode, kerr.InvalidRequest)
	if r := ask(at("gone", 7)); len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 || r.Topics[0].Partitions[0].Partition != 0 {
		t.Errorf("a cursor at a deleted topic: %+v, want the next topic from its first partition", r)
	}
}

func TestDescribeLogDirs(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	createTopic(t, c, "other", 1)
	b := batchOf(t, record.Options{}, testTime)
	produce(t, c, "t", 1, b)
	sizes := func(version int16, topics []kmsg.DescribeLogDirsRequestTopic) map[string]int64 {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		req.Topics = topics
		r := do[*kmsg.DescribeLogDirsResponse](c, version, req)
		if len(r.Dirs) != 1 || r.Dirs[0].ErrorCode != 0 || r.Dirs[0].Dir != "/data" || version >= 4 && (r.Dirs[0].TotalBytes <= 0 || r.Dirs[0].UsableBytes <= 0) {
			t.Fatalf("v%d: %+v", version, r)
		}
		got := map[string]int64{}
		for _, topic := range r.Dirs[0].Topics {
			for _, p := range topic.Partitions {
				got[fmt.Sprintf("%s-%d", topic.Topic, p.Partition)] = p.Size
			}
		}
		return got
	}
	one := kmsg.NewDescribeLogDirsRequestTopic()
	one.Topic, one.Partitions = "t", []int32{1, 9}
	for v := int16(1); v <= 5; v++ {
		if got := sizes(v, nil); len(got) != 3 || got["t-1"] != int64(len(b)) || got["t-0"] != 0 {
			t.Errorf("v%d: sizes %v, want t-1 with %d", v, got, len(b))
		}
		if got := sizes(v, []kmsg.DescribeLogDirsRequestTopic{one}); len(got) != 1 || got["t-1"] != int64(len(b)) {
			t.Errorf("v%d: sizes %v, want t-1 alone", v, got)
		}
	}
}

func TestDescribeProducers(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	o := record.Options{Producer: &record.Producer{ID: 12, Epoch: 3}}
	produce(t, c, "t", 0, batchOf(t, o, testTime, testTime))
	ask := func(topic string, partition int32) kmsg.DescribeProducersResponseTopicPartition {
		req := kmsg.NewPtrDescribeProducersRequest()
		rt := kmsg.NewDescribeProducersRequestTopic()
		rt.Topic, rt.Partitions = topic, []int32{partition}
		req.Topics = append(req.Topics, rt)
		return do[*kmsg.DescribeProducersResponse](c, 0, req).Topics[0].Partitions[0]
	}
	got := ask("t", 0)
	if got.ErrorCode != 0 || len(got.ActiveProducers) != 1 {
		t.Fatalf("%+v", got)
	}
	if p := got.ActiveProducers[0]; p.ProducerID != 12 || p.ProducerEpoch != 3 || p.LastSequence != 1 || p.LastTimestamp != testTime || p.CurrentTxnStartOffset != -1 {
		t.Errorf("producer %+v", p)
	}
	wantCode(t, "unknown topic", ask("none", 0).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown partition", ask("t", 1).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "bad name", ask("a/b", 0).ErrorCode, kerr.InvalidTopicException)
}

// TestT1ProducerIDs: no ID is given out twice, also not by the next run of the broker.
func TestT1ProducerIDs(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	seen := map[int64]bool{}
	for range 3 {
		c := b.Client()
		for v := int16(0); v <= 5; v++ {
			r := do[*kmsg.InitProducerIDResponse](c, v, kmsg.NewPtrInitProducerIDRequest())
			if r.ErrorCode != 0 || r.ProducerEpoch != 0 || r.ProducerID < 0 || seen[r.ProducerID] {
				t.Fatalf("v%d: %+v after %v", v, r, seen)
			}
			seen[r.ProducerID] = true
		}
		b = b.Restart()
	}
	c := b.Client()
	for _, tc := range []struct {
		name  string
		txn   *string
		id    int64
		epoch int16
		want  *kerr.Error
	}{
		{"empty transactional ID", kmsg.StringPtr(""), -1, -1, kerr.InvalidRequest},
		{"a transactional ID before anybody coordinates", kmsg.StringPtr("tx"), -1, -1, kerr.NotCoordinator},
		{"an ID without an epoch", nil, 5, -1, kerr.InvalidRequest},
		{"an epoch without an ID", nil, -1, 5, kerr.InvalidRequest},
		{"an ID that it has", nil, 5, 1, nil},
	} {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = tc.txn, tc.id, tc.epoch
		r := do[*kmsg.InitProducerIDResponse](c, 4, req)
		wantCode(t, tc.name, r.ErrorCode, tc.want)
		if tc.want != nil && (r.ProducerID != -1 || r.ProducerEpoch != -1) {
			t.Errorf("%s: the refusal gives out %d with epoch %d", tc.name, r.ProducerID, r.ProducerEpoch)
		}
	}
}

func TestOffsetForLeaderEpoch(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	produce(t, c, "t", 0, batchOf(t, record.Options{}, testTime))
	ask := func(version int16, topic string, current, epoch int32) kmsg.OffsetForLeaderEpochResponseTopicPartition {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
		rt.Topic = topic
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.CurrentLeaderEpoch, p.LeaderEpoch = current, epoch
		rt.Partitions = append(rt.Partitions, p)
		req.Topics = append(req.Topics, rt)
		return do[*kmsg.OffsetForLeaderEpochResponse](c, version, req).Topics[0].Partitions[0]
	}
	for v := int16(2); v <= 4; v++ {
		if got := ask(v, "t", -1, 0); got.ErrorCode != 0 || got.LeaderEpoch != 0 || got.EndOffset != 1 {
			t.Errorf("v%d: %+v, want epoch 0 up to offset 1", v, got)
		}
	}
	if got := ask(4, "t", -1, 8); got.ErrorCode != 0 || got.LeaderEpoch != -1 || got.EndOffset != -1 {
		t.Errorf("an epoch to come: %+v, want -1 and -1", got)
	}
	wantCode(t, "a current epoch to come", ask(4, "t", 8, 0).ErrorCode, kerr.UnknownLeaderEpoch)
	wantCode(t, "unknown topic", ask(4, "none", -1, 0).ErrorCode, kerr.UnknownTopicOrPartition)
}
