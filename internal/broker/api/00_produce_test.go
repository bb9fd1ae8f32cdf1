package api_test

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

// TestProduceVersions: every version is answered in its own form, the oldest ones with an error.
func TestProduceVersions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	id := createTopic(t, c, "t", 1)
	for v, want := int16(0), int64(0); v <= 13; v++ {
		p := part{topic: "t", records: batchOf(t, record.Options{}, testTime)}
		if v >= 13 {
			p.topic, p.id = "", id
		}
		resp := do[*kmsg.ProduceResponse](c, v, produceRequest(1, p))
		got := produced(resp)
		if v < 3 {
			wantCode(t, "an old version", got.ErrorCode, kerr.UnsupportedVersion)
			continue
		}
		wantCode(t, "produce", got.ErrorCode, nil)
		if got.BaseOffset != want || v >= 5 && got.LogStartOffset != 0 || got.LogAppendTime != -1 {
			t.Errorf("v%d: answered %+v, want base offset %d", v, got, want)
		}
		if v >= 13 && resp.Topics[0].TopicID != id {
			t.Errorf("v%d: the answer is for topic ID %v, want %v", v, resp.Topics[0].TopicID, id)
		}
		want++
	}
}

// TestProduceRefusals: error codes for bad input, each as Apache Kafka gives it.
func TestProduceRefusals(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	createTopic(t, c, "small", 1, "max.message.bytes", "200")
	createTopic(t, c, "compacted", 1, "cleanup.policy", "compact")
	good := func() record.Batch { return batchOf(t, record.Options{}, testTime) }
	keyless := record.NewBuilder(record.Options{})
	keyless.Add(testTime, nil, []byte("value"))
	noKey, err := keyless.Build()
	if err != nil {
		t.Fatal(err)
	}
	damaged := good()
	damaged[len(damaged)-1] ^= 1
	oldMagic := good()
	oldMagic[16] = 1
	large := make([]int64, 50)
	transactional := record.Options{Transactional: true, Producer: &record.Producer{ID: 4, Epoch: 0, Sequence: 0}}
	for _, tc := range []struct {
		name    string
		version int16
		p       part
		want    *kerr.Error
	}{
		{"unknown topic", 12, part{topic: "none", records: good()}, kerr.UnknownTopicOrPartition},
		{"unknown partition", 12, part{topic: "t", partition: 2, records: good()}, kerr.UnknownTopicOrPartition},
		{"negative partition", 12, part{topic: "t", partition: -1, records: good()}, kerr.UnknownTopicOrPartition},
		{"unknown topic ID", 13, part{id: model.TopicID{1}, records: good()}, kerr.UnknownTopicID},
		{"no topic ID", 13, part{topic: "t", records: good()}, kerr.UnknownTopicID},
		{"unknown partition by ID", 12, part{topic: "t", partition: 7, records: good()}, kerr.UnknownTopicOrPartition},
		{"two batches", 12, part{topic: "t", records: append(good(), good()...)}, kerr.InvalidRecord},
		{"no batch", 12, part{topic: "t", records: []byte{}}, kerr.InvalidRecord},
		{"no records at all", 12, part{topic: "t"}, kerr.InvalidRecord},
		{"half a batch", 12, part{topic: "t", records: good()[:70]}, kerr.InvalidRecord},
		{"half a header", 12, part{topic: "t", records: good()[:20]}, kerr.InvalidRecord},
		{"bad CRC", 12, part{topic: "t", records: damaged}, kerr.CorruptMessage},
		{"old magic", 12, part{topic: "t", records: oldMagic}, kerr.InvalidRecord},
		{"too large", 12, part{topic: "small", records: batchOf(t, record.Options{}, large...)}, kerr.MessageTooLarge},
		{"no key in a compacted topic", 12, part{topic: "compacted", records: noKey}, kerr.InvalidRecord},
		{"control batch", 12, part{topic: "t", records: batchOf(t, record.Options{Control: true}, testTime)}, kerr.InvalidRecord},
		{"zstd before it was allowed", 6, part{topic: "t", records: batchOf(t, record.Options{Codec: compress.Zstd}, testTime)}, kerr.UnsupportedCompressionType},
		{"transactional batch without its transaction", 12, part{topic: "t", records: batchOf(t, transactional, testTime)}, kerr.TransactionalIDAuthorizationFailed},
	} {
		got := produced(do[*kmsg.ProduceResponse](c, tc.version, produceRequest(-1, tc.p)))
		wantCode(t, tc.name, got.ErrorCode, tc.want)
		if got.BaseOffset != -1 || got.LogAppendTime != -1 || got.LogStartOffset != -1 {
			t.Errorf("%s: a refusal must carry no offsets: %+v", tc.name, got)
		}
		if tc.version >= 8 && (got.ErrorMessage == nil || *got.ErrorMessage == "") {
			t.Errorf("%s: the refusal has no message", tc.name)
		}
	}
	if got := produce(t, c, "t", 0, good()); got != 0 {
		t.Errorf("after refusals the first batch stands at %d, want 0: a refused batch took offsets", got)
	}
}

