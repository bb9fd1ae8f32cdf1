package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A broker is what the drivers talk to: one or several nodes that were started here, or somebody else's.
type broker struct {
	addr  string // host:port, of several nodes separated by commas
	tag   string // not empty if the broker may know topics of an earlier run
	nodes []*node
	dir   string
}

// brisk are keys of brokers that are started here. A new group waits for more members for so many milliseconds: with Kafka's default, 3 seconds, that would be most of the time that
// all of this takes. Streams groups keep theirs: what groups have of their own is asked for, and compared.
var brisk = []string{"group.initial.rebalance.delay.ms=100"}

// briskly is how Chronik is told so.
func briskly() []string {
	env := os.Environ()
	for _, setting := range brisk {
		key, value, _ := strings.Cut(setting, "=")
		env = append(env, "CHRONIK_KAFKA_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	return env
}

func startBroker(ctx context.Context, o options, in *installer) (*broker, error) {
	if o.bootstrap != "" {
		return &broker{addr: o.bootstrap, tag: "." + strconv.FormatInt(time.Now().Unix(), 36)}, nil
	}
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	b := &broker{dir: dir}
	switch {
	case o.kafka:
		err = b.addKafka(ctx, in)
	case o.nodes > 1:
		err = b.addCluster(o, in)
	default:
		err = b.addAlone(o, in)
	}
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, n := range b.nodes {
		addrs = append(addrs, n.addr)
	}
	b.addr = strings.Join(addrs, ",")
	for _, n := range b.nodes { // the nodes of a cluster listen for clients when they have found each other
		if err := n.start(); err != nil {
			b.kill()
			return nil, err
		}
	}
	for _, n := range b.nodes {
		if err := n.await(ctx); err != nil {
			b.kill()
			return nil, err
		}
	}
	if len(b.nodes) > 1 {
		if err := b.settled(ctx); err != nil {
			b.kill()
			return nil, err
		}
	}
	return b, nil
}

func (b *broker) addKafka(ctx context.Context, in *installer) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	cmd, err := kafkaCommand(ctx, in, b.dir, ports)
	if err != nil {
		return err
	}
	b.nodes = append(b.nodes, newNode("Apache Kafka", cmd, ports[0], filepath.Join(in.cache, "broker.log")))
	return nil
}

func (b *broker) addAlone(o options, in *installer) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	cmd := exec.Command(o.server, "standalone", "--kafka-port", ports[0], "--http-port", ports[1], "--data-dir", filepath.Join(b.dir, "data"))
	cmd.Env = briskly()
	b.nodes = append(b.nodes, newNode(o.server, cmd, ports[0], filepath.Join(in.cache, "broker.log")))
	return nil
}

// addCluster adds nodes that keep three replicas of each topic, if there are as many; node i is nodes[i-1].
func (b *broker) addCluster(o options, in *installer) error {
	const each = 4 // ports
	ports, err := freePorts(each * o.nodes)
	if err != nil {
		return err
	}
	var peers []string
	for i := range o.nodes {
		peers = append(peers, fmt.Sprintf("%d@127.0.0.1:%s", i+1, ports[each*i]))
	}
	for i := range o.nodes {
		id, own := strconv.Itoa(i+1), ports[each*i:]
		cmd := exec.Command(o.server, "standalone", "--node-id", id, "--raft-addr", "127.0.0.1:"+own[0], "--peers", strings.Join(peers, ","),
			"--kafka-port", own[1], "--http-port", own[2], "--replication-port", own[3], "--data-dir", filepath.Join(b.dir, id))
		cmd.Env = append(briskly(),
			fmt.Sprintf("CHRONIK_KAFKA_DEFAULT_REPLICATION_FACTOR=%d", min(o.nodes, 3)),
			fmt.Sprintf("CHRONIK_KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=%d", min(o.nodes, 3)),
			fmt.Sprintf("CHRONIK_KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=%d", min(o.nodes, 3)), "CHRONIK_KAFKA_MIN_INSYNC_REPLICAS=2")
		b.nodes = append(b.nodes, newNode("node "+id, cmd, own[1], filepath.Join(in.cache, "broker-"+id+".log")))
	}
	return nil
}

// whileAlive is ctx until a node ends on its own: without one, every driver would wait for its time limit.
func (b *broker) whileAlive(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	for _, n := range b.nodes {
		go func(ended chan struct{}) {
			select {
			case <-ended:
				cancel()
			case <-ctx.Done():
			}
		}(n.ended)
	}
	return ctx, cancel
}

// stop asks the nodes to end, one after the other, and counts it as a check that each does so in time and says success.
func (b *broker) stop(t *tally) {
	for _, n := range slices.Backward(b.nodes) {
		n.stop(t)
	}
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

func (b *broker) kill() {
	for _, n := range b.nodes {
		n.kill()
	}
	_ = os.RemoveAll(b.dir)
}

func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once at the end, so that no port comes twice
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// kafkaCommand formats a directory and prepares Apache Kafka as one KRaft node with its defaults.
func kafkaCommand(ctx context.Context, in *installer, dir string, ports []string) (*exec.Cmd, error) {
	file := filepath.Join(dir, "server.properties")
	properties := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]s
listeners=PLAINTEXT://127.0.0.1:%[1]s,CONTROLLER://127.0.0.1:%[2]s
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]s
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
%[4]s
log.dirs=%[3]s
`, ports[0], ports[1], filepath.Join(dir, "data"), strings.Join(brisk, "\n"))
	if err := os.WriteFile(file, []byte(properties), 0o644); err != nil {
		return nil, err
	}
	classpath := in.path("java/lib/*")
	format := exec.CommandContext(ctx, "java", "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", "Y29uZm9ybWFuY2Utay4uLg", "-c", file)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("formatting Kafka's directory: %w: %s", err, out)
	}
	return exec.Command("java", "-Xmx1g", "-cp", classpath, "kafka.Kafka", file), nil
}
