package testcluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/model"
	"chronik/internal/operate"
	"chronik/internal/testcluster"
)

// operator gives the commands of `chronik cluster`.
type operator struct {
	t      *testing.T
	client *operate.Client
}

func newOperator(t *testing.T, c *testcluster.Cluster) *operator {
	cl := c.Client(kgo.RetryTimeout(5 * time.Second))
	t.Cleanup(cl.Close)
	return &operator{t, operate.NewClient(cl)}
}

// do leads the cluster to an aim; see is shown each line of progress.
func (o *operator) do(ctx context.Context, aim operate.Aim, see func(string)) error {
	r := operate.Run{Cluster: o.client, Aim: aim, Poll: 500 * time.Millisecond, Patience: 2 * time.Minute, Throttle: 1 << 30, Report: func(line string) {
		o.t.Log(line)
		if see != nil {
			see(line)
		}
	}}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	return r.Do(ctx)
}

// settled waits until nothing is wrong, and returns the report.
func (o *operator) settled() *operate.Report {
	o.t.Helper()
	for range 120 {
		if v, err := o.client.View(o.t.Context()); err == nil {
			if r := operate.NewReport(v); r.Healthy {
				return r
			}
		}
		wait(o.t.Context(), 500*time.Millisecond)
	}
	v, err := o.client.View(o.t.Context())
	if err != nil {
		o.t.Fatal(err)
	}
	var b strings.Builder
	_ = operate.NewReport(v).WriteText(&b)
	o.t.Fatalf("something is wrong after a minute:\n%s", b.String())
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// writer produces records to the topic's first partition, one after the other, until it is stopped; every record has to be acknowledged.
type writer struct {
	stop  context.CancelFunc
	all   sync.WaitGroup
	acked []string
	err   error
}

func newWriter(c *testcluster.Cluster, topic string) *writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{stop: cancel}
	cl := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	w.all.Go(func() {
		defer cl.Close()
		for i := 0; ctx.Err() == nil && w.err == nil; i++ {
			value := fmt.Sprintf("%06d", i)
			limit, done := context.WithTimeout(context.Background(), time.Minute)
			w.err = cl.ProduceSync(limit, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
			done()
			w.acked = append(w.acked, value)
			wait(ctx, 100*time.Millisecond)
		}
	})
	return w
}

func (w *writer) end(t *testing.T) []string {
	t.Helper()
	w.stop()
	w.all.Wait()
	if w.err != nil {
		t.Fatalf("record %d was not acknowledged: %v", len(w.acked)-1, w.err)
	}
	return w.acked
}

// A node is added, takes its share, and another is taken out, while records are being produced: none is lost, and nothing is left on the node
// that went.
func TestOperatorAddsAndRemovesNodes(t *testing.T) {
	onCluster(t, 3, 12, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
		o := newOperator(t, c)
		if r := o.settled(); len(r.Nodes) != 3 || len(r.Metadata.Voters) != 3 || r.Partitions.Total != 12 {
			t.Errorf("%d nodes, %d voters, %d partitions", len(r.Nodes), len(r.Metadata.Voters), r.Partitions.Total)
		}
		w := newWriter(c, topic)

		fourth := c.Extend()
		var joined sync.WaitGroup
		started := false
		err := o.do(t.Context(), operate.AddNode{ID: model.BrokerID(fourth), Voter: true, Rebalance: operate.Rebalance{Limit: 3}}, func(line string) {
			if strings.Contains(line, "to register") && !started {
				started = true
				joined.Go(func() { c.Run(fourth) })
			}
		})
		joined.Wait()
		if err != nil {
			t.Fatal(err)
		}
		r := o.settled()
		if n := r.Nodes[3]; n.Replicas != 9 || n.Leaders != 3 || len(r.Metadata.Voters) != 4 {
			t.Errorf("node 4 leads %d of 12 and holds %d of 36; %d voters", n.Leaders, n.Replicas, len(r.Metadata.Voters))
		}

		stopped := false
		err = o.do(t.Context(), operate.RemoveNode{ID: 1, Limit: 2}, func(line string) {
			if strings.Contains(line, "stop it now") && !stopped {
				stopped = true
				joined.Go(func() { c.Stop(1) })
			}
		})
		joined.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if err := o.do(t.Context(), operate.Rebalance{Limit: 5}, nil); err != nil {
			t.Fatal(err)
		}
		r = o.settled()
		if len(r.Nodes) != 3 || len(r.Metadata.Voters) != 3 || len(r.Reassignments) != 0 {
			t.Errorf("%d nodes, %d voters, %d reassignments", len(r.Nodes), len(r.Metadata.Voters), len(r.Reassignments))
		}
		for _, n := range r.Nodes {
			if n.ID == 1 || n.Replicas != 12 || n.Leaders != 4 {
				t.Errorf("node %d leads %d and holds %d", n.ID, n.Leaders, n.Replicas)
			}
		}
		if err := o.do(t.Context(), operate.RemoveNode{ID: 2, Limit: 2}, nil); err == nil || !strings.Contains(err.Error(), "add a node first") {
			t.Errorf("two nodes for three replicas: %v", err)
		}
		consume(t, c, w.end(t))
	})
}

