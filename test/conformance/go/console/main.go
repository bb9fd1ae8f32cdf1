// Command console is the conformance driver of Kafka's own console tools. It runs them as Java
// classes from the jars that Maven fetched.
package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

// profile: the producer reads text lines of one partition.
const profile = "1kvhdna"

func main() {
	driver.Main(own, func(context.Context, *driver.Env, dataset.Topic) error {
		return fmt.Errorf("the console tools read no data sets of others")
	})
}

func own(e *driver.Env) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t := dataset.MustParse(dataset.Name(e.Client, codec, profile))
		if e.Check("console-producer/"+codec, func(ctx context.Context) error { return produce(ctx, e, t, codec) }) {
			e.Wrote(t.Name)
			e.Check("console-consumer/"+codec, func(ctx context.Context) error { return consume(ctx, e, t) })
		}
	}
	for _, c := range []struct {
		name string
		run  func(context.Context, *driver.Env) error
	}{
		{"topics", topics}, {"topics-errors", topicErrors}, {"configs", configs}, {"broker-configs", brokerConfigs}, {"group-configs", groupConfigs},
		{"get-offsets", getOffsets}, {"delete-records", deleteRecords}, {"log-dirs", logDirs}, {"cluster-id", clusterID},
		{"broker-api-versions", apiVersions}, {"features", features}, {"producer-perf", producerPerf},
		{"quorum", quorum}, {"endpoints", endpoints}, {"reassign", reassign}, {"broker-defaults", brokerDefaults},
		{"describe-producers", describeProducers}, {"consumer-offset", consumerOffset}, {"consumer-groups", consumerGroups},
	} {
		e.Check(c.name, func(ctx context.Context) error { return c.run(ctx, e) })
	}
	e.CheckWithin(sharesLimit, "share-groups", func(ctx context.Context) error { return shareGroups(ctx, e) })
}

func topicTool(ctx context.Context, e *driver.Env, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.TopicCommand", jvm.WithServer(e, args...)...)
}

const null = "NULL"

func orNull(b []byte) string {
	if b == nil {
		return null
	}
	return string(b)
}

func headerText(r dataset.Record, none string) string {
	if len(r.Headers) == 0 {
		return none
	}
	var hs []string
	for _, h := range r.Headers {
		hs = append(hs, h.Key+":"+orNull(h.Value))
	}
	return strings.Join(hs, ",")
}

func produce(ctx context.Context, e *driver.Env, t dataset.Topic, codec string) error {
	if _, err := topicTool(ctx, e, "--create", "--topic", t.Name, "--partitions", "1", "--config", "retention.ms=-1"); err != nil {
		return err
	}
	var lines bytes.Buffer
	for i := range e.Records {
		r := t.Record(i)
		fmt.Fprintf(&lines, "%s\t%s\t%s\n", headerText(r, null), orNull(r.Key), orNull(r.Value))
	}
	_, err := jvm.Tool(ctx, e, lines.Bytes(), "org.apache.kafka.tools.ConsoleProducer", jvm.WithServer(e, "--topic", t.Name,
		"--compression-codec", codec, "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
		"--reader-property", "null.marker="+null)...)
	return err
}

// consumer reads partition 0 without a group's offsets: a group that does not exist must not be asked for.
func consumer(ctx context.Context, e *driver.Env, topic string, args ...string) (string, error) {
	args = append([]string{"--topic", topic, "--partition", "0", "--timeout-ms", "20000"}, args...)
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", jvm.WithServer(e, args...)...)
}

func consume(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	out, err := consumer(ctx, e, t.Name, "--offset", "earliest", "--max-messages", fmt.Sprint(e.Records),
		"--command-property", "enable.auto.commit=false",
		"--formatter-property", "print.offset=true", "--formatter-property", "print.partition=true",
		"--formatter-property", "print.headers=true", "--formatter-property", "print.key=true",
		"--formatter-property", "null.literal="+null)
	if err != nil {
		return err
	}
	lines := strings.Split(out, "\n")
	for i := range e.Records {
		r := t.Record(i)
		want := fmt.Sprintf("Partition:0\tOffset:%d\t%s\t%s\t%s", i, headerText(r, "NO_HEADERS"), orNull(r.Key), orNull(r.Value))
		if i >= len(lines) || lines[i] != want {
			return fmt.Errorf("line %d is %q, want %q", i, lines[min(i, len(lines)-1)], want)
		}
	}
	return nil
}
