package testcluster_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
)

const topic = "events"

var twoInSync = map[string]string{"min.insync.replicas": "2"}

func create(t *testing.T, cl *kgo.Client, partitions int32, replicas int16) {
	t.Helper()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), partitions, replicas, nil, topic); err != nil {
		t.Fatalf("creating the topic: %v", err)
	}
}

// onCluster runs a test on so many nodes that hold the topic with so many partitions, three replicas of each.
func onCluster(t *testing.T, nodes int, partitions int32, test func(*testing.T, *testcluster.Cluster, *kgo.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, nodes, twoInSync)
		cl := c.Client()
		defer cl.Close()
		create(t, cl, partitions, 3)
		test(t, c, cl)
	})
}

// produce sends records one after the other and returns those that were acknowledged.
func produce(t *testing.T, cl *kgo.Client, from, to int) []string {
	t.Helper()
	var acked []string
	for i := from; i < to; i++ {
		value := fmt.Sprintf("%06d", i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr()
		cancel()
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		acked = append(acked, value)
	}
	return acked
}

// consume reads the topic's first partition from its beginning: what was acknowledged must be there, in that order.
func consume(t *testing.T, c *testcluster.Cluster, want []string) {
	t.Helper()
	cl := c.Client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	readOn(t, cl, nil, want)
}

// readOn reads until there are as many records as there should be, compares those that are new, and returns all.
func readOn(t *testing.T, cl *kgo.Client, got, want []string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	from := len(got)
	for len(got) < len(want) && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	for i := from; i < len(want); i++ {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("record %d of %d is not the one that was acknowledged; %d were read", i, len(want), len(got))
		}
	}
	return got
}

func leader(t *testing.T, cl *kgo.Client) int {
	t.Helper()
	m, err := kadm.NewClient(cl).Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return int(m.Topics[topic].Partitions[0].Leader)
}

func TestThreeNodes(t *testing.T) {
	onCluster(t, 3, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		acked := produce(t, cl, 0, 100)
		one := c.Client(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
		defer one.Close()
		acked = append(acked, produce(t, one, 100, 200)...)
		consume(t, c, acked)
	})
}

func TestLeaderDies(t *testing.T) {
	onCluster(t, 3, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		acked := produce(t, cl, 0, 50)
		next := 50
		for range 3 {
			dead := leader(t, cl)
			c.Kill(dead)
			began := time.Now()
			acked = append(acked, produce(t, cl, next, next+1)...)
			t.Logf("%v from the death of node %d to the next acknowledged record", time.Since(began), dead)
			acked = append(acked, produce(t, cl, next+1, next+50)...)
			next += 50
			c.Run(dead)
			acked = append(acked, produce(t, cl, next, next+50)...)
			next += 50
		}
		consume(t, c, acked)
	})
}

func TestRollingRestart(t *testing.T) {
	onCluster(t, 3, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		acked := produce(t, cl, 0, 20)
		for id := 1; id <= 3; id++ {
			c.Stop(id)
			acked = append(acked, produce(t, cl, len(acked), len(acked)+20)...)
			c.Run(id)
		}
		consume(t, c, acked)
	})
}

func TestAllLosePower(t *testing.T) {
	onCluster(t, 3, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		acked := produce(t, cl, 0, 50)
		for id := 1; id <= 3; id++ {
			c.Kill(id)
		}
		c.Run(1, 2, 3)
		acked = append(acked, produce(t, cl, 50, 100)...)
		consume(t, c, acked)
	})
}

func TestStandaloneGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.New(t, 3, nil)
		c.RunAlone(1)
		cl := c.Client()
		defer cl.Close()
		create(t, cl, 1, 1)
		acked := produce(t, cl, 0, 50)
		c.Stop(1)
		c.Run(1, 2, 3)
		acked = append(acked, produce(t, cl, 50, 100)...)
		consume(t, c, acked)
	})
}

// Nodes that all stop do not wait out the ten seconds for which one that stops alone waits for others to take over. How much sooner they are
// done depends on who is gone first: a leader may offer the quorum to one that is gone already, and the last one waits in vain for a leader
// before it hands over and once more before it says goodbye, some six seconds together.
func TestAllStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, 3, twoInSync)
		began := time.Now()
		c.StopAll()
		if took := time.Since(began); took >= 10*time.Second {
			t.Errorf("three nodes that stop at the same time take %v", took)
		}
	})
}
