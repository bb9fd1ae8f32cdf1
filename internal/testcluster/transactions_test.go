package testcluster_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
	onTransactions(t, partitions, func(t *testing.T, c *testcluster.Cluster, _ *kgo.Client) {
		p := transactional(c, "tx")
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
	})
}