// TestProduceInvalidAcks: nothing is appended, and every partition says why.
func TestProduceInvalidAcks(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	for _, acks := range []int16{-2, 2} {
		b := batchOf(t, record.Options{}, testTime)
		resp := do[*kmsg.ProduceResponse](c, 9, produceRequest(acks, part{topic: "t", records: b}, part{topic: "t", partition: 1, records: b}))
		for _, p := range resp.Topics[0].Partitions {
			wantCode(t, "invalid acks", p.ErrorCode, kerr.InvalidRequiredAcks)
		}
	}
	if got := produce(t, c, "t", 1, batchOf(t, record.Options{}, testTime)); got != 0 {
		t.Errorf("the next batch stands at %d, want 0", got)
	}
}

// TestE1ProduceWithoutAcks: success is silent; a refusal closes the connection.
func TestE1ProduceWithoutAcks(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	createTopic(t, c, "t", 1)
	req := produceRequest(0, part{topic: "t", records: batchOf(t, record.Options{}, testTime)})
	req.SetVersion(9)
	c.Send(req)
	if got := produce(t, c, "t", 0, batchOf(t, record.Options{}, testTime)); got != 1 {
		t.Errorf("the batch behind one with acks=0 stands at %d, want 1", got)
	}
	bad := produceRequest(0, part{topic: "none", records: batchOf(t, record.Options{}, testTime)})
	bad.SetVersion(9)
	c.Send(bad)
	c.ExpectEnd()
}

