package testcluster

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// disks are the disks of a cluster, each of which can stand still.
type disks map[int]*faultfs.FS

// freeze has nothing that changes a disk return, nor fail, until thaw is called. Reads go on.
func (d disks) freeze(id int) (thaw func()) {
	gate := make(chan struct{})
	const changes = faultfs.OpCreate | faultfs.OpRemove | faultfs.OpRename | faultfs.OpMkdir | faultfs.OpSyncDir | faultfs.OpWrite | faultfs.OpSync | faultfs.OpTruncate
	f := d[id].Inject(faultfs.Rule{Ops: changes, Before: func(faultfs.Call) { <-gate }})
	return func() {
		f.Stop()
		close(gate)
	}
}

// stalling runs a test with three nodes and the topics "t", to which a load writes, and "idle", of three partitions each.
func stalling(t *testing.T, test func(t *testing.T, c *Cluster, d disks, l *load)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, d := New(t, 3, map[string]string{"min.insync.replicas": "2"}), make(disks)
		for id := 1; id <= 3; id++ {
			d[id] = faultfs.New(c.machine(id).disk)
		}
		c.Disk = func(id int, _ *crashfs.FS) vfs.FS { return d[id] }
		c.Run(1, 2, 3)
		cl := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(1000), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), 3, 3, nil, "t", "idle"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		l := &load{t: t, cl: cl, worst: make([]time.Duration, 3), sent: make([]int, 3)}
		l.begin()
		time.Sleep(time.Second)
		test(t, c, d, l)
	})
}

// load writes to each partition of "t", one record after the other.
type load struct {
	t    *testing.T
	cl   *kgo.Client
	stop context.CancelFunc
	all  sync.WaitGroup

	mu    sync.Mutex
	worst []time.Duration // by partition, how long one record took
	sent  []int
}

func (l *load) begin() {
	ctx, stop := context.WithCancel(l.t.Context())
	l.stop = stop
	for p := range l.sent {
		l.all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				began := time.Now()
				err := l.cl.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Partition: int32(p), Value: []byte(fmt.Sprint(i))}).FirstErr()
				if err != nil {
					l.t.Errorf("record %d of partition %d: %v", i, p, err)
					return
				}
				l.mu.Lock()
				l.worst[p] = max(l.worst[p], time.Since(began))
				l.sent[p]++
				l.mu.Unlock()
				time.Sleep(20 * time.Millisecond) // virtual
			}
		})
	}
}

// slowest is how long the slowest record has taken so far.
func (l *load) slowest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Max(l.worst)
}

// end stops writing, and looks for all of what was acknowledged.
func (l *load) end(c *Cluster) {
	l.stop()
	l.all.Wait()
	in := c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer in.Close()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	next := make([]int, len(l.sent))
	for ctx.Err() == nil && !slices.Equal(next, l.sent) {
		in.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(next[r.Partition]) {
				l.t.Errorf("partition %d: record %s, want %d", r.Partition, r.Value, next[r.Partition])
			}
			next[r.Partition]++
		})
	}
	if !slices.Equal(next, l.sent) {
		l.t.Errorf("read %v records of %v", next, l.sent)
	}
}

// seen is what a node tells clients: how many partitions each node leads, and the sum of the leader epochs.
func (c *Cluster) seen(cl *kgo.Client, id int) (leads map[int]int, epochs int) {
	c.T.Helper()
	req := kmsg.NewPtrMetadataRequest()
	ctx, cancel := context.WithTimeout(c.T.Context(), 5*time.Second)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl.Broker(id))
	if err != nil {
		c.T.Fatalf("metadata of node %d: %v", id, err)
	}
	leads = make(map[int]int)
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			leads[int(p.Leader)]++
			epochs += int(p.LeaderEpoch)
		}
	}
	return leads, epochs
}