// A node that died for good is replaced by a new one while it is gone.
func TestOperatorReplacesADeadNode(t *testing.T) {
	onCluster(t, 3, 6, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
		o := newOperator(t, c)
		o.settled()
		w := newWriter(c, topic)
		c.Kill(2)
		wait(t.Context(), 10*time.Second)
		v, err := o.client.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := operate.NewReport(v).WriteText(&b); err != nil || !strings.Contains(b.String(), "chronik cluster remove-node 2") {
			t.Errorf("%v\n%s", err, b.String())
		}
		c.Run(c.Extend())
		if err := o.do(t.Context(), operate.RemoveNode{ID: 2, Limit: 4}, nil); err != nil {
			t.Fatal(err)
		}
		r := o.settled()
		if len(r.Nodes) != 3 || r.Nodes[2].ID != 4 || r.Nodes[2].Replicas != 6 || len(r.Metadata.Voters) != 3 {
			t.Errorf("nodes %+v, %d voters", r.Nodes, len(r.Metadata.Voters))
		}
		consume(t, c, w.end(t))
	})
}

// A sixth node follows the metadata without a vote, and is forgotten like any other.
func TestOperatorRemovesALearner(t *testing.T) {
	onCluster(t, 5, 6, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
		sixth := c.Extend()
		c.Run(sixth)
		o := newOperator(t, c)
		if err := o.do(t.Context(), operate.AddNode{ID: model.BrokerID(sixth), Rebalance: operate.Rebalance{Limit: 3}}, nil); err != nil {
			t.Fatal(err)
		}
		if r := o.settled(); len(r.Metadata.Voters) != 5 || len(r.Metadata.Learners) != 1 || r.Nodes[5].Replicas != 3 {
			t.Errorf("%d voters, %d learners, %d replicas on the sixth", len(r.Metadata.Voters), len(r.Metadata.Learners), r.Nodes[5].Replicas)
		}
		c.Stop(sixth)
		if err := o.do(t.Context(), operate.RemoveNode{ID: model.BrokerID(sixth), Limit: 3}, nil); err != nil {
			t.Fatal(err)
		}
		if r := o.settled(); len(r.Metadata.Voters) != 5 || len(r.Metadata.Learners) != 0 || len(r.Nodes) != 5 {
			t.Errorf("%d voters, %d learners, %d nodes", len(r.Metadata.Voters), len(r.Metadata.Learners), len(r.Nodes))
		}
	})
}

// The node that takes over dies before it has caught up: the command leads elsewhere.
func TestOperatorLeadsElsewhere(t *testing.T) {
	onCluster(t, 3, 6, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
		c.Run(c.Extend(), c.Extend())
		o := newOperator(t, c)
		o.settled()
		w := newWriter(c, topic)
		c.Kill(4) // the controller takes it for alive until its session ends
		var stopping sync.WaitGroup
		stopped := false
		err := o.do(t.Context(), operate.RemoveNode{ID: 1, Limit: 6}, func(line string) {
			if strings.Contains(line, "stop it now") && !stopped {
				stopped = true
				stopping.Go(func() { c.Stop(1) })
			}
		})
		stopping.Wait()
		if err != nil {
			t.Fatal(err)
		}
		v, err := o.client.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range v.Partitions {
			if slices.Contains(p.Replicas, 1) || slices.Contains(p.Replicas, 4) || len(p.ISR) != 3 {
				t.Errorf("%v has %v, in sync are %v", p.TopicPartition, p.Replicas, p.ISR)
			}
		}
		consume(t, c, w.end(t))
	})
}
