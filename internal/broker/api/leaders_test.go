package api

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
	"chronik/internal/wire"
)

// elsewhere is broker 1 of a cluster, without any partition yet.
func elsewhere(t *testing.T) *Broker {
	t.Helper()
	b, _ := member(t, 1, clusterImage(t), nil)
	set, err := replica.NewSet(replica.Env{FS: crashfs.New(1), Disks: []replica.Disk{{Dir: "/data"}}, Now: time.Now, Node: 1})
	if err != nil {
		t.Fatal(err)
	}
	b.Replicas = set
	return b
}

// TestProduceNamesTheLeader: a producer at the wrong broker hears which one is right, and where that is (KIP-951).
func TestProduceNamesTheLeader(t *testing.T) {
	b := elsewhere(t)
	p := new(producing)
	p.broker, p.listener, p.in.Version = b, "L", 12
	p.in.Topics = []wire.ProduceTopic{{Name: "t", Partitions: []wire.ProducePartition{{Partition: 1}, {Partition: 9}}}}
	p.begin(nil)
	out := p.resp.Topics[0].Partitions
	for i := range out {
		_, err := b.target("t", [16]byte{}, out[i].Partition)
		p.refuse(&out[i], err)
	}
	p.amendFailures()
	if out[0].ErrorCode != kerr.NotLeaderForPartition.Code || out[0].CurrentLeader == nil || out[0].CurrentLeader.ID != 2 {
		t.Errorf("a partition that 2 leads: %+v", out[0])
	}
	if out[1].ErrorCode != kerr.UnknownTopicOrPartition.Code || out[1].CurrentLeader != nil {
		t.Errorf("no such partition: %+v", out[1])
	}
	if e := p.resp.Endpoints; len(e) != 1 || e[0].ID != 2 || e[0].Host != "host2" || e[0].Port != 9092 || *e[0].Rack != "b" {
		t.Errorf("the endpoints are %+v", e)
	}
	p.begin(nil)
	if len(p.resp.Endpoints) > 0 || p.resp.Topics[0].Partitions[0].CurrentLeader != nil {
		t.Errorf("the next request begins with the hints of the one before: %+v", p.resp)
	}
}

// TestACutAppendNamesTheNewLeader: an append that a change of leaders cut off is told by the log, which knows nobody; the answer names who leads by now.
func TestACutAppendNamesTheNewLeader(t *testing.T) {
	for _, byID := range []bool{false, true} {
		b := elsewhere(t)
		p := new(producing)
		p.broker, p.listener, p.in.Version = b, "L", 12
		topic := wire.ProduceTopic{Name: "t", Partitions: []wire.ProducePartition{{Partition: 1}, {Partition: 0}, {Partition: 7}}}
		if byID {
			topic.Name, topic.ID, p.in.Version = "", b.image().Topic("t").ID, 13
		}
		p.in.Topics = []wire.ProduceTopic{topic}
		p.begin(nil)
		out := p.resp.Topics[0].Partitions
		for i := range out {
			p.waiter(&out[i]).Done(fmt.Errorf("it was cut off: %w", wal.ErrEpoch))
		}
		p.amendFailures()
		if l := out[0].CurrentLeader; out[0].ErrorCode != kerr.NotLeaderForPartition.Code || l == nil || l.ID != 2 || l.Epoch != b.image().Topic("t").Partitions[1].LeaderEpoch {
			t.Errorf("by ID %v, a partition that 2 leads: %+v", byID, out[0])
		}
		if out[1].CurrentLeader != nil || out[2].CurrentLeader != nil {
			t.Errorf("by ID %v, one that is to be led from here: %+v; no such partition: %+v", byID, out[1], out[2])
		}
		if e := p.resp.Endpoints; len(e) != 1 || e[0].ID != 2 {
			t.Errorf("by ID %v, the endpoints are %+v", byID, e)
		}
	}
}

