package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/model"
	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// do sends a request in one version and returns the reply.
func do[Resp kmsg.Response](c *nodetest.Client, version int16, req kmsg.Request) Resp {
	return nodetest.Do[Resp](c, version, req)
}

// wantCode compares Kafka error codes; want nil is success.
func wantCode(t testing.TB, what string, got int16, want *kerr.Error) {
	t.Helper()
	code, name := int16(0), "no error"
	if want != nil {
		code, name = want.Code, want.Message
	}
	if got != code {
		t.Errorf("%s: got error code %d (%v), want %d (%s)", what, got, kerr.ErrorForCode(got), code, name)
	}
}

// createTopic makes a topic and returns its ID.
func createTopic(t testing.TB, c *nodetest.Client, name string, partitions int32, configs ...string) model.TopicID {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = configs[i], &configs[i+1]
		topic.Configs = append(topic.Configs, cfg)
	}
	req.Topics = append(req.Topics, topic)
	resp := do[*kmsg.CreateTopicsResponse](c, 7, req)
	if e := resp.Topics[0]; e.ErrorCode != 0 {
		t.Fatalf("creating topic %s: %v", name, kerr.ErrorForCode(e.ErrorCode))
	}
	return resp.Topics[0].TopicID
}

// testTime is a timestamp that no bound refuses.
const testTime = int64(1_700_000_000_000)

// batchOf builds one batch with a record per timestamp.
func batchOf(t testing.TB, o record.Options, timestamps ...int64) record.Batch {
	t.Helper()
	w := record.NewBuilder(o)
	for _, ts := range timestamps {
		w.Add(ts, []byte("key"), []byte("value"))
	}
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// part is one partition of a produce request.
type part struct {
	topic     string
	id        model.TopicID
	partition int32
	records   []byte
}

// produceRequest makes a request, with consecutive parts of one topic together.
func produceRequest(acks int16, parts ...part) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10_000
	for _, p := range parts {
		n := len(req.Topics)
		if n == 0 || req.Topics[n-1].Topic != p.topic || req.Topics[n-1].TopicID != p.id {
			topic := kmsg.NewProduceRequestTopic()
			topic.Topic, topic.TopicID = p.topic, p.id
			req.Topics = append(req.Topics, topic)
			n++
		}
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = p.partition, p.records
		req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, rp)
	}
	return req
}

// produced is the answer of the first partition.
func produced(r *kmsg.ProduceResponse) kmsg.ProduceResponseTopicPartition {
	return r.Topics[0].Partitions[0]
}

// produce appends one batch in version 12 and returns its base offset.
func produce(t testing.TB, c *nodetest.Client, topic string, partition int32, b record.Batch) int64 {
	t.Helper()
	p := produced(do[*kmsg.ProduceResponse](c, 12, produceRequest(-1, part{topic: topic, partition: partition, records: b})))
	if p.ErrorCode != 0 {
		t.Fatalf("producing to %s-%d: %v", topic, partition, kerr.ErrorForCode(p.ErrorCode))
	}
	return p.BaseOffset
}
