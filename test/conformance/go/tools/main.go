// Command tools is the conformance driver of what operators and test suites use of Kafka's own beside the console tools: the tools of groups and of
// transactions, the verifiable clients, and the formatters of the coordinators' logs. It runs them as Java classes from the jars that Maven fetched.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

const partitions = 3

// limit is for a dozen JVMs after each other, with another driver's at the same time.
const limit = 3 * time.Minute

func main() {
	driver.Main(own, func(context.Context, *driver.Env, dataset.Topic) error {
		return fmt.Errorf("the tools read no data sets of others")
	}, driver.Stage{Name: "alone", Run: func(e *driver.Env) {
		e.CheckWithin(limit, "hanging-transaction", func(ctx context.Context) error { return hangingTransaction(ctx, e) })
	}})
}

func own(e *driver.Env) {
	for _, protocol := range []string{"classic", "consumer"} {
		e.CheckWithin(limit, "verifiable-clients/"+protocol, func(ctx context.Context) error { return verifiable(ctx, e, protocol) })
	}
	e.CheckWithin(limit, "reset-offsets", func(ctx context.Context) error { return resetOffsets(ctx, e) })
	e.CheckWithin(limit, "transactions", func(ctx context.Context) error { return transactions(ctx, e) })
}

func groupTool(ctx context.Context, e *driver.Env, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", jvm.WithServer(e, args...)...)
}

func transactionTool(ctx context.Context, e *driver.Env, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.TransactionsCommand", jvm.WithServer(e, args...)...)
}

func client(e *driver.Env, opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(e.Servers()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
}

func create(ctx context.Context, c *kgo.Client, topic string, partitions int32) error {
	_, err := kadm.NewClient(c).CreateTopic(ctx, partitions, driver.Replicas, nil, topic)
	return err
}

// formatted is what a formatter of Kafka's makes of a partition of one of the coordinators' topics.
func formatted(ctx context.Context, e *driver.Env, topic string, partition int32, formatter string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.consumer.ConsoleConsumer", jvm.WithServer(e, "--topic", topic, "--partition", fmt.Sprint(partition),
		"--offset", "earliest", "--timeout-ms", "3000", "--formatter", "org.apache.kafka.tools.consumer."+formatter)...)
}

// coordinatorPartition is the partition of a coordinators' topic that a group, or a transactional ID, belongs to: Java's hash of it.
func coordinatorPartition(id string) int32 {
	const partitions = 50
	var h int32
	for _, c := range []byte(id) {
		h = 31*h + int32(c)
	}
	return max(h, -h) % partitions
}
