package testcluster_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/internal/testcluster"
)

const throttledRate = 1 << 20 // bytes per second

// Replicas that are added take no more than the throttle allows, be it the leader's or the follower's, and in sum (KIP-73). Whoever writes with acks=all
// to the same partitions meanwhile does not wait for it, as the replicas in sync are not held back. When the throttle goes, nothing is held back any more.
func TestThrottledReassignment(t *testing.T) {
	for name, configs := range map[string]map[string]string{
		"leader":   {"leader.replication.throttled.rate": "0:1,0:3,1:1,1:3"},
		"follower": {"follower.replication.throttled.rate": "0:2,1:2"},
		"both":     {"leader.replication.throttled.rate": "*", "follower.replication.throttled.rate": "*"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { throttledReassignment(t, configs) })
		})
	}
}

func throttledReassignment(t *testing.T, configs map[string]string) {
	const partitions, each = 2, 8 << 20
	c := testcluster.Start(t, 3, twoInSync)
	cl := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	defer cl.Close()
	admin := kadm.NewClient(cl)
	assign(t, cl, [][]int32{{1, 3}, {1, 3}}, true)
	fill(t, cl, partitions, each)
	for rate, replicas := range configs {
		throttle(t, admin, rate, replicas)
	}

	w := newWriter(c, topic) // 100 ms apart
	began := time.Now()
	all := [][]int32{{1, 2, 3}, {1, 2, 3}}
	assign(t, cl, all, false)
	first := followed(t, admin, all)
	took := time.Since(began)
	want := time.Duration(partitions*each) * time.Second / throttledRate
	t.Logf("%d MiB at %d MiB/s took %v", partitions*each>>20, throttledRate>>20, took)
	if took < want*9/10 || took > want*11/10 {
		t.Errorf("%d bytes took %v, at the rate they take %v", partitions*each, took, want)
	}
	if writes := len(w.end(t)); writes < int(took/time.Second)*9 {
		t.Errorf("only %d records were acknowledged in %v", writes, took)
	}
	if first < want*3/4 {
		t.Errorf("the first of two partitions was complete after %v of %v: it was served first", first, took)
	}
}

// assign gives the topic's partitions their replicas.
func assign(t *testing.T, cl *kgo.Client, replicas [][]int32, create bool) {
	t.Helper()
	admin := kadm.NewClient(cl)
	if create {
		if _, err := admin.CreateTopic(t.Context(), int32(len(replicas)), int16(len(replicas[0])), nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	var req kadm.AlterPartitionAssignmentsReq
	for p, r := range replicas {
		req.Assign(topic, int32(p), r)
	}
	resp, err := admin.AlterPartitionAssignments(t.Context(), req)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	if create {
		followed(t, admin, replicas)
		led(t, admin)
	}
}

// led has the first replica of each partition lead it: what is sent is held to the rate of who sends it.
func led(t *testing.T, admin *kadm.Client) {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; wait(t.Context(), 50*time.Millisecond) {
		m, err := admin.Metadata(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		others := make(kadm.TopicsSet)
		for _, p := range m.Topics[topic].Partitions {
			if p.Leader != p.Replicas[0] {
				others.Add(topic, p.Partition)
			}
		}
		if len(others) == 0 {
			return
		}
		if _, err = admin.ElectLeaders(t.Context(), kadm.ElectPreferredReplica, others); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the first replicas do not come to lead")
}

// followed waits until the partitions have these replicas and no others, all in sync. It returns how long that took for the first partition.
func followed(t *testing.T, admin *kadm.Client, replicas [][]int32) (first time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < 5*time.Minute; wait(t.Context(), 50*time.Millisecond) {
		m, err := admin.Metadata(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		waiting := 0
		for _, p := range m.Topics[topic].Partitions {
			if !slices.Equal(p.Replicas, replicas[p.Partition]) || len(p.ISR) != len(p.Replicas) {
				waiting++
			} else if first == 0 {
				first = time.Since(began)
			}
		}
		if waiting == 0 {
			return first
		}
	}
	t.Fatal("the reassignment does not come to an end")
	return 0
}

// fill writes so many bytes to each partition.
func fill(t *testing.T, cl *kgo.Client, partitions, bytes int) {
	t.Helper()
	value := make([]byte, 64<<10)
	var all []*kgo.Record
	for range bytes / len(value) {
		for p := range partitions {
			all = append(all, &kgo.Record{Topic: topic, Partition: int32(p), Value: value})
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cl.ProduceSync(ctx, all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// throttle sets a rate on every broker, and its replicas on the topic, as Kafka's tool does.
func throttle(t *testing.T, admin *kadm.Client, rate, replicas string) {
	t.Helper()
	value := strconv.Itoa(throttledRate)
	brokers, err := admin.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: rate, Value: &value}}, 1, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	list := rate[:len(rate)-len("rate")] + "replicas"
	topics, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: list, Value: &replicas}}, topic)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(brokers, topics...) {
		if r.Err != nil {
			t.Fatalf("%s: %v", r.Name, r.Err)
		}
	}
}
