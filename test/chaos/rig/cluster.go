package rig

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startTime is how long a cluster may take to be whole, on a machine that does much else.
const startTime = time.Minute

var keep = flag.Bool("chaos.keep", false, "keep the data and the logs of the nodes also where a test passes")

// Options say what a cluster is made of.
type Options struct {
	Nodes    int               // 3 if zero
	Kafka    map[string]string // broker keys of all nodes
	DiskMiB  int               // each node's data on a file system of this size; zero: on the machine's
	Args     []string          // more flags for every node
	LogLevel string            // info if empty
	Bin      string            // the server; if empty, Build's
}

// Cluster is nodes 1 to n over a network.
type Cluster struct {
	T     testing.TB
	Net   *Network
	Nodes []*Node // node id at id-1
	Dir   string  // the nodes' logs, and what they store unless they have disks

	opts   Options
	secret string
}

// Start makes a cluster, starts all of its nodes and waits until they are ready. It ends with the test.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	c := New(t, opts)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	if err := c.Launch(ctx, c.Nodes...); err != nil {
		t.Fatal(err)
	}
	return c
}

// New makes a cluster of which no node runs yet.
func New(t testing.TB, opts Options) *Cluster {
	t.Helper()
	opts.Nodes, opts.LogLevel = cmp.Or(opts.Nodes, 3), cmp.Or(opts.LogLevel, "info")
	c := &Cluster{T: t, Net: newNetwork(t, opts.Nodes), opts: opts}
	if opts.Bin == "" {
		var err error
		if opts.Bin, err = Build(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if c.Dir, err = os.MkdirTemp("", prefixOf(os.Getpid())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	c.secret = filepath.Join(c.Dir, "secret")
	if err := os.WriteFile(c.secret, []byte("the secret of a cluster that is about to suffer"), 0o600); err != nil {
		t.Fatal(err)
	}
	for id := 1; id <= opts.Nodes; id++ {
		n := &Node{ID: id, Bin: opts.Bin, c: c, home: filepath.Join(c.Dir, fmt.Sprint("n", id))}
		if n.log, err = os.OpenFile(n.home+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err != nil {
			t.Fatal(err)
		}
		if opts.DiskMiB > 0 {
			n.disk = newDisk(t, n.home, opts.DiskMiB)
		} else if err := os.Mkdir(n.home, 0o755); err != nil {
			t.Fatal(err)
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

// Launch starts nodes at the same time and waits until all are ready.
func (c *Cluster) Launch(ctx context.Context, nodes ...*Node) error {
	for _, n := range nodes {
		if err := n.Launch(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Node is the node with an ID.
func (c *Cluster) Node(id int) *Node { return c.Nodes[id-1] }

// Others is all nodes but some.
func (c *Cluster) Others(but ...*Node) []*Node {
	var out []*Node
next:
	for _, n := range c.Nodes {
		for _, b := range but {
			if n == b {
				continue next
			}
		}
		out = append(out, n)
	}
	return out
}

// env is the broker keys as the environment of a node.
func (c *Cluster) env() []string {
	var out []string
	for key, value := range c.opts.Kafka {
		out = append(out, fmt.Sprintf("CHRONIK_KAFKA_%s=%s", strings.ToUpper(strings.ReplaceAll(key, ".", "_")), value))
	}
	return out
}

// close ends the nodes, and keeps their directory if the test has failed: it is the evidence.
func (c *Cluster) close() {
	var errs []error
	for _, n := range c.Nodes {
		if n.disk != nil {
			_ = n.disk.thaw() // fails if it is not frozen; a process that waits for its disk does not die
		}
		if n.Running() {
			errs = append(errs, n.Kill())
		}
		errs = append(errs, n.log.Close())
	}
	if c.T.Failed() {
		c.report()
	}
	errs = append(errs, unmountBelow(c.Dir)) // the images stay, and can be mounted again
	if c.T.Failed() || *keep {
		kept := strings.Replace(c.Dir, ours, "chronik-kept-", 1) // a name that the sweep passes over
		errs = append(errs, os.Rename(c.Dir, kept))
		c.T.Logf("data and logs are kept in %s", kept)
	} else {
		errs = append(errs, os.RemoveAll(c.Dir))
	}
	if err := errors.Join(errs...); err != nil {
		c.T.Errorf("cleaning up: %v", err)
	}
}

// reportLines is how much of each log a failed test prints.
const reportLines = 60

// report prints the end of each node's log.
func (c *Cluster) report() {
	for _, n := range c.Nodes {
		text, err := os.ReadFile(n.log.Name())
		if err != nil {
			c.T.Errorf("reading the log of node %d: %v", n.ID, err)
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		lines = lines[max(0, len(lines)-reportLines):]
		c.T.Logf("the end of node %d's log:\n%s", n.ID, strings.Join(lines, "\n"))
	}
}
