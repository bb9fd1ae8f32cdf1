package chaos

import (
	"context"
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/verify"
	"chronik/test/chaos/rig"
)

var rounds = flag.Int("chaos.rounds", 0, "how often the faults are repeated; 0 leaves all of this out")

// begin skips the test if it was not asked for.
func begin(t *testing.T) {
	t.Helper()
	if *rounds == 0 {
		t.Skip("real processes under faults take minutes, and root: make chaos")
	}
}

const (
	partitions = 3                // one led by each node
	patience   = 30 * time.Second // until anything that should happen is taken for failed
)

// twoOfThree are the keys of a cluster that acknowledges what is on two disks.
var twoOfThree = map[string]string{"min.insync.replicas": "2"}

// load is clients at work on a cluster: idempotent and plain producers, and consumers.
type load struct {
	*verify.Run
	c     *rig.Cluster
	admin *kgo.Client
}

// start waits until the cluster is whole and puts the clients to work. All write with acks=-1, unless the options say else.
func start(t *testing.T, c *rig.Cluster, opts verify.Options) *load {
	t.Helper()
	l := &load{c: c, admin: c.Client()}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	if err := rig.AwaitVoters(ctx, l.admin, len(c.Nodes)); err != nil {
		t.Fatal(err)
	}
	opts.Brokers, opts.Topic, opts.Partitions, opts.Replication = c.Brokers(), "chaos", partitions, 3
	opts.RequestTimeout, opts.Client = rig.RequestTime, c.ClientOptions()
	if opts.Producers == nil {
		opts.Producers = []verify.Producer{verify.Idempotent, verify.Idempotent, verify.Plain, verify.OneByOne}
	}
	var err error
	if l.Run, err = verify.Start(ctx, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if l.Run != nil { // the test gave up
			gone, cancel := context.WithCancel(context.Background())
			cancel()
			_, _ = l.Run.Stop(gone)
		}
	})
	l.settle(ctx, t)
	// All partitions have begun when each has taken a write.
	for p := range int32(partitions) {
		if _, err := l.Await(ctx, p, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// settle waits until the cluster is whole: every replica in sync, and each node the leader of what it should lead.
func (l *load) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := rig.AwaitVoters(ctx, l.admin, len(l.c.Nodes)); err != nil {
		t.Fatal(err)
	}
	if err := l.c.AwaitWhole(ctx, l.admin, l.Topic()); err != nil {
		t.Fatal(err)
	}
}

// quorum is who leads the metadata.
func (l *load) quorum(ctx context.Context, t *testing.T) rig.Quorum {
	t.Helper()
	q, err := rig.AskQuorum(ctx, l.admin)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// led lists the partitions that a node leads.
func (l *load) led(ctx context.Context, t *testing.T, n *rig.Node) []int32 {
	t.Helper()
	parts, err := rig.Partitions(ctx, l.admin, l.Topic())
	if err != nil {
		t.Fatal(err)
	}
	var out []int32
	for i, p := range parts {
		if p.Leader == n.ID {
			out = append(out, int32(i))
		}
	}
	if len(out) == 0 {
		t.Fatalf("node %d leads nothing: %+v", n.ID, parts)
	}
	return out
}

// every lists all partitions.
func (l *load) every() []int32 { return l.but(nil) }

// but lists all partitions except some.
func (l *load) but(some []int32) []int32 {
	var out []int32
	for p := range int32(l.Partitions()) {
		if !slices.Contains(some, p) {
			out = append(out, p)
		}
	}
	return out
}

// carriedOn returns how long after a fault all of the partitions had taken a write again.
func (l *load) carriedOn(ctx context.Context, t *testing.T, parts []int32, fault time.Time) time.Duration {
	t.Helper()
	longest := time.Duration(0)
	for _, p := range parts {
		g, err := l.Await(ctx, p, fault)
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, g.To.Sub(fault))
	}
	return longest
}

// longest returns the longest time without an acknowledged write in any partition, from a moment until now.
func (l *load) longest(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	const step = 50 * time.Millisecond // less than what a question covers
	longest := time.Duration(0)
	for at := since; at.Before(time.Now()); at = at.Add(step) {
		g, err := l.Gap(verify.AnyPartition, at)
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, g.To.Sub(g.From))
	}
	return longest
}

// finish stops the clients and holds everything that they saw against what was promised.
func (l *load) finish(t *testing.T) *verify.Report {
	t.Helper()
	l.settle(t.Context(), t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	run := l.Run
	l.Run = nil
	report, err := run.Stop(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Error(report)
	} else {
		t.Log(report)
	}
	return report
}
