package scale

import (
	"context"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/coordinator/schema"
	"chronik/internal/wait"
	"chronik/test/process"
)

var groups = flag.Int("groups", 2000, "groups whose offsets TestCoordinatorFailover writes")

// maxFailover is how long a group may be without a coordinator after kill -9 of its broker, with 100,000 groups (G3).
const maxFailover = 2 * time.Second

// The groups' topic, and how many commit at a time.
const (
	ordersTopic = "orders"
	committers  = 32
	ofEachGroup = 3 // partitions at most: 1, 2, 3, 1, 2, 3
)

// TestCoordinatorFailover commits offsets of many groups to three nodes, kills the one that coordinates most of them with -9, and demands that
// offsets of the groups of each of its partitions are served again soon, and that all are as they were acknowledged.
func TestCoordinatorFailover(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := startThree(t)
	cl := c.client(t, c.addresses()...)
	topic, err := kadm.NewClient(cl).CreateTopic(ctx, ofEachGroup, 3, nil, ordersTopic)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.commitAll(ctx, t, topic.ID)
	t.Logf("committing offsets of %d groups: %v", *groups, time.Since(began).Round(time.Millisecond))

	leaders, controller := c.coordinators(ctx, t, cl)
	victim := most(leaders)
	lost := make(map[int32]string) // a group of each partition that is to lose its coordinator
	for g := range *groups {
		if p := schema.Partition(groupName(g), int32(len(leaders))); leaders[p] == victim {
			lost[p] = groupName(g)
		}
	}
	t.Logf("node %d is killed, which coordinates %d of %d partitions; the controller is node %d", victim, len(lost), len(leaders), controller)
	began = time.Now()
	c.nodes[victim-1].Kill()
	took := c.awaitAll(ctx, t, began, victim, lost)
	slices.Sort(took)
	t.Logf("until offsets are served again, by partition: first %v, median %v, last %v",
		took[0], took[len(took)/2], took[len(took)-1])
	if last := took[len(took)-1]; last > maxFailover {
		t.Errorf("the last partition was served after %v, the bound is %v", last, maxFailover)
	}
	survivors := slices.Delete(c.addresses(), int(victim-1), int(victim))
	checkOffsets(ctx, t, kadm.NewClient(c.client(t, survivors...)))
}

// trio is three brokers.
type trio struct{ nodes []*process.Broker }

