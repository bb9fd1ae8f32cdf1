package testcluster_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"chronik/internal/testcluster"
)

var fewTransactions = map[string]string{
	"min.insync.replicas": "2", "offsets.topic.num.partitions": "4", "group.initial.rebalance.delay.ms": "0", "transaction.state.log.num.partitions": "4",
}

// onTransactions runs a test on three nodes that coordinate transactions and hold the topic.
func onTransactions(t *testing.T, partitions int32, test func(*testing.T, *testcluster.Cluster, *kgo.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, 3, fewTransactions)
		cl := c.Client()
		defer cl.Close()
		create(t, cl, partitions, 3)
		test(t, c, cl)
	})
}

// transactional is a producer with a transactional ID.
func transactional(c *testcluster.Cluster, id string, opts ...kgo.Opt) *kgo.Client {
	return c.Client(append([]kgo.Opt{kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(20 * time.Second)}, opts...)...)
}

// older is a client of the first version of the protocol: it has partitions added, and keeps its epoch.
func older() kgo.Opt {
	v := kversion.V3_6_0()
	return kgo.MaxVersions(v)
}

// bothVersions are the options of clients of both versions of the protocol (KIP-890).
var bothVersions = map[string][]kgo.Opt{"V1": {older()}, "V2": nil}

// transact writes a record to each of some partitions in a transaction, and ends it.
func transact(t *testing.T, p *kgo.Client, value string, partitions int32, end kgo.TransactionEndTry) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for n := range partitions {
		if err := p.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: n, Value: []byte(value)}).FirstErr(); err != nil {
			return fmt.Errorf("produce: %w", err)
		}
	}
	if err := p.EndTransaction(ctx, end); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}

// stable is what consumers see that read committed records only, up to where all partitions are stable: how often each value is there.
func stable(t *testing.T, c *testcluster.Cluster, want int) map[string]int {
	t.Helper()
	return stableOf(t, c, topic, want)
}

func stableOf(t *testing.T, c *testcluster.Cluster, topic string, want int) map[string]int {
	t.Helper()
	cl := c.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer cl.Close()
	seen, count := make(map[string]int), 0
	began := time.Now()
	quiet := time.Now()
	for count < want || time.Since(quiet) < 2*time.Second {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			seen[string(r.Value)]++
			count++
			quiet = time.Now()
		})
		cancel()
		if time.Since(began) > time.Minute {
			t.Fatalf("%d of %d committed records were read: %v", count, want, seen)
		}
	}
	return seen
}

// TestTransactions: what is committed is seen, and what is aborted is not, on all partitions of it.
func TestTransactions(t *testing.T) {
	const partitions = 3
	for name, opts := range bothVersions {
		t.Run(name, func(t *testing.T) {
			onTransactions(t, partitions, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
				p := transactional(c, "tx", opts...)
				defer p.Close()
				for i := range 10 {
					end := kgo.TryCommit
					if i%3 == 1 {
						end = kgo.TryAbort
					}
					if err := transact(t, p, fmt.Sprint(i), partitions, end); err != nil {
						t.Fatalf("transaction %d: %v", i, err)
					}
				}
				seen := stable(t, c, 7*partitions)
				for i := range 10 {
					want := partitions
					if i%3 == 1 {
						want = 0
					}
					if got := seen[fmt.Sprint(i)]; got != want {
						t.Errorf("%d records of transaction %d are seen, want %d", got, i, want)
					}
				}
				if _, epoch, err := p.ProducerID(t.Context()); err != nil || (epoch > 0) != (opts == nil) {
					t.Errorf("after ten transactions the epoch is %d, %v", epoch, err)
				}
			})
		})
	}
}

// TestT3Fenced: a producer whose transactional ID another one has taken can neither write nor commit, and what it has left open is aborted.
func TestT3Fenced(t *testing.T) {
	for name, opts := range bothVersions {
		t.Run(name, func(t *testing.T) {
			onTransactions(t, 1, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
				old, other := transactional(c, "tx", opts...), transactional(c, "tx", opts...)
				defer old.Close()
				defer other.Close()
				if err := old.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				if err := old.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("left open")}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				if err := transact(t, other, "successor", 1, kgo.TryCommit); err != nil {
					t.Fatal(err)
				}
				err := old.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("late")}).FirstErr()
				if err == nil {
					t.Error("a fenced producer has written")
				}
				if err := old.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
					t.Error("a fenced producer has committed")
				}
				if err := transact(t, other, "successor", 1, kgo.TryCommit); err != nil {
					t.Error(err)
				}
				if seen := stable(t, c, 2); len(seen) != 1 || seen["successor"] != 2 {
					t.Errorf("seen is %v, want two of the successor", seen)
				}
			})
		})
	}
}

// TestT4Timeout: a transaction that its producer leaves open is aborted at its timeout, and holds up nobody any more.
func TestT4Timeout(t *testing.T) {
	onTransactions(t, 2, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		p := transactional(c, "tx")
		defer p.Close()
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("left open")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		plain := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		defer plain.Close()
		if err := plain.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("behind it")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // half of it
		if offsets := lastStable(t, cl); offsets != 0 {
			t.Errorf("the last stable offset is %d while the transaction is open, want 0", offsets)
		}
		time.Sleep(12 * time.Second)
		if offsets := lastStable(t, cl); offsets != 3 {
			t.Errorf("the last stable offset is %d after the timeout, want 3", offsets)
		}
		if seen := stable(t, c, 1); len(seen) != 1 || seen["behind it"] != 1 {
			t.Errorf("seen is %v", seen)
		}
	})
}

