package node_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/node/nodetest"
	"chronik/internal/record"
)

// create makes a topic with one partition.
func create(t *testing.T, c *nodetest.Client, name string) {
	t.Helper()
	if code := tryCreate(c, name); code != 0 {
		t.Fatalf("creating %s: %v", name, kerr.ErrorForCode(code))
	}
}

func tryCreate(c *nodetest.Client, name string) int16 {
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req.Topics = append(req.Topics, topic)
	return nodetest.Do[*kmsg.CreateTopicsResponse](c, 7, req).Topics[0].ErrorCode
}

// alter sets one dynamic value; an empty one deletes it.
func alter(t *testing.T, c *nodetest.Client, kind kmsg.ConfigResourceType, name, key, value string) {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	cfg.Name, cfg.Value = key, &value
	if value == "" {
		cfg.Op, cfg.Value = kmsg.IncrementalAlterConfigOpDelete, nil
	}
	r.Configs = append(r.Configs, cfg)
	req.Resources = append(req.Resources, r)
	if code := nodetest.Do[*kmsg.IncrementalAlterConfigsResponse](c, 1, req).Resources[0].ErrorCode; code != 0 {
		t.Fatalf("setting %s=%s: %v", key, value, kerr.ErrorForCode(code))
	}
}

// produce appends one record with a value of so many bytes.
func produce(t *testing.T, c *nodetest.Client, topic string, size int) (code int16, at int64) {
	t.Helper()
	w := record.NewBuilder(record.Options{})
	w.Add(1_700_000_000_000, []byte("key"), make([]byte, size))
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = b
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	p := nodetest.Do[*kmsg.ProduceResponse](c, 9, req).Topics[0].Partitions[0]
	return p.ErrorCode, p.BaseOffset
}

// TestConfigReachesThePartitions: a change is in effect when it is answered, wherever the value comes from.
func TestConfigReachesThePartitions(t *testing.T) {
	b := nodetest.Start(t, nodetest.Options{Kafka: map[string]string{"message.max.bytes": "5000"}})
	c := b.Client()
	create(t, c, "t")
	limit := func(what string, want int) {
		t.Helper()
		if code, _ := produce(t, c, "t", want+100); code != kerr.MessageTooLarge.Code {
			t.Errorf("%s: a record above %d bytes is answered %d", what, want, code)
		}
		if code, _ := produce(t, c, "t", want-200); code != 0 {
			t.Errorf("%s: a record below %d bytes is answered %d", what, want, code)
		}
	}
	limit("the static value", 5000)
	alter(t, c, kmsg.ConfigResourceTypeBroker, "", "message.max.bytes", "6000")
	limit("all brokers", 6000)
	alter(t, c, kmsg.ConfigResourceTypeBroker, "1", "message.max.bytes", "7000")
	limit("this broker", 7000)
	alter(t, c, kmsg.ConfigResourceTypeTopic, "t", "max.message.bytes", "3000")
	limit("the topic", 3000)
	b = b.Restart()
	c = b.Client()
	limit("the topic, after a restart", 3000)
	alter(t, c, kmsg.ConfigResourceTypeTopic, "t", "max.message.bytes", "")
	limit("this broker again", 7000)
	alter(t, c, kmsg.ConfigResourceTypeBroker, "1", "message.max.bytes", "")
	alter(t, c, kmsg.ConfigResourceTypeBroker, "", "message.max.bytes", "")
	limit("the static value again", 5000)
}
