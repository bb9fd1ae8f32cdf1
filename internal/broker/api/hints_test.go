package api

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/replica"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wire"
)

// elsewhere is broker 1 of a cluster, without any partition yet.
func elsewhere(t *testing.T) *Broker {
	t.Helper()
	b, _ := member(t, 1, clusterImage(t), nil)
	set, err := replica.NewSet(replica.Env{FS: crashfs.New(1), DataDir: "/data", Now: time.Now, Node: 1})
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