// lastStable is the last stable offset of partition 0.
func lastStable(t *testing.T, cl *kgo.Client) int64 {
	t.Helper()
	o, err := kadm.NewClient(cl).ListCommittedOffsets(t.Context(), topic)
	if err == nil {
		err = o.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	l, _ := o.Lookup(topic, 0)
	return l.Offset
}

// TestT3CoordinatorDies: whatever a coordinator's death interrupts, a transaction is seen on all of its partitions or on none, as its producer was
// told; and soon.
func TestT3CoordinatorDies(t *testing.T) {
	const partitions = 4
	for name, opts := range bothVersions {
		t.Run(name, func(t *testing.T) {
			onTransactions(t, partitions, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
				p := transactional(c, "tx", opts...)
				defer func() { p.Close() }()
				committed, doubtful := make(map[string]bool), make(map[string]bool)
				for round := range 4 {
					for i := range 3 {
						value := fmt.Sprint(round, "-", i)
						if err := transact(t, p, value, partitions, kgo.TryCommit); err != nil {
							t.Fatalf("transaction %s: %v", value, err)
						}
						committed[value] = true
					}
					dead := txnCoordinator(t, cl, "tx")
					if err := p.BeginTransaction(); err != nil {
						t.Fatal(err)
					}
					value := fmt.Sprint(round, "-dies")
					for n := range int32(partitions) {
						if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: n, Value: []byte(value)}).FirstErr(); err != nil {
							t.Fatal(err)
						}
					}
					ended := make(chan error, 1)
					go func() { ended <- p.EndTransaction(t.Context(), kgo.TryCommit) }()
					time.Sleep(time.Duration(round) * time.Millisecond / 2) // before, while, and after it decides
					c.Kill(dead)
					if err := <-ended; err != nil { // nobody knows
						t.Logf("%s: %v", value, err)
						doubtful[value] = true
						p.Close()
						p = transactional(c, "tx", opts...)
					} else {
						committed[value] = true
					}
					if err := transact(t, p, value+", next", partitions, kgo.TryCommit); err != nil {
						t.Fatal(err)
					}
					committed[value+", next"] = true
					c.Run(dead)
				}
				seen := stable(t, c, partitions*len(committed))
				for value := range committed {
					if seen[value] != partitions {
						t.Errorf("%d records of %s are seen, want %d", seen[value], value, partitions)
					}
				}
				for value, times := range seen {
					if !committed[value] && (!doubtful[value] || times != partitions) {
						t.Errorf("%d records of %s are seen", times, value)
					}
				}
			})
		})
	}
}

// TestT3MarkersOutliveTheirCoordinator: a coordinator dies when a commit is decided, and not all partitions have heard of it, because the only
// replica of one is away: who takes over has its marker written when it is back.
func TestT3MarkersOutliveTheirCoordinator(t *testing.T) {
	onTransactions(t, 3, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		admin, p := kadm.NewClient(cl), transactional(c, "tx")
		defer p.Close()
		if err := transact(t, p, "before", 3, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		first := txnCoordinator(t, cl, "tx")
		one := "1"
		if _, err := admin.CreateTopic(t.Context(), 3, 1, map[string]*string{"min.insync.replicas": &one}, "single"); err != nil {
			t.Fatal(err)
		}
		away := &kgo.Record{Topic: "single", Value: []byte("decided")}
		leader := 0
		for began := time.Now(); leader == 0; time.Sleep(50 * time.Millisecond) {
			topics, err := admin.ListTopics(t.Context(), "single")
			if err != nil || time.Since(began) > time.Minute {
				t.Fatalf("nobody else leads: %v, %v", topics, err)
			}
			for _, d := range topics["single"].Partitions {
				if d.Leader > 0 && int(d.Leader) != first {
					away.Partition, leader = d.Partition, int(d.Leader)
				}
			}
		}
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(t.Context(), away, &kgo.Record{Topic: topic, Value: away.Value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.Kill(leader)
		if err := p.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		if got := described(t, c, "tx"); got.State != "PrepareCommit" || len(got.Topics["single"]) != 1 {
			t.Errorf("while a partition is away: %+v", got)
		}
		c.Kill(first)
		c.Run(leader)
		if err := transact(t, p, "after", 3, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		if seen := stable(t, c, 7); len(seen) != 3 || seen["decided"] != 1 {
			t.Errorf("seen is %v", seen)
		}
		if seen := stableOf(t, c, "single", 1); seen["decided"] != 1 {
			t.Errorf("seen where the leader was away is %v", seen)
		}
	})
}

// described is what a transaction's coordinator says of it. It is asked by a new client: some go on to try who is away.
func described(t *testing.T, c *testcluster.Cluster, id string) kadm.DescribedTransaction {
	t.Helper()
	began := time.Now()
	for {
		cl := c.Client()
		d, err := kadm.NewClient(cl).DescribeTransactions(t.Context(), id)
		cl.Close()
		if err == nil && d[id].Err == nil {
			return d[id]
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("describing %s: %+v, %v", id, d, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// txnCoordinator is the node that coordinates a transactional ID.
func txnCoordinator(t *testing.T, cl *kgo.Client, id string) int {
	t.Helper()
	began := time.Now()
	for {
		found := kadm.NewClient(cl).FindTxnCoordinators(t.Context(), id)
		if found.Error() == nil && found[id].NodeID > 0 {
			return int(found[id].NodeID)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("finding the coordinator of %s: %v", id, found.Error())
		}
		time.Sleep(50 * time.Millisecond)
	}
}
