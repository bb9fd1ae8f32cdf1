package testcluster

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/config"
	"chronik/internal/memnet"
	"chronik/internal/node"
	"chronik/internal/node/nodetest"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wait"
)

const (
	clientHost = "client"
	secret     = "a secret that only nodes of this cluster know"
	startTime  = 30 * time.Second // virtual, until a start is taken for failed

	refusalTime = time.Millisecond
)

// Cluster is nodes 1 to n of one configuration.
type Cluster struct {
	T   testing.TB
	Net *memnet.Network

	// Disk is what a node gets of its disk: set it before nodes run to put something in between. nil: the disk itself.
	Disk func(id int, disk *crashfs.FS) vfs.FS

	peers int
	kafka map[string]string

	mu       sync.Mutex
	nodes    map[int]*Node
	machines map[int]*machine
}

// Node is a running node.
type Node struct {
	*node.Node
	Log     *nodetest.Log
	machine *machine
}

// New makes a cluster of which no node runs yet. The keys are broker keys of all nodes.
func New(t testing.TB, nodes int, kafka map[string]string) *Cluster {
	c := &Cluster{T: t, Net: memnet.New(), peers: nodes, kafka: kafka, nodes: map[int]*Node{}, machines: map[int]*machine{}}
	for id := 1; id <= nodes; id++ {
		c.machines[id] = newMachine(crashfs.New(uint64(id)))
	}
	t.Cleanup(c.StopAll)
	return c
}

// Start makes a cluster and starts all of its nodes.
func Start(t testing.TB, nodes int, kafka map[string]string) *Cluster {
	t.Helper()
	c := New(t, nodes, kafka)
	var ids []int
	for id := 1; id <= nodes; id++ {
		ids = append(ids, id)
	}
	c.Run(ids...)
	return c
}

// Run starts nodes at the same time, and returns when they serve.
func (c *Cluster) Run(ids ...int) {
	c.T.Helper()
	errs := make(chan error, len(ids))
	for _, id := range ids {
		go func() { errs <- c.TryRun(id) }()
	}
	for range ids {
		if err := <-errs; err != nil {
			c.T.Errorf("a node does not start: %v", err)
		}
	}
	if c.T.Failed() {
		c.T.FailNow()
	}
}

// TryRun starts a node that may fail to, because its power goes meanwhile: then the start ends with ErrPowerCut. It returns when the node serves.
func (c *Cluster) TryRun(id int) error { return c.start(id, c.settings(id)) }

// RunAlone starts a node that knows of no other.
func (c *Cluster) RunAlone(id int) {
	c.T.Helper()
	if err := c.start(id, map[string]string{"node-id": fmt.Sprint(id), "bind-addr": host(id), "data-dir": "/data"}); err != nil {
		c.T.Fatal(err)
	}
}

func host(id int) string { return fmt.Sprintf("n%d", id) }

// settings are the command line of a node of the cluster.
func (c *Cluster) settings(id int) map[string]string {
	var peers []string
	for o := 1; o <= c.peers; o++ {
		if o != id {
			peers = append(peers, fmt.Sprintf("%d@%s:5001", o, host(o)))
		}
	}
	return map[string]string{
		"node-id": fmt.Sprint(id), "bind-addr": host(id), "data-dir": "/data", "raft-addr": host(id) + ":5001",
		"peers": strings.Join(peers, ","), "cluster-secret-file": "/secret",
	}
}

func (c *Cluster) start(id int, flags map[string]string) error {
	s, err := config.Load(config.Inputs{Flags: flags})
	if err != nil {
		return err
	}
	maps.Copy(s.Kafka, c.kafka)
	m := c.machine(id)
	out := &Node{Log: new(nodetest.Log), machine: m}
	var disk vfs.FS = m.disk
	if c.Disk != nil {
		disk = c.Disk(id, m.disk)
	}
	ctx, cancel := context.WithTimeout(m.power, startTime)
	defer cancel()
	out.Node, err = node.New(ctx, s, node.Env{
		FS: disk, Now: time.Now, Log: slog.New(slog.NewTextHandler(out.Log, nil)),
		Listen: func(_, address string) (net.Listener, error) {
			l, err := c.Net.Listen(address)
			if err != nil {
				return nil, err
			}
			return l, nil
		},
		Dial:     func(ctx context.Context, address string) (net.Conn, error) { return c.Net.Dial(ctx, host(id), address) },
		ReadFile: func(string) ([]byte, error) { return []byte(secret), nil },
	})
	if err != nil {
		return fmt.Errorf("node %d: %w\n%s", id, m.blame(err), out.Log)
	}
	c.mu.Lock()
	c.nodes[id] = out
	c.mu.Unlock()
	return nil
}

// Stop ends a node in order.
func (c *Cluster) Stop(id int) {
	c.T.Helper()
	if err := c.TryStop(id); err != nil {
		c.T.Errorf("node %d does not stop in order: %v", id, err)
	}
}

// TryStop is Stop for a node whose power may go meanwhile: then it waits for nobody any more, and fails with ErrPowerCut.
func (c *Cluster) TryStop(id int) error {
	c.T.Helper()
	n := c.take(id)
	ctx, cancel := context.WithTimeout(n.machine.power, startTime)
	defer cancel()
	return n.machine.blame(n.Node.Stop(ctx))
}

func (c *Cluster) take(id int) *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	if n == nil {
		c.T.Fatalf("node %d does not run", id)
	}
	delete(c.nodes, id)
	return n
}

// StopAll ends the nodes that still run, at the same time: none of them can hand over.
func (c *Cluster) StopAll() {
	c.mu.Lock()
	running := maps.Clone(c.nodes)
	clear(c.nodes)
	c.mu.Unlock()
	var all sync.WaitGroup
	for id, n := range running {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), startTime)
			defer cancel()
			if err := n.Node.Stop(ctx); err != nil {
				c.T.Errorf("node %d does not stop in order: %v", id, err)
			}
			if c.T.Failed() {
				c.T.Logf("log of node %d:\n%s", id, n.Log)
			}
		})
	}
	all.Wait()
}

// Dial is how a client reaches a node. It gives up after a second: the network waits for ever, and clients leave time limits to the socket.
// A refusal takes a moment, as it does elsewhere: some clients dial again at once, and virtual time would stand still.
func (c *Cluster) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := c.Net.Dial(ctx, clientHost, address)
	if err != nil {
		_ = wait.For(ctx, refusalTime)
	}
	return conn, err
}

// Options are those with which a client reaches all nodes.
func (c *Cluster) Options() []kgo.Opt {
	var seeds []string
	for id := 1; id <= c.peers; id++ {
		seeds = append(seeds, host(id)+":9092")
	}
	return []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.Dialer(c.Dial), kgo.RetryTimeout(time.Minute), kgo.MetadataMinAge(50 * time.Millisecond)}
}

// Client makes a client of all nodes.
func (c *Cluster) Client(opts ...kgo.Opt) *kgo.Client {
	c.T.Helper()
	cl, err := kgo.NewClient(append(c.Options(), opts...)...)
	if err != nil {
		c.T.Fatal(err)
	}
	return cl
}
