package exactlyonce

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/wait"
	"chronik/test/exactlyonce/loop"
)

const (
	input, output = "numbers", "copies"
	group         = "copiers"
	partitions    = 6

	pace      = 30 * time.Millisecond // between two records of a partition
	roundTime = time.Minute           // for the group to catch up after a fault: timeouts of sessions and transactions, on a machine that does much else
)

// story is everything that takes part.
type story struct {
	rng    *rand.Rand
	admin  *kadm.Client
	nodes  []*node
	pool   pool
	feed   *loop.Feed
	watch  *loop.Watch
	output loop.Output
}

// TestExactlyOnce: a fault per round; the next round begins when the group has all its members, and has caught up with what was written until the fault was over. At last all processors are
// killed in the middle of their transactions, which end by their timeout, and others finish.
func TestExactlyOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers and two processors are killed at random: six to ten seconds")
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("%s, %s protocol, %d rounds, -exactlyonce.seed=%d", *client, *proto, *rounds, *seed)
	dir := workDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+time.Duration(*rounds)*2*roundTime)
	defer cancel()
	like := prepare(ctx, t, *client, dir)
	s := &story{rng: rand.New(rand.NewPCG(*seed, 0)), nodes: startNodes(ctx, t, dir)}
	servers := bootstrap(s.nodes)
	s.admin = kadm.NewClient(connect(t, servers))
	s.output = loop.Output{Admin: s.admin, Connect: dialer(servers), Topic: output, Partitions: partitions}
	created, err := s.admin.CreateTopics(ctx, partitions, nodes, nil, input, output)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	j := loop.Job{Bootstrap: servers, Group: group, Input: input, Output: output, Session: sessionTimeout, Transaction: transactionTimeout, Protocol: *proto}
	s.watch = loop.StartWatch(connect(t, servers), group, input, partitions)
	s.feed = loop.StartFeed(connect(t, servers, append(loop.FeedOptions(), logged(t, dir, "feed"))...), input, partitions, pace, roundTime)
	s.pool = startPool(t, dir, like, j)
	t.Cleanup(func() { s.watch.Stop(); s.feed.Stop() })
	if err := s.caughtUp(ctx); err != nil {
		t.Fatalf("before any fault: %v\n%s", err, strings.Join(s.pool.exits(), "\n"))
	}
	for n := range *rounds {
		if err := s.round(ctx, t, n+1); err != nil {
			t.Fatalf("round %d: %v\n%s", n+1, err, strings.Join(s.pool.exits(), "\n"))
		}
	}
	s.pool.stop()
	if err := s.output.AwaitClosed(ctx, transactionTimeout+5*time.Second); err != nil {
		t.Errorf("a transaction outlives its timeout: %v", err)
	}
	exits := s.pool.exits()
	s.pool = startPool(t, dir, like, j)
	s.finish(ctx, t)
	t.Logf("%d processors ended on their own:\n%s", len(exits), strings.Join(exits, "\n"))
}

// round is one fault at a random moment, and what comes after it.
func (s *story) round(ctx context.Context, t *testing.T, n int) error {
	if err := wait.For(ctx, time.Duration(s.rng.Int64N(int64(500*time.Millisecond)))); err != nil {
		return err
	}
	start := time.Now()
	what, err := faults[s.rng.IntN(len(faults))](ctx, s)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	over := time.Now()
	if err = s.caughtUp(ctx); err == nil {
		err = s.complete(ctx)
	}
	t.Logf("%s round %d: %s; over after %.1f s, caught up %.1f s later", start.UTC().Format("15:04:05.000"), n, what, over.Sub(start).Seconds(), time.Since(over).Seconds())
	return err
}

// finish has the input processed to its end, and judges.
func (s *story) finish(ctx context.Context, t *testing.T) {
	t.Helper()
	s.feed.Stop()
	if err := s.caughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	s.pool.stop()
	if err := s.output.AwaitClosed(ctx, transactionTimeout+5*time.Second); err != nil {
		t.Fatalf("a transaction outlives its timeout: %v", err)
	}
	want, err := s.feed.Ends()
	if err != nil {
		t.Fatalf("the input: %v", err)
	}
	verdict, err := s.output.Audit(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	reads, rewound := s.watch.Stop()
	for _, line := range slices.Concat(verdict.Wrong, rewound) {
		t.Error(line)
	}
	if at := s.watch.Offsets(); !slices.Equal(at, want) {
		t.Errorf("committed are %v, want %v", at, want)
	}
	t.Logf("records by partition: %v, and %d of aborted transactions; committed offsets were read %d times", want, verdict.Aborted, reads)
}

// caughtUp returns when the group has committed all that was acknowledged when it was called.
func (s *story) caughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	err := s.watch.CaughtUp(ctx, s.feed)
	if err != nil {
		err = errors.Join(err, s.output.Closed(context.WithoutCancel(ctx)))
	}
	return err
}

// complete returns when all processors are members and none that is dead: the next fault meets a whole group.
func (s *story) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	for {
		state, members, err := s.describe(ctx)
		if err == nil && state == "Stable" && members == processors {
			return nil
		}
		if wait.For(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("the group is %s with %d members: %w", state, members, err)
		}
	}
}

// describe asks for the group's state as the protocol of its members has it.
func (s *story) describe(ctx context.Context) (state string, members int, err error) {
	if *proto == loop.Consumer {
		all, err := s.admin.DescribeConsumerGroups(ctx, group)
		g := all[group]
		return g.State, len(g.Members), errors.Join(err, g.Err)
	}
	all, err := s.admin.DescribeGroups(ctx, group)
	g := all[group]
	return g.State, len(g.Members), errors.Join(err, g.Err)
}

// workDir is removed unless the test fails: then it is the evidence.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "chronik-exactlyonce-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() || *keep {
			t.Logf("data and logs are kept in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func connect(t *testing.T, bootstrap string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := dialer(bootstrap)(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// logged has a client tell what it does, in a file.
func logged(t *testing.T, dir, name string) kgo.Opt {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return kgo.WithLogger(kgo.BasicLogger(f, kgo.LogLevelInfo, loop.Clock))
}

// dialer makes clients of a cluster.
func dialer(bootstrap string) func(...kgo.Opt) (*kgo.Client, error) {
	return func(opts ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append([]kgo.Opt{
			kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(50 * time.Millisecond),
		}, opts...)...)
	}
}
