package api_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// TestFetchVersions: every version returns the batch that was produced, byte for byte (L4).
func TestFetchVersions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	id := createTopic(t, c, "t", 1)
	sent := batchOf(t, record.Options{}, testTime, testTime+1)
	produce(t, c, "t", 0, sent)
	for v := int16(4); v <= 18; v++ {
		p := fetchPart{topic: "t"}
		if v >= 13 {
			p = fetchPart{id: id}
		}
		got := fetchOne(t, c, v, p)
		wantCode(t, "fetch", got.ErrorCode, nil)
		if got.HighWatermark != 2 || got.LastStableOffset != 2 || v >= 5 && got.LogStartOffset != 0 {
			t.Errorf("v%d: watermark %d, last stable %d, start %d; want 2, 2, 0", v, got.HighWatermark, got.LastStableOffset, got.LogStartOffset)
		}
		if v >= 11 && got.PreferredReadReplica != -1 {
			t.Errorf("v%d: preferred read replica %d, want none", v, got.PreferredReadReplica)
		}
		if r := got.RecordBatches; len(r) != len(sent) || !bytes.Equal(r[17:], sent[17:]) { // behind base offset, length, epoch, magic
			t.Errorf("v%d: got %d bytes that are not those that were sent", v, len(r))
		}
	}
}

func TestFetchRefusals(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	id := createTopic(t, c, "t", 1)
	produce(t, c, "t", 0, batchOf(t, record.Options{}, testTime))
	for _, tc := range []struct {
		name    string
		version int16
		p       fetchPart
		want    *kerr.Error
	}{
		{"unknown topic", 12, fetchPart{topic: "none"}, kerr.UnknownTopicOrPartition},
		{"unknown partition", 12, fetchPart{topic: "t", partition: 1}, kerr.UnknownTopicOrPartition},
		{"unknown topic ID", 13, fetchPart{id: model.TopicID{9}}, kerr.UnknownTopicID},
		{"unknown partition by ID", 13, fetchPart{id: id, partition: 1}, kerr.UnknownTopicOrPartition},
		{"behind the end", 12, fetchPart{topic: "t", offset: 2}, kerr.OffsetOutOfRange},
		{"before the start", 12, fetchPart{topic: "t", offset: -1}, kerr.OffsetOutOfRange},
		{"an epoch that is to come", 12, fetchPart{topic: "t", epoch: 100}, kerr.UnknownLeaderEpoch},
		{"at the end", 12, fetchPart{topic: "t", offset: 1}, nil},
		{"any epoch", 12, fetchPart{topic: "t"}, nil},
	} {
		got := fetchOne(t, c, tc.version, tc.p)
		wantCode(t, tc.name, got.ErrorCode, tc.want)
		if tc.want != nil && len(got.RecordBatches) != 0 {
			t.Errorf("%s: a refusal carries %d bytes", tc.name, len(got.RecordBatches))
		}
	}
}

// TestFetchDiverging: a client that holds more of an epoch than we have learns where to go back to (KIP-595); of an epoch
// that we never saw there is nothing to say.
func TestFetchDiverging(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	produce(t, c, "t", 0, batchOf(t, record.Options{}, testTime))
	got := fetchOne(t, c, 12, fetchPart{topic: "t", offset: 5, last: 1})
	wantCode(t, "diverging", got.ErrorCode, nil)
	if got.DivergingEpoch.EndOffset != 1 || got.DivergingEpoch.Epoch != 0 {
		t.Errorf("diverging epoch %+v, want epoch 0 up to offset 1", got.DivergingEpoch)
	}
	wantCode(t, "an unknown epoch", fetchOne(t, c, 12, fetchPart{topic: "t", offset: 1, last: 51}).ErrorCode, kerr.OffsetOutOfRange)
	if got := fetchOne(t, c, 12, fetchPart{topic: "t", last: 1}); got.DivergingEpoch.Epoch != -1 || len(got.RecordBatches) == 0 {
		t.Errorf("a client that agrees got %+v", got)
	}
}