// term is the term of the metadata and who leads them, as a node knows it.
func (c *Cluster) term(cl *kgo.Client, id int) (term, leader int) {
	c.T.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: make([]kmsg.DescribeQuorumRequestTopicPartition, 1)}}
	resp, err := req.RequestWith(c.T.Context(), cl.Broker(id))
	if err != nil || len(resp.Topics) == 0 {
		c.T.Fatalf("the quorum, asked of node %d: %v, %v", id, resp, err)
	}
	p := &resp.Topics[0].Partitions[0]
	return int(p.LeaderEpoch), int(p.LeaderID)
}

// TestR6StandingDisk: a disk stands still for 30 s while its node runs. The others lead all that the node led, also what nobody writes to; the node, which
// learns none of it, does not say that it leads; and the metadata elect nobody for it, or hand over once if it led them.
func TestR6StandingDisk(t *testing.T) {
	for _, controls := range []bool{false, true} {
		t.Run(fmt.Sprintf("of the controller=%v", controls), func(t *testing.T) {
			stalling(t, func(t *testing.T, c *Cluster, d disks, l *load) {
				term, victim := c.term(l.cl, 1)
				if !controls {
					victim = victim%3 + 1
				}
				other := victim%3 + 1
				if leads, _ := c.seen(l.cl, other); leads[victim] != 2 {
					t.Fatalf("the victim, %d, leads nothing: %v", victim, leads)
				}
				began := time.Now()
				thaw := d.freeze(victim)
				for leads := map[int]int{victim: 1}; leads[victim]+leads[-1] > 0; time.Sleep(50 * time.Millisecond) {
					if leads, _ = c.seen(l.cl, other); time.Since(began) > 20*time.Second {
						t.Fatalf("after 20 s: %v", leads)
					}
				}
				t.Logf("others led after %v", time.Since(began))
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("others led after %v", took)
				}
				for time.Since(began) < 30*time.Second {
					if leads, _ := c.seen(l.cl, victim); leads[victim] > 0 {
						t.Fatalf("after %v the node says that it leads: %v", time.Since(began), leads)
					}
					time.Sleep(500 * time.Millisecond)
				}
				now, _ := c.term(l.cl, other)
				t.Logf("the slowest record took %v; %d terms of the metadata", l.slowest(), now-term)
				if now > term+1 || !controls && now > term {
					t.Errorf("a disk that stood still led from term %d to %d", term, now)
				}
				if worst := l.slowest(); worst > 6*time.Second {
					t.Errorf("a record took %v", worst)
				}
				thaw()
				c.inSync(l.cl, 3)
				began = time.Now()
				for leads, _ := c.seen(l.cl, victim); leads[-1] > 0; leads, _ = c.seen(l.cl, victim) {
					if time.Since(began) > 5*time.Second {
						t.Fatalf("%v after all that the node says %v", time.Since(began), leads)
					}
					time.Sleep(50 * time.Millisecond)
				}
				l.end(c)
			})
		})
	}
}

// TestR8ShortStall: a disk that answers within the session changes nothing. One that takes 2 s costs its node the partitions that are written to, which is
// what replica.lag.time.max.ms asks for, or all; the metadata elect nobody.
func TestR8ShortStall(t *testing.T) {
	for _, length := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
		t.Run(length.String(), func(t *testing.T) {
			stalling(t, func(t *testing.T, c *Cluster, d disks, l *load) {
				const rounds = 21
				term, active := c.term(l.cl, 1)
				_, before := c.seen(l.cl, 1)
				for i := range rounds {
					thaw := d.freeze((active+i%2)%3 + 1)
					time.Sleep(length)
					thaw()
					time.Sleep(time.Duration(i) * 77 * time.Millisecond)
				}
				time.Sleep(2 * time.Second)
				_, after := c.seen(l.cl, 1)
				now, _ := c.term(l.cl, 1)
				t.Logf("in %d stalls of %v: %d leader epochs, %d terms of the metadata; the slowest record took %v", rounds, length, after-before, now-term, l.slowest())
				if now != term || length < time.Second && after != before {
					t.Errorf("in %d stalls of %v: %d leader epochs, %d terms of the metadata", rounds, length, after-before, now-term)
				}
				l.end(c)
			})
		})
	}
}
