package testcluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/testcluster"
)

var fewGroups = map[string]string{"min.insync.replicas": "2", "offsets.topic.num.partitions": "4", "group.initial.rebalance.delay.ms": "0"}

// onGroups runs a test on three nodes that coordinate groups and hold the topic.
func onGroups(t *testing.T, partitions int32, test func(*testing.T, *testcluster.Cluster, *kgo.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := testcluster.Start(t, 3, fewGroups)
		cl := c.Client()
		defer cl.Close()
		create(t, cl, partitions, 3)
		test(t, c, cl)
	})
}

func groupName(i int) string { return fmt.Sprint("group-", i) }

// coordinator is the node that coordinates a group.
func coordinator(t *testing.T, cl *kgo.Client, group string) int {
	t.Helper()
	found := kadm.NewClient(cl).FindGroupCoordinators(t.Context(), group)
	if err := found.Error(); err != nil {
		t.Fatalf("finding the coordinator of %s: %v", group, err)
	}
	return int(found[group].NodeID)
}

// commit commits an offset for a group until that is acknowledged.
func commit(t *testing.T, cl *kgo.Client, group string, at int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		r, err := kadm.NewClient(cl).CommitOffsets(ctx, group, kadm.OffsetsFromRecords(kgo.Record{Topic: topic, Offset: at - 1}))
		if err == nil {
			err = r.Error()
		}
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("committing offset %d for %s: %v", at, group, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// committed is a group's offset, from whoever says that it coordinates the group. It asks by a new client: one that cannot connect to the coordinator
// that it knows goes on to try.
func committed(t *testing.T, c *testcluster.Cluster, group string) int64 {
	t.Helper()
	began := time.Now()
	for {
		cl := c.Client()
		r, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
		cl.Close()
		if err == nil {
			err = r.Error()
		}
		if err == nil {
			o, _ := r.Lookup(topic, 0)
			return o.At
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("fetching the offset of %s: %v", group, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestG1CoordinatorDies: who takes over from a coordinator without power answers with what was acknowledged, and soon.
func TestG1CoordinatorDies(t *testing.T) {
	onGroups(t, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		const groups = 12
		for round := range 3 {
			for i := range groups {
				commit(t, cl, groupName(i), int64(10*round+i+1))
			}
			dead := coordinator(t, cl, groupName(round))
			c.Kill(dead)
			began := time.Now()
			for i := range groups {
				if got, want := committed(t, c, groupName(i)), int64(10*round+i+1); got != want {
					t.Errorf("round %d: %s is at %d, %d was acknowledged", round, groupName(i), got, want)
				}
			}
			t.Logf("%v from the death of node %d until all groups were served", time.Since(began), dead)
			commit(t, cl, groupName(round), int64(10*round+round+2))
			c.Run(dead)
		}
	})
}

// TestG1AllLosePower: what was acknowledged is there when all nodes come back.
func TestG1AllLosePower(t *testing.T) {
	onGroups(t, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		for i := range 8 {
			commit(t, cl, groupName(i), int64(i+1))
		}
		for id := 1; id <= 3; id++ {
			c.Kill(id)
		}
		c.Run(1, 2, 3)
		for i := range 8 {
			if got := committed(t, c, groupName(i)); got != int64(i+1) {
				t.Errorf("%s is at %d, %d was acknowledged", groupName(i), got, i+1)
			}
		}
	})
}

// TestG3StaleCoordinator: a coordinator that is cut off from the others, and that clients still reach, does not answer with what was before its
// successor, nor takes anything.
func TestG3StaleCoordinator(t *testing.T) {
	onGroups(t, 1, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		commit(t, cl, groupName(0), 1)
		stale := coordinator(t, cl, groupName(0))
		c.Isolate(stale)
		ask := func() (at int64, code int16) {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group = groupName(0)
			req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}
			req.Groups = []kmsg.OffsetFetchRequestGroup{{Group: groupName(0), MemberEpoch: -1, Topics: []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{0}}}}}
			resp, err := req.RequestWith(t.Context(), cl.Broker(stale))
			if err != nil {
				t.Fatal(err)
			}
			g := resp.Groups[0]
			if g.ErrorCode == 0 {
				at = g.Topics[0].Partitions[0].Offset
			}
			return at, g.ErrorCode
		}
		others := c.Client()
		defer others.Close()
		began := time.Now()
		for committedAt := int64(0); committedAt < 2; {
			if coordinator(t, others, groupName(0)) != stale {
				commit(t, others, groupName(0), 2)
				committedAt = 2
			}
			if at, code := ask(); committedAt == 2 && (code != kerr.NotCoordinator.Code || at != 0) {
				t.Errorf("the stale coordinator answers %d, error %d, after %v", at, code, time.Since(began))
			}
			if time.Since(began) > time.Minute {
				t.Fatal("nobody takes over")
			}
			time.Sleep(100 * time.Millisecond)
		}
		c.Rejoin(stale)
		time.Sleep(5 * time.Second)
		if got := committed(t, c, groupName(0)); got != 2 {
			t.Errorf("the offset is %d, 2 was acknowledged", got)
		}
	})
}

