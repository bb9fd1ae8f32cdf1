package group

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/shardtest"
	"chronik/internal/model"
)

func offsetRecord(group, partition int) *schema.OffsetCommit {
	return &schema.OffsetCommit{
		Key:   schema.OffsetKey{Group: fmt.Sprintf("group-%d", group), Topic: "some-topic", Partition: int32(partition)},
		Value: &schema.Offset{Offset: 1, ExpireTimestamp: schema.NoTime},
	}
}

// BenchmarkLoad is what a record costs when a coordinator is loaded, in time and in memory that stays; 100 offsets each of many groups.
func BenchmarkLoad(b *testing.B) {
	const groups, partitions = 2000, 100
	var log []shardtest.Entry
	for p := range partitions {
		for g := range groups {
			key, value, err := schema.Encode(offsetRecord(g, p))
			if err != nil {
				b.Fatal(err)
			}
			log = append(log, shardtest.Entry{Key: key, Value: value})
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var m *Machine
	for b.Loop() {
		m = New(Config{})
		m.Settle(model.Offset(len(log)))
		for off, e := range log {
			r, err := schema.Groups.Decode(e.Key, e.Value)
			if err == nil {
				err = m.Apply(model.Offset(off), shard.Entry{Producer: model.NoProducer, Record: r})
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(log)), "ns/record")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(log)), "B/record")
	runtime.KeepAlive(m)
	runtime.KeepAlive(log)
}

// BenchmarkHeartbeat and BenchmarkCommit are one request each of a group of 1,000 members; a commit is applied and settled.
func BenchmarkHeartbeat(b *testing.B) {
	m, now := stableGroup(b, 1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Heartbeat(now, HeartbeatRequest{Group: "g", Generation: 1, Member: fmt.Sprintf("c-%d", i%1000)}, func(error) {})
	}
}

func BenchmarkCommit(b *testing.B) {
	m, now := stableGroup(b, 1000)
	off := m.end
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := m.Commit(now, CommitRequest{Group: "g", Generation: 1, Member: fmt.Sprintf("c-%d", i%1000), RetentionMs: -1,
			Offsets: []CommitOffset{{TopicPartition: model.TopicPartition{Topic: "t", Partition: int32(i % 1000)}, Offset: model.Offset(i)}}}, func(CommitReply) {})
		for _, rec := range r.Records {
			if err := m.Apply(off, shard.Entry{Producer: model.NoProducer, Record: rec}); err != nil {
				b.Fatal(err)
			}
			off++
		}
		m.Settle(off)
	}
}

// BenchmarkRebalance is a group of 1,000 members that all join and sync once.
func BenchmarkRebalance(b *testing.B) {
	for b.Loop() {
		stableGroup(b, 1000)
	}
}

func stableGroup(b *testing.B, members int) (*Machine, time.Time) {
	m, now := New(Config{MaxSessionMs: 10_000, MaxSize: members}), time.UnixMilli(1_000_000)
	for i := range members {
		m.Join(now, JoinRequest{Group: "g", ClientID: "c", SessionMs: 10_000, RebalanceMs: 10_000, ProtocolType: consumerProtocol,
			Protocols: []Protocol{{"range", topics("t")}}, UUID: fmt.Sprint(i)}, func(JoinReply) {})
	}
	m.OnTimer(now, shard.TimerKey{Kind: JoinTimer, Group: "g"}) // members have come since the delay began
	m.OnTimer(now, shard.TimerKey{Kind: JoinTimer, Group: "g"})
	for i := members - 1; i >= 0; i-- { // the leader is the first
		r := m.Sync(now, SyncRequest{Group: "g", Generation: 1, Member: fmt.Sprintf("c-%d", i)}, func(SyncReply) {})
		for _, rec := range r.Records {
			if err := m.Apply(0, shard.Entry{Producer: model.NoProducer, Record: rec}); err != nil {
				b.Fatal(err)
			}
		}
	}
	m.Settle(1)
	if s := m.view(m.lookup("g")).state; s != Stable {
		b.Fatalf("the group is %s", s)
	}
	return m, now
}
