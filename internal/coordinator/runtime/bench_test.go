package runtime

import (
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/replica"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// BenchmarkLoad is the time from the start of a broker until it coordinates, from one partition that holds so many committed offsets, of ten
// partitions per group: logs, checksums, decoding and the machine. One iteration is one record.
func BenchmarkLoad(b *testing.B) {
	for _, distinct := range []bool{true, false} {
		name := "distinct"
		if !distinct {
			name = "tenfold" // each offset was committed ten times, and the log was not compacted
		}
		b.Run(name, func(b *testing.B) { benchmarkLoad(b, distinct) })
	}
}

func benchmarkLoad(b *testing.B, distinct bool) {
	b.ReportAllocs()
	im := oneOffsetsPartition(b)
	fs, dir := vfs.OS(), b.TempDir()
	start := func() (*replica.Set, func()) {
		commit := wal.NewCommitter(wal.CommitterOptions{FS: fs})
		set, err := replica.NewSet(replica.Env{Node: 1, FS: fs, Disks: []replica.Disk{{Dir: dir, Committer: commit}}, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		t := im.Topic(topicName)
		set.Ensure(replica.Assignment{Partition: model.TopicPartition{Topic: topicName}, TopicID: t.ID, State: t.Partitions[0], Settings: &replica.Settings{
			Log: wal.DefaultConfig(), MinISR: 1, Policy: replica.Policy{MaxMessageBytes: 1 << 20, SegmentBytes: 1 << 30, BeforeMaxMs: math.MaxInt64}}})
		return set, func() {
			if err := set.Close(); err != nil {
				b.Fatal(err)
			}
			commit.Close()
		}
	}
	set, stop := start()
	fill(b, set.Get(model.TopicPartition{Topic: topicName}), b.N, distinct)
	stop()

	b.ResetTimer()
	set, stop = start()
	defer stop()
	c := New(Options[*group.Machine]{
		Topic: schema.Groups, Node: 1, Log: slog.New(slog.DiscardHandler), WallClockTrusted: set.WallClockTrusted,
		Partition: func(tp model.TopicPartition) Partition { return set.Get(tp) },
		Machine:   func() *group.Machine { return group.New(group.Config{SweepEvery: time.Hour, MaxSize: 10}) },
		Limits:    func() Limits { return Limits{Patience: time.Second, LoadBytes: 5 << 20} },
	})
	defer c.Stop()
	c.Start(im)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for done := make(chan bool, 1); ; <-again.C {
		c.Ask("g", func(*group.Machine, time.Time) shard.Result {
			return shard.Result{Sees: model.NoOffset, Reply: func(error) { done <- true }}
		}, func(error) { done <- false })
		if <-done {
			break
		}
	}
	b.StopTimer()
}

// fill appends records of committed offsets.
func fill(b *testing.B, r *replica.Replica, records int, distinct bool) {
	build := record.NewBuilder(record.Options{})
	for i := 0; i < records; {
		build.Reset(record.Options{})
		for range min(1000, records-i) {
			n := i
			if !distinct {
				n = i % max(records/10, 1)
			}
			key, value, err := schema.Encode(&schema.OffsetCommit{
				Key:   schema.OffsetKey{Group: fmt.Sprintf("some-group-of-a-service-%06d", n/10), Topic: "orders", Partition: int32(n % 10)},
				Value: &schema.Offset{Offset: model.Offset(i), LeaderEpoch: 3, CommitTimestamp: 1_700_000_000_000, ExpireTimestamp: schema.NoTime},
			})
			if err != nil {
				b.Fatal(err)
			}
			build.Add(1_700_000_000_000, key, value)
			i++
		}
		batch, err := build.Build()
		if err == nil {
			_, err = r.Append(replica.Append{Batch: batch, Acks: 1, Inline: true, By: &replica.Coordinator{}})
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func oneOffsetsPartition(b *testing.B) *image.Image {
	im, _, err := image.Apply(image.New("c"), []*command.Command{
		command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}),
		command.Create(&command.CreateTopic{Name: topicName, TopicId: append([]byte{1}, make([]byte, 15)...),
			Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}}}),
		command.Create(&command.CreateTopic{Name: "orders", TopicId: append([]byte{2}, make([]byte, 15)...),
			Assignments: []*command.Assignment{{Replicas: []int32{1}, Leader: 1}}}),
	}, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	return im
}