// TestNewestLeader: what the error told counts as long as the metadata know nothing newer.
func TestNewestLeader(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 3, s, nil)
	epoch := s.Load().Topic("t").Partitions[0].LeaderEpoch
	older, newer := &wire.CurrentLeader{ID: 2, Epoch: epoch - 1}, &wire.CurrentLeader{ID: 2, Epoch: epoch + 1}
	for _, tc := range []struct {
		err    *kerr.Error
		told   *wire.CurrentLeader
		leader model.BrokerID
	}{
		{kerr.NotLeaderForPartition, nil, 1}, {kerr.NotLeaderForPartition, older, 1}, {kerr.NotLeaderForPartition, newer, 2},
		{kerr.FencedLeaderEpoch, nil, 1}, {kerr.KafkaStorageError, nil, model.NoBroker}, {kerr.UnknownLeaderEpoch, nil, model.NoBroker},
	} {
		l := b.newestLeader(tc.err.Code, tc.told, "t", model.TopicID{}, 0)
		if (l == nil) != (tc.leader == model.NoBroker) || l != nil && l.ID != tc.leader {
			t.Errorf("%v, told %+v: the answer names %+v, want %d", tc.err, tc.told, l, tc.leader)
		}
	}
}

// TestFetchNamesTheLeader: so does a consumer.
func TestFetchNamesTheLeader(t *testing.T) {
	b := elsewhere(t)
	in := kmsg.NewPtrFetchRequest()
	in.Version, in.SessionEpoch = 17, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.TopicID = b.image().Topic("t").ID
	for n := range int32(2) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition = n
		topic.Partitions = append(topic.Partitions, p)
	}
	in.Topics = append(in.Topics, topic)
	session, err := b.sessions.Begin(sessionRequest(in), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer session.End()
	f := fetching{broker: b, in: in, session: session, listener: "L", budget: 1 << 20}
	f.collect()
	if !f.enough() {
		t.Error("a client at the wrong broker has to wait")
	}
	r := f.respond()
	p := r.Topics[0].Partitions
	if p[1].ErrorCode != kerr.NotLeaderForPartition.Code || p[1].CurrentLeader == nil || p[1].CurrentLeader.ID != 2 {
		t.Errorf("a partition that 2 leads: %+v", p[1])
	}
	if len(r.Endpoints) != 2 || r.Endpoints[1].Host != "host2" { // partition 0 is led from here, and not opened yet
		t.Errorf("the endpoints are %+v", r.Endpoints)
	}
}

// TestLeaderHints: who leads instead is named, with where it is reached by this listener (KIP-951).
func TestLeaderHints(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 1, s, nil)
	for _, tc := range []struct {
		err    error
		leader model.BrokerID
		host   string
	}{
		{&replica.LeaderError{Err: replica.ErrNotLeader, Leader: 2, Epoch: 4}, 2, "host2"},
		{fmt.Errorf("wrapped: %w", &replica.LeaderError{Err: replica.ErrFencedEpoch, Leader: 3, Epoch: 4}), 3, "host3"},
		{&replica.LeaderError{Err: replica.ErrNotLeader, Leader: 9, Epoch: 4}, 9, ""},
		{&replica.LeaderError{Err: replica.ErrNotLeader, Leader: model.NoBroker, Epoch: 4}, model.NoBroker, ""},
		{replica.ErrNotLeader, model.NoBroker, ""},
		{nil, model.NoBroker, ""},
	} {
		l := currentLeader(tc.err)
		list := b.addEndpoint(b.addEndpoint(nil, l, "L"), l, "L")
		if (l == nil) != (tc.leader == model.NoBroker) || l != nil && (l.ID != tc.leader || l.Epoch != 4) {
			t.Errorf("%v: the leader is %+v", tc.err, l)
		}
		if (len(list) == 1) != (tc.host != "") || len(list) == 1 && (list[0].Host != tc.host || list[0].ID != tc.leader) {
			t.Errorf("%v: the endpoints are %+v", tc.err, list)
		}
		if other := b.addEndpoint(nil, l, "another listener"); len(other) > 0 {
			t.Errorf("%v: the endpoints of another listener are %+v", tc.err, other)
		}
	}
}

// TestReadReplica: a consumer reads in its rack if an in-sync replica is there and the leader is not (KIP-392).
func TestReadReplica(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 1, s, nil)
	id := s.Load().Topic("t").ID
	read := func(rack, listener string, partition int32) model.BrokerID {
		return b.readReplica(id, partition, rack, listener)
	}
	if got := read("b", "L", 0); got != 2 {
		t.Errorf("rack b is sent to %d, want 2", got)
	}
	for _, tc := range []struct {
		name, rack, listener string
		partition            int32
	}{
		{"the leader's own rack", "a", "L", 0}, {"a rack without replicas", "c", "L", 0}, {"another listener", "b", "M", 0},
		{"a partition that another broker leads", "b", "L", 1}, {"no such partition", "b", "L", 5},
	} {
		if got := read(tc.rack, tc.listener, tc.partition); got != model.NoBroker {
			t.Errorf("%s: sent to %d", tc.name, got)
		}
	}
	fence(t, s, 2)
	if got := read("b", "L", 0); got != 3 {
		t.Errorf("with 2 fenced, rack b is sent to %d, want 3", got)
	}
}