func startThree(t *testing.T) *trio {
	t.Helper()
	raft, replication := freeAddrs(t, 3), freeAddrs(t, 3)
	c := &trio{nodes: make([]*process.Broker, 3)}
	var starting sync.WaitGroup
	for i := range c.nodes {
		var peers []string
		for j, addr := range raft {
			if j != i {
				peers = append(peers, fmt.Sprintf("%d@%s", j+1, addr))
			}
		}
		_, port, _ := strings.Cut(replication[i], ":")
		args := []string{"--node-id", fmt.Sprint(i + 1), "--raft-addr", raft[i], "--replication-port", port, "--peers", strings.Join(peers, ","),
			"--bind-addr", "127.0.0.1", "--advertised-addr", "127.0.0.1"}
		starting.Go(func() { c.nodes[i] = process.Start(t, process.Args(args...)) }) // none is ready before the others are there
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return c
}

func (c *trio) addresses() (all []string) {
	for _, n := range c.nodes {
		all = append(all, n.KafkaAddr)
	}
	return all
}

func (c *trio) client(t *testing.T, seeds ...string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(10*time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.RequestRetries(1000), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func groupName(g int) string { return fmt.Sprintf("consumers-of-orders-%06d", g) }

// offsetOf is what a group commits for a partition.
func offsetOf(g int, partition int32) int64 { return int64(g)*10 + int64(partition) + 1 }

// commitAll commits every group's offsets, many at a time.
func (c *trio) commitAll(ctx context.Context, t *testing.T, topic kadm.TopicID) {
	t.Helper()
	var all sync.WaitGroup
	for w := range committers {
		cl := c.client(t, c.addresses()...)
		all.Go(func() {
			for g := w; g < *groups && !t.Failed(); g += committers {
				err := commitOne(ctx, cl, topic, g)
				for kerr.IsRetriable(err) && wait.For(ctx, 20*time.Millisecond) == nil { // a node may not have heard of the topic yet
					err = commitOne(ctx, cl, topic, g)
				}
				if err != nil {
					t.Errorf("commit the offsets of %s: %v", groupName(g), err)
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func commitOne(ctx context.Context, cl *kgo.Client, id kadm.TopicID, g int) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = groupName(g)
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = ordersTopic, id
	for p := range int32(g%ofEachGroup + 1) {
		part := kmsg.NewOffsetCommitRequestTopicPartition()
		part.Partition, part.Offset = p, offsetOf(g, p)
		topic.Partitions = append(topic.Partitions, part)
	}
	req.Topics = []kmsg.OffsetCommitRequestTopic{topic}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err == nil {
				err = kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return err
}

// coordinators returns who leads each partition of the groups' topic, and who is the controller.
func (c *trio) coordinators(ctx context.Context, t *testing.T, cl *kgo.Client) (leaders []int32, controller int32) {
	t.Helper()
	m, err := kadm.NewClient(cl).Metadata(ctx, schema.Groups.Name)
	if err != nil {
		t.Fatal(err)
	}
	leaders = make([]int32, len(m.Topics[schema.Groups.Name].Partitions))
	for p, d := range m.Topics[schema.Groups.Name].Partitions {
		leaders[p] = d.Leader
	}
	return leaders, m.Controller
}

// most is the one that is listed most often.
func most(leaders []int32) (who int32) {
	count := make(map[int32]int)
	for _, l := range leaders {
		if count[l]++; count[l] > count[who] {
			who = l
		}
	}
	return who
}

// awaitAll asks the survivors for an offset of each group until it is served, and returns how long each took from
// a moment before the kill.
func (c *trio) awaitAll(ctx context.Context, t *testing.T, began time.Time, victim int32, lost map[int32]string) []time.Duration {
	t.Helper()
	nodes := make(map[int32]*kgo.Broker)
	for i, n := range c.nodes {
		if id := int32(i + 1); id != victim {
			nodes[id] = c.client(t, n.KafkaAddr).SeedBrokers()[0]
		}
	}
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for p, group := range lost {
		all.Go(func() {
			via := nodes[(victim+p%2)%3+1]
			for !serves(ctx, t, nodes, via, group) {
				if err := wait.For(ctx, 10*time.Millisecond); err != nil {
					t.Errorf("%s-%d is not served: %v", schema.Groups.Name, p, err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(began).Round(time.Millisecond))
		})
	}
	all.Wait()
	if len(took) == 0 {
		t.FailNow()
	}
	return took
}

// serves finds a group's coordinator by way of a node, and tells whether it gives the group's offset.
func serves(ctx context.Context, t *testing.T, nodes map[int32]*kgo.Broker, via *kgo.Broker, group string) bool {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = group, []string{group}
	found, err := via.Request(ctx, find)
	if err != nil {
		return false
	}
	answers := found.(*kmsg.FindCoordinatorResponse).Coordinators
	if len(answers) != 1 || answers[0].ErrorCode != 0 || nodes[answers[0].NodeID] == nil {
		return false
	}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = group
	fetch := kmsg.NewPtrOffsetFetchRequest()
	fetch.Groups = []kmsg.OffsetFetchRequestGroup{one} // all of its partitions
	resp, err := nodes[answers[0].NodeID].Request(ctx, fetch)
	if err != nil {
		return false
	}
	served := resp.(*kmsg.OffsetFetchResponse).Groups
	if len(served) != 1 || served[0].ErrorCode != 0 {
		return false
	}
	if len(served[0].Topics) != 1 || len(served[0].Topics[0].Partitions) == 0 || served[0].Topics[0].Partitions[0].Offset <= 0 {
		t.Errorf("the offsets of %s are gone: %+v", group, served[0].Topics)
	}
	return true
}

// checkOffsets compares the offsets of all groups with what was acknowledged.
func checkOffsets(ctx context.Context, t *testing.T, admin *kadm.Client) {
	t.Helper()
	const atATime = 500
	wrong := 0
	for from := 0; from < *groups; from += atATime {
		to := min(from+atATime, *groups)
		var names []string
		for g := from; g < to; g++ {
			names = append(names, groupName(g))
		}
		fetched := admin.FetchManyOffsets(ctx, names...)
		for g := from; g < to; g++ {
			got := fetched[groupName(g)]
			for p := range int32(g%ofEachGroup + 1) {
				o, ok := got.Fetched.Lookup(ordersTopic, p)
				if got.Err != nil || !ok || o.At != offsetOf(g, p) {
					if wrong++; wrong < 10 {
						t.Errorf("%s, partition %d: %d is fetched, %d was acknowledged (%v)", groupName(g), p, o.At, offsetOf(g, p), got.Err)
					}
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d offsets are wrong", wrong)
	}
}

// freeAddrs are addresses on loopback that nobody listens on.
func freeAddrs(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}
