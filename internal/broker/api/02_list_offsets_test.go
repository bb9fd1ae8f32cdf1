package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// listRequest asks for one timestamp in each partition.
func listRequest(topic string, timestamp int64, partitions ...int32) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, n := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = n, timestamp
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func listed(r *kmsg.ListOffsetsResponse) kmsg.ListOffsetsResponseTopicPartition {
	return r.Topics[0].Partitions[0]
}

// TestListOffsets looks up times and places in a log with the timestamps 10, 30, 20 and a first record cut off.
func TestListOffsets(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	createTopic(t, c, "empty", 1)
	for _, ts := range []int64{5, 10, 30, 20} {
		produce(t, c, "t", 0, batchOf(t, record.Options{}, ts))
	}
	if low := deleteTo(t, c, "t", 1); low != 1 {
		t.Fatalf("DeleteRecords moved the start to %d, want 1", low)
	}
	for _, tc := range []struct {
		topic             string
		timestamp         int64
		offset, time      int64
		epoch             int32
		oldest, committed int16
	}{
		{topic: "t", timestamp: -1, offset: 4, time: -1, oldest: 1},
		{topic: "t", timestamp: -2, offset: 1, time: -1, oldest: 1},
		{topic: "t", timestamp: -3, offset: 2, time: 30, oldest: 7},
		{topic: "t", timestamp: -4, offset: 1, time: -1, oldest: 8},
		{topic: "t", timestamp: -5, offset: -1, time: -1, epoch: -1, oldest: 9},
		{topic: "t", timestamp: -6, offset: -1, time: -1, epoch: -1, oldest: 11},
		{topic: "t", timestamp: 0, offset: 1, time: 10, oldest: 1},
		{topic: "t", timestamp: 11, offset: 2, time: 30, oldest: 1},
		{topic: "t", timestamp: 31, offset: -1, time: -1, epoch: -1, oldest: 1},
		{topic: "empty", timestamp: -1, offset: 0, time: -1, oldest: 1},
		{topic: "empty", timestamp: -2, offset: 0, time: -1, oldest: 1},
		{topic: "empty", timestamp: -3, offset: -1, time: -1, epoch: -1, oldest: 7},
		{topic: "empty", timestamp: 0, offset: -1, time: -1, epoch: -1, oldest: 1},
	} {
		for v := int16(1); v <= 11; v++ {
			got := listed(do[*kmsg.ListOffsetsResponse](c, v, listRequest(tc.topic, tc.timestamp, 0)))
			if v < tc.oldest {
				wantCode(t, "a place that the version does not know", got.ErrorCode, kerr.UnsupportedVersion)
				continue
			}
			wantCode(t, "list", got.ErrorCode, nil)
			if got.Offset != tc.offset || got.Timestamp != tc.time || v >= 4 && got.LeaderEpoch != tc.epoch {
				t.Errorf("v%d, %s at %d: offset %d, time %d, epoch %d; want %d, %d, %d",
					v, tc.topic, tc.timestamp, got.Offset, got.Timestamp, got.LeaderEpoch, tc.offset, tc.time, tc.epoch)
			}
		}
	}
}

func TestListOffsetsRefusals(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	wantCode(t, "unknown topic", listed(do[*kmsg.ListOffsetsResponse](c, 10, listRequest("none", -1, 0))).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "unknown partition", listed(do[*kmsg.ListOffsetsResponse](c, 10, listRequest("t", -1, 2))).ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "no such place", listed(do[*kmsg.ListOffsetsResponse](c, 11, listRequest("t", -7, 0))).ErrorCode, kerr.UnsupportedVersion)

	req := listRequest("t", -1, 0)
	req.Topics[0].Partitions[0].CurrentLeaderEpoch = 9
	wantCode(t, "an epoch to come", listed(do[*kmsg.ListOffsetsResponse](c, 10, req)).ErrorCode, kerr.UnknownLeaderEpoch)

	twice := do[*kmsg.ListOffsetsResponse](c, 10, listRequest("t", -1, 0, 1, 0)).Topics[0].Partitions
	wantCode(t, "named twice, first", twice[0].ErrorCode, kerr.InvalidRequest)
	wantCode(t, "named once", twice[1].ErrorCode, nil)
	wantCode(t, "named twice, again", twice[2].ErrorCode, kerr.InvalidRequest)
}

func deleteRecords(c *nodetest.Client, version int16, topic string, partition int32, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	rt.Partitions = append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	return do[*kmsg.DeleteRecordsResponse](c, version, req).Topics[0].Partitions[0]
}

func deleteTo(t testing.TB, c *nodetest.Client, topic string, offset int64) int64 {
	t.Helper()
	p := deleteRecords(c, 2, topic, 0, offset)
	wantCode(t, "DeleteRecords", p.ErrorCode, nil)
	return p.LowWatermark
}