// fence takes a broker out of service and nothing else.
func fence(t *testing.T, s *image.Store, id model.BrokerID) {
	t.Helper()
	l := &fakeLog{store: s, active: true}
	if _, err := l.Propose(t.Context(), func(im *image.Image) ([]*command.Command, error) {
		return []*command.Command{command.Fence(id, im.Node(id).Epoch, true)}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestFencedBrokersAreOffline: clients are not sent to a broker out of service.
func TestFencedBrokersAreOffline(t *testing.T) {
	s := clusterImage(t)
	b, _ := member(t, 3, s, nil)
	if got := b.controller(s.Load(), "L"); got != 1 {
		t.Errorf("the controller is %d, want 1", got)
	}
	if got := b.controller(s.Load(), "M"); got != 3 {
		t.Errorf("the controller of a listener that it does not have is %d, want the broker that was asked", got)
	}
	fence(t, s, 1)
	if got := b.controller(s.Load(), "L"); got != 3 {
		t.Errorf("the controller, when it is out of service, is %d", got)
	}
	for _, tc := range []struct {
		listener  string
		version   int16
		partition int
		leader    model.BrokerID
		err       error
		offline   []int32
	}{
		{"L", 12, 0, model.NoBroker, errNoLeader, []int32{1}},
		{"L", 12, 1, 2, nil, []int32{1}},
		{"L", 0, 1, 2, errReplicaOffline, []int32{1}},
		{"M", 12, 1, model.NoBroker, errNoListener, []int32{2, 3, 1}},
		{"M", 5, 1, model.NoBroker, errNoLeader, []int32{2, 3, 1}},
	} {
		v := b.view(s.Load(), tc.listener, tc.version)
		p := s.Load().Topic("t").Partitions[tc.partition]
		leader, err := v.leader(p)
		if leader != tc.leader || !errors.Is(err, tc.err) || !reflect.DeepEqual(v.offline(p), tc.offline) {
			t.Errorf("%+v: got leader %d, %v, offline %v", tc, leader, err, v.offline(p))
		}
	}
}

// TestWithdrawn: a broker that has withdrawn names others as leaders, and not itself.
func TestWithdrawn(t *testing.T) {
	s := clusterImage(t)
	for id, want := range map[model.BrokerID]model.BrokerID{1: model.NoBroker, 3: 1} {
		b, _ := member(t, id, s, nil)
		b.Cluster.Withdrawn = func() bool { return true }
		p := s.Load().Topic("t").Partitions[0]
		if p.Leader != 1 {
			t.Fatalf("the leader is %d", p.Leader)
		}
		leader, err := b.view(s.Load(), "L", 12).leader(p)
		if leader != want || want == model.NoBroker && !errors.Is(err, errNoLeader) {
			t.Errorf("broker %d names %d, %v; want %d", id, leader, err, want)
		}
	}
}

// TestOlderClientsWaitForTheLeader: before version 5 of ListOffsets there was no OFFSET_NOT_AVAILABLE (KIP-207).
func TestOlderClientsWaitForTheLeader(t *testing.T) {
	for version, want := range map[int16]*kerr.Error{1: kerr.LeaderNotAvailable, 4: kerr.LeaderNotAvailable, 5: kerr.OffsetNotAvailable, 11: kerr.OffsetNotAvailable} {
		if got := listOffsetsCode(fmt.Errorf("here: %w", replica.ErrOffsetNotAvailable), version); got != want.Code {
			t.Errorf("version %d: code %d, want %v", version, got, want)
		}
		if got := listOffsetsCode(replica.ErrNotLeader, version); got != kerr.NotLeaderForPartition.Code {
			t.Errorf("version %d: code %d, want %v", version, got, kerr.NotLeaderForPartition)
		}
	}
}