// idOf is the topic's ID, as soon as whoever is asked has heard of the topic.
func idOf(t *testing.T, cl *kgo.Client) kadm.TopicID {
	t.Helper()
	for {
		topics, err := kadm.NewClient(cl).ListTopics(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		if of := topics[topic]; of.Err == nil {
			return of.ID
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// commitRead commits what a member has read, as the member that it is. kgo's own commits hold back rebalances with a lock, and wait for it: virtual
// time would stand still.
func commitRead(t *testing.T, m *kgo.Client, group string, id kadm.TopicID) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	req.MemberID, req.Generation = m.GroupMetadata()
	for name, partitions := range m.UncommittedOffsets() {
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic, rt.TopicID = name, id
		for n, at := range partitions {
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = n, at.Offset, at.Epoch
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	if len(req.Topics) == 0 {
		return nil
	}
	resp, err := req.RequestWith(ctx, m)
	if err != nil {
		return err
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			err = errors.Join(err, kerr.ErrorForCode(rp.ErrorCode))
		}
	}
	return err
}

// TestGroupOutlivesItsCoordinator: members go on when their coordinator dies: all is read, and all that was read is committed.
func TestGroupOutlivesItsCoordinator(t *testing.T) {
	onGroups(t, 2, func(t *testing.T, c *testcluster.Cluster, cl *kgo.Client) {
		const group = "group-0"
		id := idOf(t, cl)
		read := make(map[string]int)
		var members []*kgo.Client
		for range 2 {
			m := c.Client(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
				kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(time.Second), kgo.DisableAutoCommit())
			defer m.Close()
			members = append(members, m)
		}
		save := func() (err error) {
			for _, m := range members {
				err = errors.Join(err, commitRead(t, m, group, id))
			}
			return err
		}
		look := func() {
			for _, m := range members {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				m.PollFetches(ctx).EachRecord(func(r *kgo.Record) { read[string(r.Value)]++ })
				cancel()
			}
			_ = save() // a member that rebalances commits later
		}
		poll := func(total int) {
			began := time.Now()
			for len(read) < total {
				if look(); time.Since(began) > 2*time.Minute {
					t.Fatalf("%d of %d records were read", len(read), total)
				}
			}
		}
		committed := func() (sum int) {
			offsets, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			offsets.Each(func(o kadm.OffsetResponse) { sum += int(o.At) })
			return sum
		}
		total := 0
		for range 3 {
			total += len(produce(t, cl, total, total+40))
			poll(total)
			dead := coordinator(t, cl, group)
			c.Kill(dead)
			total += len(produce(t, cl, total, total+40))
			poll(total)
			c.Run(dead)
		}
		for began := time.Now(); committed() != total; look() { // what a member has read but not committed before it lost the partition, another one reads again
			if time.Since(began) > time.Minute {
				t.Fatalf("%d records are committed, %d were written", committed(), total)
			}
		}
	})
}