// TestProduceManyPartitions: one bad partition does not hurt the others of the request.
func TestProduceManyPartitions(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	b := func() record.Batch { return batchOf(t, record.Options{}, testTime, testTime) }
	damaged := b()
	damaged[len(damaged)-1] ^= 1
	for round := range int64(2) {
		resp := do[*kmsg.ProduceResponse](c, 9, produceRequest(-1,
			part{topic: "t", records: b()}, part{topic: "none", records: b()}, part{topic: "t", partition: 1, records: slices.Clone(damaged)}))
		if len(resp.Topics) != 3 {
			t.Fatalf("got %d topics, want 3 as in the request", len(resp.Topics))
		}
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != 2*round {
			t.Errorf("the good partition answers %+v, want offset %d", p, 2*round)
		}
		wantCode(t, "unknown topic", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
		wantCode(t, "damaged", resp.Topics[2].Partitions[0].ErrorCode, kerr.CorruptMessage)
	}
}

// TestT1Idempotent: a duplicate is answered with the offset of the original, a gap is refused, a stale epoch too.
func TestT1Idempotent(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{})
	c := b.Client()
	createTopic(t, c, "t", 1)
	send := func(c *nodetest.Client, epoch int16, seq int32) kmsg.ProduceResponseTopicPartition {
		o := record.Options{Producer: &record.Producer{ID: 9, Epoch: epoch, Sequence: seq}}
		return produced(do[*kmsg.ProduceResponse](c, 9, produceRequest(-1, part{topic: "t", records: batchOf(t, o, testTime, testTime)})))
	}
	for seq, want := int32(0), int64(0); seq < 6; seq, want = seq+2, want+2 {
		if p := send(c, 1, seq); p.ErrorCode != 0 || p.BaseOffset != want {
			t.Fatalf("sequence %d: %+v, want offset %d", seq, p, want)
		}
	}
	if p := send(c, 1, 2); p.ErrorCode != 0 || p.BaseOffset != 2 {
		t.Errorf("a duplicate is answered %+v, want the original's offset 2", p)
	}
	wantCode(t, "a gap", send(c, 1, 9).ErrorCode, kerr.OutOfOrderSequenceNumber)
	wantCode(t, "an old epoch", send(c, 0, 6).ErrorCode, kerr.InvalidProducerEpoch)
	after := b.Restart().Client()
	if p := send(after, 1, 4); p.ErrorCode != 0 || p.BaseOffset != 4 {
		t.Errorf("a duplicate after a restart is answered %+v, want the original's offset 4", p)
	}
	if p := send(after, 1, 6); p.ErrorCode != 0 || p.BaseOffset != 6 {
		t.Errorf("after the duplicates: %+v, want offset 6", p)
	}
}

// TestProduceLogAppendTime: the broker's time is in the answer and in the records.
func TestProduceLogAppendTime(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1, "message.timestamp.type", "LogAppendTime")
	got := produced(do[*kmsg.ProduceResponse](c, 9, produceRequest(1, part{topic: "t", records: batchOf(t, record.Options{}, 5)})))
	if got.ErrorCode != 0 || got.LogAppendTime < testTime {
		t.Fatalf("answered %+v, want the broker's time", got)
	}
	f := fetchOne(t, c, 12, fetchPart{topic: "t"})
	if ts := record.Batch(f.RecordBatches).MaxTimestamp(); ts != got.LogAppendTime {
		t.Errorf("the stored batch has time %d, the answer said %d", ts, got.LogAppendTime)
	}
}

// TestProduceTimestampOutOfBounds: the answer names the record at fault (KIP-467).
func TestProduceTimestampOutOfBounds(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 1, "message.timestamp.after.max.ms", "1000")
	got := produced(do[*kmsg.ProduceResponse](c, 9, produceRequest(1, part{topic: "t", records: batchOf(t, record.Options{}, testTime, testTime*3)})))
	wantCode(t, "a record from the future", got.ErrorCode, kerr.InvalidTimestamp)
	if len(got.ErrorRecords) != 1 || got.ErrorRecords[0].RelativeOffset != 1 {
		t.Errorf("the answer names the records %+v, want record 1", got.ErrorRecords)
	}
}

// TestE1ProducePipelining: answers keep the order of the requests, and so do the offsets.
func TestE1ProducePipelining(t *testing.T) {
	c := nodetest.Start(t, nodetest.Options{}).Client()
	createTopic(t, c, "t", 2)
	const n = 40
	for i := range int32(n) {
		req := produceRequest(-1, part{topic: "t", partition: i % 2, records: batchOf(t, record.Options{}, testTime)})
		if i == n/2 {
			req.Topics[0].Topic = "none"
		}
		req.SetVersion(9)
		c.Send(req)
	}
	next := [2]int64{}
	for i := range n {
		p := produced(c.Receive().(*kmsg.ProduceResponse))
		if i == n/2 {
			wantCode(t, "the bad one in the middle", p.ErrorCode, kerr.UnknownTopicOrPartition)
			continue
		}
		if p.ErrorCode != 0 || p.BaseOffset != next[i%2] {
			t.Fatalf("answer %d: %+v, want offset %d", i, p, next[i%2])
		}
		next[i%2]++
	}
}
