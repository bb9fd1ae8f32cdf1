package testcluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
	"chronik/internal/testcluster"
)

const shareGroup = "workers"

var fewShares = map[string]string{
	"min.insync.replicas": "2", "offsets.topic.num.partitions": "2", "share.coordinator.state.topic.num.partitions": "2",
	"share.coordinator.snapshot.update.records.per.snapshot": "3",
}

// worker is a member of the share group that takes a few records at a time.
type worker struct {
	*kgo.Client
	mu     sync.Mutex
	failed error // of what it has acknowledged since it was looked at
}

func newWorker(c *testcluster.Cluster) *worker {
	w := new(worker)
	w.Client = c.Client(kgo.ShareGroup(shareGroup), kgo.ConsumeTopics(topic), kgo.ShareMaxRecords(8), kgo.ShareMaxRecordsStrict(), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.ShareAckCallback(func(_ *kgo.Client, results kgo.ShareAckResults) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, r := range results {
				if r.Err != nil {
					w.failed = r.Err
				}
			}
		}))
	return w
}

// work takes some records and accepts them. It returns their values, and whether they are acknowledged for certain.
func (w *worker) work(t *testing.T) (values []string, certain bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for len(values) == 0 {
		got := w.PollRecords(ctx, 8)
		if ctx.Err() != nil {
			t.Fatalf("the group is given nothing: %v", got.Err0())
		}
		got.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	w.MarkAcks(kgo.AckAccept)
	if err := w.FlushAcks(ctx); err != nil {
		t.Fatalf("acknowledging: %v", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	certain = w.failed == nil
	w.failed = nil
	return values, certain
}

// done is what was acknowledged for certain.
type done map[string]bool

// add notes what a worker has done: nothing of that may have been done before.
func (d done) add(t *testing.T, values []string, certain bool) {
	t.Helper()
	for _, v := range values {
		if d[v] {
			t.Errorf("record %s is given out again after it was acknowledged", v)
		}
		d[v] = d[v] || certain
	}
}

// shareOffset is where the group is in the topic.
func shareOffset(t *testing.T, c *testcluster.Cluster) int64 {
	t.Helper()
	at, _ := sharePlace(t, c)
	return at
}

// sharePlace is where the group is in the topic, and how much it is said to have left to do.
func sharePlace(t *testing.T, c *testcluster.Cluster) (at, lag int64) {
	t.Helper()
	began := time.Now()
	for {
		cl := c.Client()
		got, err := kadm.NewClient(cl).DescribeShareGroupOffsets(t.Context(), shareGroup)
		cl.Close()
		if err == nil {
			err = got.Error()
		}
		if err == nil {
			err = got[shareGroup].Offsets.Error()
		}
		if err == nil {
			o := got[shareGroup].Offsets[topic][0]
			return o.StartOffset, o.Lag
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("describing the group's offsets: %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// onShares runs a test on three nodes that serve share groups and hold the topic with so many records, of which the group is to have all.
func onShares(t *testing.T, records int, test func(*testing.T, *testcluster.Cluster, *kgo.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, 3, fewShares)
		cl := c.Client()
		defer cl.Close()
		create(t, cl, 1, 3)
		produce(t, cl, 0, records)
		var start kadm.Offsets
		start.AddOffset(topic, 0, 0, -1)
		for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the client does not ask again while coordinators come to be
			r, err := kadm.NewClient(cl).AlterShareGroupOffsets(t.Context(), shareGroup, start)
			if err == nil {
				err = r.Error()
			}
			if err == nil {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("altering the group's offsets: %v", err)
			}
		}
		test(t, c, cl)
	})
}

// TestShareStateOutlivesBrokers: what members of a share group have acknowledged is never given out again, whoever dies: the broker that keeps the group's state of
// the partition, or the one that leads the partition. All else is.
func TestShareStateOutlivesBrokers(t *testing.T) {
	const records = 100
	onShares(t, records, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		finished := done{}
		for round := range 4 {
			w := newWorker(c)
			values, certain := w.work(t)
			finished.add(t, values, certain)
			dead := shareKeeper(t, cl)
			if round%2 == 1 {
				dead = leaderOf(t, cl)
			}
			c.Kill(dead)
			values, certain = w.work(t)
			finished.add(t, values, certain)
			w.Close()
			c.Run(dead)
			t.Logf("round %d: node %d died, %d records are done", round, dead, len(finished))
		}
		w := newWorker(c)
		defer w.Close()
		for at, lag := sharePlace(t, c); at < records; at, lag = sharePlace(t, c) {
			if lag <= 0 || lag > records-at {
				t.Errorf("the group is at %d of %d, and is said to lag by %d", at, records, lag)
			}
			finished.add(t, first(w.work(t)), true)
		}
		if len(finished) != records {
			t.Errorf("%d of %d records were given out", len(finished), records)
		}
	})
}

// TestShareStateIsPruned: the log of the state is shortened to what counts, and nothing is lost by that.
func TestShareStateIsPruned(t *testing.T) {
	const records = 100
	onShares(t, records, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		w := newWorker(c)
		for range 10 {
			if _, certain := w.work(t); !certain {
				t.Fatal("nothing is wrong, and records are not acknowledged")
			}
		}
		w.Close()
		at := shareOffset(t, c)
		time.Sleep(6 * time.Minute)
		ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), schema.Shares.Name)
		starts, err2 := kadm.NewClient(cl).ListStartOffsets(t.Context(), schema.Shares.Name)
		if err = errors.Join(err, err2, ends.Error(), starts.Error()); err != nil {
			t.Fatal(err)
		}
		left, written := int64(0), int64(0)
		ends.Each(func(end kadm.ListedOffset) {
			start, _ := starts.Lookup(end.Topic, end.Partition)
			written += end.Offset
			left += end.Offset - start.Offset
		})
		if left > 4 || written < 10 {
			t.Errorf("of %d records %d are left, want no more than a snapshot and three updates", written, left)
		}
		dead := shareKeeper(t, cl)
		c.Kill(dead)
		if got := shareOffset(t, c); got != at || at < 80 {
			t.Errorf("the next coordinator says that the group is at %d, it was at %d", got, at)
		}
	})
}

func first(values []string, _ bool) []string { return values }

// shareKeeper is the node that keeps the group's state of the topic's partition.
func shareKeeper(t *testing.T, cl *kgo.Client) int {
	t.Helper()
	details, err := kadm.NewClient(cl).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	key := schema.SharePartitionKey{Group: shareGroup, TopicID: model.TopicID(details[topic].ID)}.Coordinated()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		found := kadm.NewClient(cl).FindShareCoordinators(t.Context(), key)
		if err = found.Error(); err == nil {
			return int(found[key].NodeID)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("finding who keeps %s: %v", key, err)
		}
	}
}

// leaderOf is the node that leads the topic's partition.
func leaderOf(t *testing.T, cl *kgo.Client) int {
	t.Helper()
	details, err := kadm.NewClient(cl).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(details[topic].Partitions[0].Leader)
}
