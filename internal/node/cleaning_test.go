package node_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// TestCompactedTopic: of a topic with cleanup.policy=compact the node leaves the latest record of each key, but for the active segment.
func TestCompactedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"log.cleaner.backoff.ms": "1000"}})
		c := b.Client()
		create := kmsg.NewPtrCreateTopicsRequest()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 1, 1
		for _, kv := range [][2]string{{"cleanup.policy", "compact"}, {"segment.bytes", "1048576"}} {
			topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: kv[0], Value: &kv[1]})
		}
		create.Topics = append(create.Topics, topic)
		if resp := nodetest.Do[*kmsg.CreateTopicsResponse](c, 5, create); resp.Topics[0].ErrorCode != 0 {
			t.Fatalf("creating the topic: %d", resp.Topics[0].ErrorCode)
		}
		const records, keys = 30, 4
		for i := range records {
			produceKeyed(t, c, fmt.Sprint("key ", i%keys), fmt.Sprint("value ", i))
		}
		time.Sleep(3 * time.Second) // virtual
		seen := make(map[string]string)
		got := fetchAll(t, c, func(key, value string) { seen[key] = value })
		for i := records - keys; i < records; i++ {
			if key, want := fmt.Sprint("key ", i%keys), fmt.Sprint("value ", i); seen[key] != want {
				t.Errorf("%s is %q, want %q", key, seen[key], want)
			}
		}
		if got >= records/2 {
			t.Errorf("%d records of %d are left\n%s", got, records, b.Log)
		}
	})
}

// produceKeyed sends one large record.
func produceKeyed(t *testing.T, c *nodetest.Client, key, value string) {
	t.Helper()
	w := record.NewBuilder(record.Options{})
	w.Add(time.Now().UnixMilli(), []byte(key), append([]byte(value+" "), make([]byte, 200<<10)...))
	batch, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	req.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch}}}}
	if resp := nodetest.Do[*kmsg.ProduceResponse](c, 9, req); resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("producing: %d", resp.Topics[0].Partitions[0].ErrorCode)
	}
}

// fetchAll reads the partition from its beginning to its end, and returns how many records it has.
func fetchAll(t *testing.T, c *nodetest.Client, visit func(key, value string)) (n int) {
	t.Helper()
	for at, end := int64(0), int64(1); at < end; {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.SessionEpoch = 1<<20, -1
		part := kmsg.NewFetchRequestTopicPartition()
		part.FetchOffset, part.PartitionMaxBytes = at, 1<<20
		req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: []kmsg.FetchRequestTopicPartition{part}}}
		p := nodetest.Do[*kmsg.FetchResponse](c, 11, req).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			t.Fatalf("fetching offset %d: %d, %d bytes", at, p.ErrorCode, len(p.RecordBatches))
		}
		end = p.HighWatermark
		for data := p.RecordBatches; len(data) > 0; {
			b, rest, err := record.Next(data)
			if err != nil {
				break // cut off by the limit
			}
			it := record.NewIterator(b.Records(), b.RecordCount())
			for r := (record.Record{}); it.Next(&r); n++ {
				value, _, _ := bytes.Cut(r.Value, []byte{' ', 0})
				visit(string(r.Key), string(value))
			}
			data, at = rest, int64(b.LastOffset())+1
		}
	}
	return n
}
