package group

import (
	"fmt"
	"testing"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// consumerBench is a group of 100 members over 10 topics of 100 partitions, without the cost of a log.
type consumerBench struct {
	b   *testing.B
	m   *Machine
	now time.Time
	off model.Offset
}

const benchMembers = 100

func newConsumerBench(b *testing.B) *consumerBench {
	w := newWorld(b)
	w.image = image.New("c")
	w.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	for i := range 10 {
		w.change(topicOf(fmt.Sprintf("t%d", i), byte(i+1), 100))
	}
	x := &consumerBench{b: b, m: New(Config{}), now: time.UnixMilli(1_000_000)}
	x.run(x.m.Loaded(x.now, w.image))
	return x
}

func (x *consumerBench) run(r shard.Result) {
	for _, rec := range r.Records {
		if err := x.m.Apply(x.off, shard.Entry{Producer: model.NoProducer, Record: rec}); err != nil {
			x.b.Fatal(err)
		}
		x.off++
	}
	x.m.Settle(x.off)
	if r.Reply != nil {
		r.Reply(nil)
	}
}

func benchTopics() (all []string) {
	for i := range 10 {
		all = append(all, fmt.Sprintf("t%d", i))
	}
	return all
}

func (x *consumerBench) join(id string) (r ConsumerHeartbeatReply) {
	x.run(x.m.ConsumerHeartbeat(x.now, ConsumerHeartbeatRequest{
		Group: "g", Member: id, RebalanceMs: 60_000, Topics: benchTopics(), Owned: []assign.TopicPartitions{},
	}, func(o ConsumerHeartbeatReply) { r = o }))
	if r.Err != nil {
		x.b.Fatal(r.Err)
	}
	return r
}

func (x *consumerBench) beat(id string, epoch int32, owned assign.Partitions) (r ConsumerHeartbeatReply) {
	q := ConsumerHeartbeatRequest{Group: "g", Member: id, Epoch: epoch, RebalanceMs: -1}
	if owned != nil {
		q.Owned = owned
	}
	x.run(x.m.ConsumerHeartbeat(x.now, q, func(o ConsumerHeartbeatReply) { r = o }))
	if r.Err != nil {
		x.b.Fatal(r.Err)
	}
	return r
}

// converge lets all members heartbeat until they have what they are to have.
func (x *consumerBench) converge(members map[string]*ConsumerHeartbeatReply, order []string) {
	for range 100 {
		quiet := true
		for _, id := range order {
			had := members[id]
			next := x.beat(id, had.Epoch, append(assign.Partitions{}, had.Assignment...))
			if quiet = quiet && !next.Assigned && next.Epoch == had.Epoch; !next.Assigned {
				next.Assignment = had.Assignment
			}
			members[id] = &next
		}
		if quiet {
			return
		}
	}
	x.b.Fatal("the group does not become stable")
}

func (x *consumerBench) group() (map[string]*ConsumerHeartbeatReply, []string) {
	members := make(map[string]*ConsumerHeartbeatReply)
	var order []string
	for i := range benchMembers {
		id := fmt.Sprintf("m%03d", i)
		r := x.join(id)
		members[id], order = &r, append(order, id)
	}
	x.converge(members, order)
	return members, order
}

// BenchmarkConsumerHeartbeat is a heartbeat without news, which nearly all are.
func BenchmarkConsumerHeartbeat(b *testing.B) {
	x := newConsumerBench(b)
	members, order := x.group()
	reply := func(ConsumerHeartbeatReply) {}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := order[i%len(order)]
		x.m.ConsumerHeartbeat(x.now, ConsumerHeartbeatRequest{Group: "g", Member: id, Epoch: members[id].Epoch, RebalanceMs: -1}, reply)
	}
}

// BenchmarkConsumerJoin is a decision that assigns 1,000 partitions to 101 members, and the one after, which does so when the member has
// left: two decisions with their records applied.
func BenchmarkConsumerJoin(b *testing.B) {
	x := newConsumerBench(b)
	members, order := x.group()
	b.ReportAllocs()
	for b.Loop() {
		x.join("new")
		x.run(x.m.ConsumerHeartbeat(x.now, ConsumerHeartbeatRequest{Group: "g", Member: "new", Epoch: LeaveEpoch, RebalanceMs: -1}, func(ConsumerHeartbeatReply) {}))
		id := order[0]
		next := x.beat(id, members[id].Epoch, members[id].Assignment)
		members[id].Epoch = next.Epoch
	}
}

// BenchmarkConsumerGroup is 100 members that join one after the other, and all decisions until each has its share.
func BenchmarkConsumerGroup(b *testing.B) {
	for b.Loop() {
		newConsumerBench(b).group()
	}
}
