package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

func topics(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("topics")
	out, err := topicTool(ctx, e, "--create", "--topic", topic, "--partitions", "3", "--config", "segment.bytes=12345678")
	if err := jvm.WantMatch(out, err, `Created topic `+topic); err != nil {
		return err
	}
	out, err = topicTool(ctx, e, "--describe", "--topic", topic)
	if err := jvm.WantMatch(out, err, `TopicId: [\w-]{22}`, `PartitionCount: 3`, `ReplicationFactor: [1-3]\s`, `segment.bytes=12345678`,
		`Partition: 2\s+Leader: (\d+)\s+Replicas: [\d,]+\s+Isr: [\d,]+`); err != nil {
		return err
	}
	out, err = topicTool(ctx, e, "--alter", "--topic", topic, "--partitions", "5")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	out, err = topicTool(ctx, e, "--list")
	if err := jvm.WantMatch(out, err, `(?m)^`+topic+`$`); err != nil {
		return err
	}
	if _, err = topicTool(ctx, e, "--delete", "--topic", topic); err != nil {
		return err
	}
	out, err = topicTool(ctx, e, "--list")
	if err == nil && strings.Contains(out, topic) {
		return fmt.Errorf("%s is listed after its deletion", topic)
	}
	return err
}

func topicErrors(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("errors")
	if _, err := topicTool(ctx, e, "--create", "--topic", topic); err != nil {
		return err
	}
	_, exists := topicTool(ctx, e, "--create", "--topic", topic)
	_, unknown := topicTool(ctx, e, "--describe", "--topic", e.Topic("none"))
	return errors.Join(driver.WantError(exists, "already exists"), driver.WantError(unknown, "does not exist as expected"))
}

func configTool(ctx context.Context, e *driver.Env, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "kafka.admin.ConfigCommand", jvm.WithServer(e, args...)...)
}

func configs(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("errors")
	on := []string{"--entity-type", "topics", "--entity-name", topic}
	out, err := configTool(ctx, e, append(on, "--alter", "--add-config", "retention.ms=3600000,cleanup.policy=[delete,compact]")...)
	if err := jvm.WantMatch(out, err, `Completed updating config`); err != nil {
		return err
	}
	out, err = configTool(ctx, e, append(on, "--describe")...)
	if err := jvm.WantMatch(out, err, `retention.ms=3600000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:retention.ms=3600000`,
		`cleanup.policy=delete,compact`); err != nil {
		return err
	}
	if _, err = configTool(ctx, e, append(on, "--alter", "--delete-config", "retention.ms")...); err != nil {
		return err
	}
	out, err = configTool(ctx, e, append(on, "--describe", "--all")...)
	if err := jvm.WantMatch(out, err, `retention.ms=604800000 sensitive=false synonyms=\{\}`, `max.message.bytes=1048588`); err != nil {
		return err
	}
	_, err = configTool(ctx, e, append(on, "--alter", "--add-config", "no.such.key=1")...)
	return driver.WantError(err, "InvalidConfigurationException")
}

func brokerConfigs(ctx context.Context, e *driver.Env) error {
	out, err := configTool(ctx, e, "--entity-type", "brokers", "--describe", "--all")
	return jvm.WantMatch(out, err, `message.max.bytes=1048588`, `auto.create.topics.enable=true`, `num.partitions=1`)
}

func getOffsets(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	for _, ask := range []struct {
		time string
		want int
	}{{"latest", e.Records}, {"earliest", 0}, {"1", 0}} {
		out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.GetOffsetShell", jvm.WithServer(e, "--topic", t.Name, "--time", ask.time)...)
		if err := jvm.WantMatch(out, err, fmt.Sprintf(`(?m)^%s:0:%d$`, t.Name, ask.want)); err != nil {
			return err
		}
	}
	return nil
}

func deleteRecords(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("delete-records")
	if err := perf(ctx, e, topic, 500); err != nil {
		return err
	}
	file, err := os.CreateTemp("", "delete-records-*.json")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	fmt.Fprintf(file, `{"partitions":[{"topic":%q,"partition":0,"offset":123}],"version":1}`, topic)
	if err := file.Close(); err != nil {
		return err
	}
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.DeleteRecordsCommand", jvm.WithServer(e, "--offset-json-file", file.Name())...)
	if err := jvm.WantMatch(out, err, `low_watermark: 123`); err != nil {
		return err
	}
	out, err = jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.GetOffsetShell", jvm.WithServer(e, "--topic", topic, "--time", "earliest")...)
	return jvm.WantMatch(out, err, topic+`:0:123`)
}

func logDirs(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.LogDirsCommand", jvm.WithServer(e, "--describe", "--topic-list", t.Name)...)
	return jvm.WantMatch(out, err, `"partition":"`+t.Name+`-0"`, `"size":[1-9]\d+`, `"error":null`)
}

func clusterID(ctx context.Context, e *driver.Env) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.ClusterTool", append([]string{"cluster-id"}, jvm.WithServer(e)...)...)
	return jvm.WantMatch(out, err, `Cluster ID: \S+`)
}

func apiVersions(ctx context.Context, e *driver.Env) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.BrokerApiVersionsCommand", jvm.WithServer(e)...)
	return jvm.WantMatch(out, err, `Produce\(0\): 0 to 13 \[usable: 13\]`, `Fetch\(1\): 4 to 18`, `DescribeTopicPartitions\(75\): 0`)
}

func features(ctx context.Context, e *driver.Env) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.FeatureCommand", jvm.WithServer(e, "describe")...)
	return jvm.WantMatch(out, err, `metadata.version\s.*FinalizedVersionLevel: 4.3-IV0`, `eligible.leader.replicas.version\s.*FinalizedVersionLevel: 1`)
}

func perf(ctx context.Context, e *driver.Env, topic string, n int) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.ProducerPerformance", "--topic", topic, "--num-records", fmt.Sprint(n),
		"--record-size", "256", "--throughput", "-1", "--bootstrap-server", e.Bootstrap)
	return jvm.WantMatch(out, err, fmt.Sprintf(`(?m)^%d records sent`, n))
}

// producerPerf writes to a topic that it creates by asking for it.
func producerPerf(ctx context.Context, e *driver.Env) error {
	return perf(ctx, e, e.Topic("perf"), 20_000)
}

func describeProducers(ctx context.Context, e *driver.Env) error {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.TransactionsCommand", jvm.WithServer(e, "describe-producers", "--topic", e.Topic("perf"), "--partition", "0")...)
	return jvm.WantMatch(out, err, `ProducerId`, `(?m)^\d+\s+0\s+\S+\s+19999\s`)
}

// consumerOffset starts in the middle, with the console consumer's defaults, which give it a group ID that it never uses.
func consumerOffset(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	out, err := consumer(ctx, e, t.Name, "--offset", "500", "--max-messages", "1", "--formatter-property", "print.offset=true")
	return jvm.WantMatch(out, err, `(?m)^Offset:500\t`)
}
