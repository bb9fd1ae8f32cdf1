package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"chronik/test/conformance/go/driver"
	"chronik/test/conformance/go/jvm"
)

func clusterTool(ctx context.Context, e *driver.Env, class string, args ...string) (string, error) {
	return jvm.Tool(ctx, e, nil, "org.apache.kafka.tools."+class, jvm.WithServer(e, args...)...)
}

func quorum(ctx context.Context, e *driver.Env) error {
	out, err := clusterTool(ctx, e, "MetadataQuorumCommand", "describe", "--status")
	if err := jvm.WantMatch(out, err, `ClusterId:\s+\S+`, `LeaderId:\s+[1-9]`, `HighWatermark:\s+[1-9]`, `CurrentVoters:\s+\[.+\]`); err != nil {
		return err
	}
	out, err = clusterTool(ctx, e, "MetadataQuorumCommand", "describe", "--replication")
	return jvm.WantMatch(out, err, `(?m)^\d+\s+\S+\s+\d+\s+0\s.*Leader`)
}

var endpointLine = regexp.MustCompile(`(?m)^(\d+)\s+\S+\s+\d+\s+\S+\s+unfenced\s+broker`)

// brokers are the IDs of the brokers in service.
func brokers(ctx context.Context, e *driver.Env) ([]string, error) {
	out, err := jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.ClusterTool", append([]string{"list-endpoints"}, jvm.WithServer(e, "--include-fenced-brokers")...)...)
	var ids []string
	for _, m := range endpointLine.FindAllStringSubmatch(out, -1) {
		ids = append(ids, m[1])
	}
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("no broker is in service: %q", out)
	}
	return ids, err
}

func endpoints(ctx context.Context, e *driver.Env) error {
	_, err := brokers(ctx, e)
	return err
}

// reassign spreads a partition from one broker over all, with a throttle, has another one lead it, and takes it back to one.
func reassign(ctx context.Context, e *driver.Env) error {
	ids, err := brokers(ctx, e)
	if err != nil {
		return err
	}
	topic := e.Topic("reassign")
	if out, err := topicTool(ctx, e, "--create", "--topic", topic, "--replica-assignment", ids[0]); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := perf(ctx, e, topic, 5000); err != nil {
		return err
	}
	slices.Reverse(ids)
	all := strings.Join(ids, ",")
	if err := moveTo(ctx, e, topic, all, "--throttle", "50000000"); err != nil {
		return err
	}
	if out, err := configTool(ctx, e, "--entity-type", "topics", "--entity-name", topic, "--describe"); err != nil || strings.Contains(out, "throttled") {
		return fmt.Errorf("throttles are left behind: %q, %v", out, err)
	}
	out, err := clusterTool(ctx, e, "LeaderElectionCommand", "--election-type", "preferred", "--topic", topic, "--partition", "0")
	if err := jvm.WantMatch(out, err, `Successfully completed leader election|Valid replica already elected`); err != nil {
		return err
	}
	out, err = topicTool(ctx, e, "--describe", "--topic", topic)
	if err := jvm.WantMatch(out, err, `Leader: `+ids[0]+`\s+Replicas: `+all+`\s`, `Isr: [\d,]{`+fmt.Sprint(len(all))+`}\s`); err != nil {
		return err
	}
	if err := moveTo(ctx, e, topic, ids[0]); err != nil {
		return err
	}
	out, err = jvm.Tool(ctx, e, nil, "org.apache.kafka.tools.GetOffsetShell", jvm.WithServer(e, "--topic", topic, "--time", "latest")...)
	return jvm.WantMatch(out, err, topic+`:0:5000`)
}

// moveTo gives the topic's partition other replicas, and returns when the tool finds that this is done.
func moveTo(ctx context.Context, e *driver.Env, topic, replicas string, more ...string) error {
	file, err := os.CreateTemp("", "reassign-*.json")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	fmt.Fprintf(file, `{"version":1,"partitions":[{"topic":%q,"partition":0,"replicas":[%s]}]}`, topic, replicas)
	if err := file.Close(); err != nil {
		return err
	}
	const class = "reassign.ReassignPartitionsCommand"
	out, err := clusterTool(ctx, e, class, append([]string{"--execute", "--reassignment-json-file", file.Name()}, more...)...)
	want := []string{`Successfully started partition reassignment`}
	if slices.Contains(more, "--throttle") {
		want = append(want, `The inter-broker throttle limit was set to \d+ B/s`)
	}
	if err := jvm.WantMatch(out, err, want...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		out, err := clusterTool(ctx, e, class, "--verify", "--reassignment-json-file", file.Name())
		if err == nil && strings.Contains(out, "is still in progress") {
			continue
		}
		return jvm.WantMatch(out, err, `Reassignment of partition `+topic+`-0 is completed`, `Clearing broker-level throttles`)
	}
}

// brokerDefaults sets a key for all brokers, sees it, and takes it back.
func brokerDefaults(ctx context.Context, e *driver.Env) error {
	all := []string{"--entity-type", "brokers", "--entity-default"}
	out, err := configTool(ctx, e, append(all, "--alter", "--add-config", "log.cleaner.threads=2")...)
	if err := jvm.WantMatch(out, err, `Completed updating default config`); err != nil {
		return err
	}
	var seen error
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		out, err = configTool(ctx, e, append(all, "--describe")...)
		if seen = jvm.WantMatch(out, err, `log.cleaner.threads=2 sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.threads=2`); seen == nil {
			break
		}
	}
	if seen != nil {
		return seen
	}
	_, err = configTool(ctx, e, append(all, "--alter", "--delete-config", "log.cleaner.threads")...)
	return err
}
