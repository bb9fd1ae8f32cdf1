package replica

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
	"chronik/internal/wal/compact"
)

// compacted fills a partition of a compacted topic: so many records of three keys, in segments of a few.
func compacted(t *testing.T, g *rig, name string, records int) *Replica {
	t.Helper()
	tp := model.TopicPartition{Topic: name}
	a := assign(tp, name[0], 1)
	a.Settings.Log.SegmentBytes = 400
	a.Settings.Log.Compaction = &compact.Policy{MinRatio: 0.5}
	g.Ensure(a)
	r := g.Get(tp)
	if _, err := r.Log(); err != nil {
		t.Fatal(err)
	}
	for i := range records {
		b := record.NewBuilder(record.Options{})
		b.Add(now, fmt.Appendf(nil, "key %d", i%3), []byte("value"))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		w := make(outcome, 1)
		if _, err := r.Append(Append{Batch: batch, Acks: 1, Waiter: w}); err != nil {
			t.Fatal(err)
		}
		if err := w.result(t); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

var cleaning = Cleaning{Threads: 2, KeyBytes: 1 << 20, KeyLoad: 0.9, BytesPerSecond: 1e300}

// TestClean: logs of compacted topics that are dirty enough are compacted, others are left alone; damage is said once, and only costs
// the log that it is in.
func TestClean(t *testing.T) {
	disk := crashfs.New(1)
	g := open(t, disk)
	big, small, rotten := compacted(t, g, "big", 60), compacted(t, g, "small", 2), compacted(t, g, "rotten", 60)
	kept := compacted(t, g, "kept", 60)
	spec := *kept.spec.Load()
	spec.Log.Compaction = nil
	kept.configure(&spec)
	if err := disk.BitFlip(rotten.dir()+"/segment_001.wal", 4096+40, 1); err != nil {
		t.Fatal(err)
	}
	sizes := make(map[*Replica]int64)
	for _, r := range []*Replica{big, small, rotten, kept} {
		sizes[r] = r.log.Load().Size()
	}
	for range 3 {
		g.Clean(context.Background(), cleaning)
	}
	for _, r := range []*Replica{small, rotten, kept} {
		if got := r.log.Load().Size(); got != sizes[r] {
			t.Errorf("%s had %d bytes, now it has %d", r.Partition(), sizes[r], got)
		}
	}
	if got := big.log.Load().Size(); got > sizes[big]/3 {
		t.Errorf("of %d bytes, %d are left", sizes[big], got)
	}
	if n := strings.Count(g.log.String(), "damaged records"); n != 1 {
		t.Errorf("damage is said %d times:\n%s", n, g.log)
	}
	put(t, rotten)
	res, err := big.Read(ReadRequest{From: 0, MaxBytes: 1 << 20, LeaderEpoch: model.NoEpoch, LastEpoch: model.NoEpoch})
	if err != nil || res.Records.Len() == 0 {
		t.Fatalf("reading what is left: %v", err)
	}
	res.Records.Release()
}

// TestCleanEnds: a round ends with its context.
func TestCleanEnds(t *testing.T) {
	g := open(t, crashfs.New(1))
	r := compacted(t, g, "big", 60)
	size := r.log.Load().Size()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.Clean(ctx, cleaning)
	slow := cleaning
	slow.BytesPerSecond = 1
	ctx, cancel = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { g.Clean(ctx, slow); close(ended) }()
	cancel()
	<-ended
	if got := r.log.Load().Size(); got != size {
		t.Errorf("%d bytes became %d", size, got)
	}
}

// TestCoordinatorsTopics: a topic that a coordinator reads to its end before it answers has a bound on what is uncleaned, whatever its
// configuration says, and only those are cleaned when only what is beyond its bound is to be.
func TestCoordinatorsTopics(t *testing.T) {
	g := open(t, crashfs.New(1))
	plain := compacted(t, g, "plain", 60)
	for _, c := range []struct {
		topic string
		bound int64
	}{{"__consumer_offsets", mostUncleaned}, {"__transaction_state", mostUncleaned}, {"__share_group_state", mostUncleaned}, {"plain", 0}} {
		s := Settings{Log: wal.Config{Compaction: &compact.Policy{MinRatio: 0.5}}}
		if got := s.of(c.topic).Log.Compaction; got.MostUncleaned != c.bound || got.MinRatio != 0.5 || s.Log.Compaction.MostUncleaned != 0 {
			t.Errorf("%s: %+v; of others: %+v", c.topic, got, s.Log.Compaction)
		}
	}
	if kept := (&Settings{}).of("__consumer_offsets"); kept.Log.Compaction != nil {
		t.Error("a coordinator's topic that is not compacted is compacted")
	}
	r := compacted(t, g, "__consumer_offsets", 6)
	if got := r.spec.Load().Log.Compaction.MostUncleaned; got != mostUncleaned {
		t.Errorf("the partition's bound is %d", got)
	}
	spec := *r.spec.Load()
	spec.Log.Compaction = &compact.Policy{MinRatio: 1, MostUncleaned: 300}
	r.configure(&spec)
	for range 20 {
		put(t, r)
	}
	size, other := r.log.Load().Size(), plain.log.Load().Size()
	only := cleaning
	only.OutgrownOnly = true
	g.Clean(context.Background(), only)
	if got := r.log.Load().Size(); got >= size {
		t.Errorf("%d bytes became %d", size, got)
	}
	if got := plain.log.Load().Size(); got != other {
		t.Errorf("of another topic, %d bytes became %d", other, got)
	}
}
