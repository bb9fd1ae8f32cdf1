package testcluster_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/testcluster"
)

// fetches counts what a client was answered to Fetch, by node.
type fetches struct {
	mu sync.Mutex
	of map[int]int // bytes
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (f *fetches) OnBrokerRead(b kgo.BrokerMetadata, key int16, bytes int, _, _ time.Duration, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if key == int16(kmsg.Fetch) {
		f.of[int(b.NodeID)] += bytes
	}
}

// from is the node that most bytes came from.
func (f *fetches) from() (node int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, n := range f.of {
		if n > f.of[node] {
			node = id
		}
	}
	return node
}

func (f *fetches) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.of)
}

// reader is a consumer in a rack.
type reader struct {
	*fetches
	t   *testing.T
	cl  *kgo.Client
	got []string
}

// newReader makes a consumer that asks the leader every few seconds where to read: by itself this client leaves a replica that died only after
// half an hour.
func newReader(t *testing.T, c *testcluster.Cluster, rack string) *reader {
	f := &fetches{of: map[int]int{}}
	cl := c.Client(kgo.Rack(rack), kgo.WithHooks(f), kgo.RecheckPreferredReplicaInterval(5*time.Second),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	return &reader{f, t, cl, nil}
}

// read reads until there are n records, and checks those that are new.
func (r *reader) read(want []string) {
	r.t.Helper()
	r.got = readOn(r.t, r.cl, r.got, want)
}

// A consumer reads in its own rack, from a follower, and from the leader again when that follower dies (KIP-392).
func TestConsumersReadInTheirRack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		racks := []string{"a", "b", "c"}
		c := testcluster.StartInRacks(t, map[string]string{
			"min.insync.replicas": "2", "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
		}, racks...)
		cl := c.Client()
		defer cl.Close()
		create(t, cl, 1, 3)
		acked := produce(t, cl, 0, 100)
		lead := leader(t, cl)
		near := lead%3 + 1
		follower := newReader(t, c, racks[near-1])
		defer follower.cl.Close()
		own := newReader(t, c, racks[lead-1])
		defer own.cl.Close()
		elsewhere := newReader(t, c, "d")
		defer elsewhere.cl.Close()
		for _, r := range []*reader{follower, own, elsewhere} {
			r.read(acked)
			r.clear()
		}
		acked = append(acked, produce(t, cl, 100, 200)...)
		for name, tc := range map[string]struct {
			r    *reader
			want int
		}{"a follower's rack": {follower, near}, "the leader's rack": {own, lead}, "a rack without nodes": {elsewhere, lead}} {
			if tc.r.read(acked); tc.r.from() != tc.want {
				t.Errorf("%s: records came from node %d, want %d (the leader is %d)", name, tc.r.from(), tc.want, lead)
			}
		}
		c.Kill(near)
		acked = append(acked, produce(t, cl, 200, 300)...)
		follower.read(acked)
		follower.clear()
		acked = append(acked, produce(t, cl, 300, 400)...)
		if follower.read(acked); follower.from() != lead {
			t.Errorf("after the death of node %d records came from node %d, the leader is %d", near, follower.from(), lead)
		}
	})
}

// Unless the nodes are told so, everybody reads from the leader.
func TestRacksAloneChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.StartInRacks(t, twoInSync, "a", "b", "c")
		cl := c.Client()
		defer cl.Close()
		create(t, cl, 1, 3)
		acked := produce(t, cl, 0, 50)
		lead := leader(t, cl)
		r := newReader(t, c, []string{"a", "b", "c"}[lead%3])
		defer r.cl.Close()
		if r.read(acked); r.from() != lead {
			t.Errorf("records came from node %d, the leader is %d", r.from(), lead)
		}
	})
}
