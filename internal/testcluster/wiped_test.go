package testcluster

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/vfs/crashfs"
)

// wipe replaces the disk of a node that does not run by an empty one.
func (c *Cluster) wipe(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.machines[id] = newMachine(crashfs.New(uint64(100 + id)))
}

// acknowledge sends records until as many are acknowledged by all in-sync replicas.
func acknowledge(t *testing.T, cl *kgo.Client, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := cl.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(fmt.Sprint(i))}).FirstErr()
		cancel()
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

// voters waits until the metadata have three voters, none of which is in old, and returns who they are: nodes by directory.
func (c *Cluster) voters(cl *kgo.Client, old map[[16]byte]int32) map[[16]byte]int32 {
	c.T.Helper()
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Topics = []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: make([]kmsg.DescribeQuorumRequestTopicPartition, 1)}}
	now := make(map[[16]byte]int32)
	for range 300 {
		clear(now)
		if resp, err := req.RequestWith(c.T.Context(), cl); err == nil && resp.ErrorCode == 0 {
			for _, v := range resp.Topics[0].Partitions[0].CurrentVoters {
				if _, gone := old[v.ReplicaDirectoryID]; !gone {
					now[v.ReplicaDirectoryID] = v.ReplicaID
				}
			}
		}
		if len(now) == 3 {
			return now
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	c.T.Fatalf("the metadata do not get three voters: %v", now)
	return nil
}

// TestWipedDisksComeBack: each node in turn loses its disk and starts with an empty one. It gets its vote, its replicas and its place in the ISR back by itself,
// so that at the end nothing is left of what the first disks held, and nothing that was acknowledged is lost.
func TestWipedDisksComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Start(t, 3, map[string]string{"min.insync.replicas": "2"})
		cl := c.Client()
		defer cl.Close()
		if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 3, nil, "t"); err != nil {
			t.Fatal(err)
		}
		acked, first := 0, c.voters(cl, nil)
		for id := 1; id <= 3; id++ {
			acknowledge(t, cl, acked, acked+20)
			acked += 20
			c.Kill(id)
			c.wipe(id)
			began := time.Now()
			c.Run(id)
			t.Logf("node %d serves %v after it started with an empty disk", id, time.Since(began))
			c.inSync(cl, 3)
			lost := make(map[[16]byte]int32)
			for dir, of := range first {
				if of == int32(id) {
					lost[dir] = of
				}
			}
			c.voters(cl, lost)
		}
		c.voters(cl, first)
		acknowledge(t, cl, acked, acked+20)
		acked += 20
		c.Kill(2)
		acknowledge(t, cl, acked, acked+1) // the others have votes
		acked++
		c.Run(2)
		in := c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer in.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		next := 0
		for next < acked && ctx.Err() == nil {
			in.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				if string(r.Value) != fmt.Sprint(next) {
					t.Errorf("record %s, want %d", r.Value, next)
				}
				next++
			})
		}
		if next != acked {
			t.Errorf("%d records of %d", next, acked)
		}
	})
}

// inSync waits until the topic's partition has so many replicas in sync.
func (c *Cluster) inSync(cl *kgo.Client, replicas int) {
	c.T.Helper()
	admin := kadm.NewClient(cl)
	for range 300 {
		m, err := admin.Metadata(c.T.Context(), "t")
		if err == nil && len(m.Topics["t"].Partitions[0].ISR) == replicas {
			return
		}
		time.Sleep(100 * time.Millisecond) // virtual
	}
	c.T.Fatalf("%d replicas do not get in sync", replicas)
}