// TestFetchMaxBytes: the limits hold, but the first batch comes whole, however large (KIP-74).
func TestFetchMaxBytes(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	size := len(batchOf(t, record.Options{}, testTime))
	for range 3 {
		for p := range int32(2) {
			produce(t, c, "t", p, batchOf(t, record.Options{}, testTime))
		}
	}
	for _, tc := range []struct {
		name          string
		total, each   int
		first, second int // bytes expected of the two partitions
	}{
		{"no limit", 1 << 20, 1 << 20, 3 * size, 3 * size},
		{"one byte each", 1 << 20, 1, size, 0},
		{"one byte in all", 1, 1 << 20, size, 0},
		{"nothing at all", 0, 0, size, 0},
		{"two batches each", 1 << 20, 2*size + 1, 2 * size, 2 * size},
		{"four batches in all", 4 * size, 1 << 20, 3 * size, size},
	} {
		req := fetchRequest(fetchPart{topic: "t"}, fetchPart{topic: "t", partition: 1})
		req.MaxBytes = int32(tc.total)
		for i := range req.Topics {
			req.Topics[i].Partitions[0].PartitionMaxBytes = int32(tc.each)
		}
		resp := do[*kmsg.FetchResponse](c, 12, req)
		var got []int
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				got = append(got, len(p.RecordBatches))
			}
		}
		if len(got) != 2 || got[0] != tc.first || got[1] != tc.second {
			t.Errorf("%s: got %v bytes, want %d and %d", tc.name, got, tc.first, tc.second)
		}
	}
}

// TestFetchParks: a fetch that finds too little waits, and a produce from elsewhere ends its wait.
func TestFetchParks(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	writer, reader := b.Client(), b.Client()
	createTopic(t, writer, "t", 2)
	size := len(batchOf(t, record.Options{}, testTime))
	req := fetchRequest(fetchPart{topic: "t"}, fetchPart{topic: "t", partition: 1})
	req.MinBytes, req.MaxWaitMillis = int32(2*size), 1<<30 // two batches, or never
	req.SetVersion(12)
	reader.Send(req)
	produce(t, writer, "t", 1, batchOf(t, record.Options{}, testTime))
	produce(t, writer, "t", 0, batchOf(t, record.Options{}, testTime))
	bytesGot := 0
	for _, topic := range reader.Receive().(*kmsg.FetchResponse).Topics {
		for _, p := range topic.Partitions {
			bytesGot += len(p.RecordBatches)
		}
	}
	if bytesGot != 2*size {
		t.Errorf("the parked fetch returned %d bytes, want %d", bytesGot, 2*size)
	}
}

// TestFetchWaitEnds: the wait of a parked fetch has an end, and then what there is is returned.
func TestFetchWaitEnds(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1)
	produce(t, c, "t", 0, batchOf(t, record.Options{}, testTime))
	req := fetchRequest(fetchPart{topic: "t"})
	req.MinBytes, req.MaxWaitMillis = 1<<20, 50
	began := time.Now()
	resp := do[*kmsg.FetchResponse](c, 12, req)
	if waited := time.Since(began); waited < 50*time.Millisecond {
		t.Errorf("answered after %v, want to have waited 50 ms", waited)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("answered %+v, want the one batch there is", resp)
	}
}

// TestFetchWakesForADeletedTopic: nobody waits for what will never come.
func TestFetchWakesForADeletedTopic(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	admin, reader := b.Client(), b.Client()
	id := createTopic(t, admin, "t", 1)
	req := fetchRequest(fetchPart{id: id})
	req.MinBytes, req.MaxWaitMillis = 1, 1<<30
	req.SetVersion(13)
	reader.Send(req)
	deleteTopic(t, admin, "t")
	got := reader.Receive().(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode
	if got != kerr.UnknownTopicID.Code && got != kerr.UnknownTopicOrPartition.Code && got != kerr.NotLeaderForPartition.Code {
		t.Errorf("the parked fetch ended with code %d, want one that refreshes the client's metadata", got)
	}
}

// TestFetchByAnIDThatIsGone: a topic created again under the name is not what the client asked for (L5).
func TestFetchByAnIDThatIsGone(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	old := createTopic(t, c, "t", 1)
	deleteTopic(t, c, "t")
	id := createTopic(t, c, "t", 1)
	wantCode(t, "the old ID", fetchOne(t, c, 13, fetchPart{id: old}).ErrorCode, kerr.UnknownTopicID)
	wantCode(t, "the new ID", fetchOne(t, c, 13, fetchPart{id: id}).ErrorCode, nil)
}

func deleteTopic(t testing.TB, c *nodetest.Client, name string) {
	t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames = []string{name}
	wantCode(t, "deleting "+name, do[*kmsg.DeleteTopicsResponse](c, 5, req).Topics[0].ErrorCode, nil)
}
