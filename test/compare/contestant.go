package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/bench"
)

// setup is what stands on one side of a comparison.
type setup string

// The setups.
const (
	chronik     setup = "Chronik"
	chronikRaft setup = "Chronik, one node with Raft"
	chronik3    setup = "Chronik, 3 nodes"
	kafka       setup = "Kafka"
	kafkaSync   setup = "Kafka, flush=1"
	kafka3      setup = "Kafka, 3 nodes"
)

// nodes is how many processes a setup has.
func (s setup) nodes() int {
	if s == chronik3 || s == kafka3 {
		return 3
	}
	return 1
}

// ours tells whether the setup is of Chronik.
func (s setup) ours() bool { return s == chronik || s == chronikRaft || s == chronik3 }

// directory is the name of the setup's directory.
func (s setup) directory() string {
	return map[setup]string{
		chronik: "chronik", chronikRaft: "chronik-raft", chronik3: "chronik-3", kafka: "kafka", kafkaSync: "kafka-sync", kafka3: "kafka-3",
	}[s]
}

// contestant is one side of a comparison, running or ready to: a broker, or all nodes of a cluster.
type contestant struct {
	setup  setup
	dir    string
	nodes  []*broker
	filled bool // holds the topic of the cold scenario
}

// addr is the list of bootstrap servers.
func (c *contestant) addr() string {
	var all []string
	for _, b := range c.nodes {
		all = append(all, b.addr)
	}
	return strings.Join(all, ",")
}

func (c *contestant) processes() (all bench.Processes) {
	for _, b := range c.nodes {
		all = append(all, b.pid())
	}
	return all
}

// pids is the list of processes as chronik-bench takes it.
func (c *contestant) pids() string {
	var all []string
	for _, pid := range c.processes() {
		all = append(all, strconv.Itoa(pid))
	}
	return strings.Join(all, ",")
}

// start runs the processes. It does not wait for them to be ready.
func (c *contestant) start() error {
	for _, b := range c.nodes {
		if err := b.start(); err != nil {
			return err
		}
	}
	return nil
}

// ended reports a process that is no longer there.
func (c *contestant) ended() error {
	for _, b := range c.nodes {
		select {
		case <-b.exited:
			return fmt.Errorf("%s has ended (%s); its log is %s", b.name, b.cmd.ProcessState, filepath.Join(b.dir, "broker.log"))
		default:
		}
	}
	return nil
}

// ready returns once all nodes take connections and know each other.
func (c *contestant) ready(ctx context.Context, limit time.Duration) error {
	for _, b := range c.nodes {
		if err := b.listening(ctx, limit); err != nil {
			return err
		}
	}
	if len(c.nodes) == 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(c.addr(), ",")...), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.Close()
	return c.gathered(ctx, kadm.NewClient(cl))
}

// minISR is what acknowledgements with acks=-1 need on the clusters of both sides.
const minISR = "2"

// gathered waits until every node is known, and then sets what both clusters are compared with.
func (c *contestant) gathered(ctx context.Context, admin *kadm.Client) error {
	for {
		known, err := admin.ListBrokers(ctx)
		if err == nil && len(known) == len(c.nodes) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the nodes of %s do not find each other: %d of %d known (%v); logs in %s", c.setup, len(known), len(c.nodes), err, c.dir)
		case <-time.After(100 * time.Millisecond):
		}
	}
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "min.insync.replicas", Value: kadm.StringPtr(minISR)}}
	answers, err := admin.AlterBrokerConfigs(ctx, set)
	if err != nil {
		return fmt.Errorf("set min.insync.replicas of %s: %w", c.setup, err)
	}
	for _, a := range answers {
		if a.Err != nil {
			return fmt.Errorf("set min.insync.replicas of %s: %w", c.setup, a.Err)
		}
	}
	return nil
}

// stop ends the processes: a broker gently, then hard, the nodes of a cluster with kill -9. The last ones of these would wait for those that
// are gone to take over what they lead, and the data are thrown away.
func (c *contestant) stop() error {
	var errs []error
	for _, b := range c.nodes {
		if len(c.nodes) > 1 {
			errs = append(errs, b.kill())
		} else {
			errs = append(errs, b.stop())
		}
	}
	return errors.Join(errs...)
}

// remove deletes the data.
func (c *contestant) remove() error {
	var errs []error
	for _, b := range c.nodes {
		errs = append(errs, os.RemoveAll(b.data))
	}
	return errors.Join(errs...)
}

// pageOut drops what the page cache holds of the data.
func (c *contestant) pageOut() error {
	for _, b := range c.nodes {
		if err := pageOut(b.data); err != nil {
			return err
		}
	}
	return nil
}
