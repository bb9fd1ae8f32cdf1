package exactlyonce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chronik/internal/wait"
)

const (
	nodes     = 3
	startTime = time.Minute // on a machine that does much else
)

// brokerKeys are those of every node. Sessions are short, so that a dead member costs a second or two.
var brokerKeys = map[string]string{
	"DEFAULT_REPLICATION_FACTOR": "3", "MIN_INSYNC_REPLICAS": "2", "AUTO_CREATE_TOPICS_ENABLE": "false",
	"OFFSETS_TOPIC_REPLICATION_FACTOR": "3", "OFFSETS_TOPIC_NUM_PARTITIONS": "7",
	"TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "3", "TRANSACTION_STATE_LOG_MIN_ISR": "2", "TRANSACTION_STATE_LOG_NUM_PARTITIONS": "7",
	"GROUP_MIN_SESSION_TIMEOUT_MS": "1000", "GROUP_INITIAL_REBALANCE_DELAY_MS": "100",
	"GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS": "1000", "GROUP_CONSUMER_SESSION_TIMEOUT_MS": fmt.Sprint(sessionTimeout.Milliseconds()),
	"GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS": "100", "GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS": fmt.Sprint(sessionTimeout.Milliseconds() / 6),
}

// node is a server's process, which may be dead; its data stays.
type node struct {
	id          int
	kafka, http string
	argv        []string
	log         *os.File
	cmd         *exec.Cmd
	ended       chan struct{}
}

// startNodes makes a cluster that ends with the test, over a directory that stays if the test fails.
func startNodes(ctx context.Context, t *testing.T, dir string) []*node {
	t.Helper()
	bin := *server
	if bin == "" {
		bin = buildServer(ctx, t, dir)
	}
	const each = 4
	addrs := freeAddrs(t, each*nodes)
	var peers []string
	for i := range nodes {
		peers = append(peers, fmt.Sprintf("%d@%s", i+1, addrs[each*i]))
	}
	var out []*node
	for i := range nodes {
		own := addrs[each*i:]
		log, err := os.Create(filepath.Join(dir, fmt.Sprintf("node-%d.log", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		n := &node{id: i + 1, kafka: own[1], http: own[2], log: log, argv: []string{bin, "standalone", "--node-id", fmt.Sprint(i + 1), "--raft-addr", own[0],
			"--peers", strings.Join(peers, ","), "--kafka-port", port(own[1]), "--http-port", port(own[2]), "--replication-port", port(own[3]),
			"--data-dir", filepath.Join(dir, fmt.Sprint("data-", i+1))}}
		t.Cleanup(n.close)
		if err := n.launch(); err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	for _, n := range out {
		if err := n.awaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// built keeps the server from one run to the next: one that is up to date is not linked again.
const built = "../../.cache/exactlyonce/chronik-server"

// buildServer returns a copy, which stays what it is while another run builds.
func buildServer(ctx context.Context, t *testing.T, dir string) string {
	t.Helper()
	run(ctx, t, "go", "build", "-o", built, "chronik/cmd/chronik-server")
	own := filepath.Join(dir, "chronik-server")
	program, err := os.ReadFile(built)
	if err == nil {
		err = os.WriteFile(own, program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// launch starts the server and does not wait for it.
func (n *node) launch() error {
	n.cmd, n.ended = exec.Command(n.argv[0], n.argv[1:]...), make(chan struct{})
	n.cmd.Env = os.Environ()
	for key, value := range brokerKeys {
		n.cmd.Env = append(n.cmd.Env, "CHRONIK_KAFKA_"+key+"="+value)
	}
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(n.cmd, n.ended)
	return nil
}

func (n *node) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		err := n.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.ended:
			return fmt.Errorf("node %d has ended: %v; see %s", n.id, n.cmd.ProcessState, n.log.Name())
		default:
		}
		if wait.For(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("node %d is not ready: %w", n.id, err)
		}
	}
}

func (n *node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.http+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// kill ends the server with SIGKILL and returns when it is gone.
func (n *node) kill() {
	_, _ = fmt.Fprintf(n.log, "---- %s the test sends SIGKILL\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	_ = n.cmd.Process.Kill()
	<-n.ended
}

func (n *node) close() {
	if n.cmd != nil && n.cmd.Process != nil {
		n.kill()
	}
	_ = n.log.Close()
}

func bootstrap(all []*node) string {
	var out []string
	for _, n := range all {
		out = append(out, n.kafka)
	}
	return strings.Join(out, ",")
}

func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at once at the end, so that no port comes twice
		out = append(out, l.Addr().String())
	}
	return out
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}
