package replica

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/wal"
	"chronik/internal/wal/compact"
)

// BenchmarkCleanBesideProducer: how long a lone producer of one synced record at a time waits, while nothing else happens and while a
// log of 256 MiB with 100,000 keys is compacted on the same disk. Each iteration fills the log and measures both, by turns in either
// order; then it reads the log, which must hold exactly the latest value of each key.
//
//	go test ./internal/replica -run '^$' -bench CleanBesideProducer -benchtime 9x
func BenchmarkCleanBesideProducer(b *testing.B) {
	fs := vfs.OS()
	dir := b.TempDir()
	commit := wal.NewCommitter(wal.CommitterOptions{FS: fs})
	s, err := NewSet(Env{Node: 1, FS: fs, Disks: []Disk{{Dir: dir, Committer: commit}}, Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close(); commit.Close() }()
	front := benched(b, s, "front", nil)
	var idle50, idle99, clean50, clean99, ratio []float64
	var took time.Duration
	for n := range b.N {
		back := benched(b, s, fmt.Sprint("back", n), &compact.Policy{})
		f := filling{t: b, r: back, rng: rand.New(rand.NewPCG(uint64(n), 1)), latest: make([]uint64, 100_000)}
		f.fill(256 << 20)
		var idle, clean latencies
		measureIdle := func() { idle = produceUntil(b, front, time.NewTimer(3*time.Second).C) }
		if n%2 == 0 {
			measureIdle()
		}
		done := make(chan time.Time)
		begun := time.Now()
		go func() {
			s.Clean(context.Background(), Cleaning{Threads: 1, KeyBytes: 128 << 20, KeyLoad: 0.9, BytesPerSecond: 1e300})
			done <- time.Now()
		}()
		clean = produceUntil(b, front, done)
		took += time.Since(begun)
		if n%2 == 1 {
			measureIdle()
		}
		f.verify()
		idle50, idle99 = append(idle50, idle.at(0.5)), append(idle99, idle.at(0.99))
		clean50, clean99 = append(clean50, clean.at(0.5)), append(clean99, clean.at(0.99))
		ratio = append(ratio, clean.at(0.99)/idle.at(0.99))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(idle50), "idle-p50-ms")
	b.ReportMetric(median(idle99), "idle-p99-ms")
	b.ReportMetric(median(clean50), "cleaning-p50-ms")
	b.ReportMetric(median(clean99), "cleaning-p99-ms")
	b.ReportMetric(median(ratio), "p99-ratio")
	b.ReportMetric(took.Seconds()/float64(b.N), "s/round")
}

func benched(b *testing.B, s *Set, topic string, p *compact.Policy) *Replica {
	tp := model.TopicPartition{Topic: topic}
	a := assign(tp, 0, 1)
	copy(a.TopicID[:], topic)
	a.Settings.Log.Compaction, a.Settings.Log.SegmentBytes = p, 64<<20
	s.Ensure(a)
	if _, err := s.Get(tp).Log(); err != nil {
		b.Fatal(err)
	}
	return s.Get(tp)
}

// latencies in ms.
type latencies []float64

func (l latencies) at(q float64) float64 {
	slices.Sort(l)
	return l[int(q*float64(len(l)-1))]
}

func median(all []float64) float64 { return latencies(all).at(0.5) }

// produceUntil sends one record after the other until something comes from stop.
func produceUntil(b *testing.B, r *Replica, stop <-chan time.Time) (all latencies) {
	w := make(outcome, 1)
	o := record.NewBuilder(record.Options{})
	o.Add(now, nil, make([]byte, 200))
	template, err := o.Build()
	if err != nil {
		b.Fatal(err)
	}
	for {
		select {
		case <-stop:
			return all
		default:
		}
		begun := time.Now()
		if _, err := r.Append(Append{Batch: slices.Clone(template), Acks: 1, Waiter: w}); err != nil {
			b.Fatal(err)
		}
		if err := <-w; err != nil {
			b.Fatal(err)
		}
		all = append(all, float64(time.Since(begun).Microseconds())/1000)
	}
}

// filling is a log of many keys, and their latest values.
type filling struct {
	t      *testing.B
	r      *Replica
	rng    *rand.Rand
	n      uint64
	latest []uint64 // by key
}

// fill appends so many bytes, and as much again as a segment holds, so that all of that is sealed.
func (f *filling) fill(bytes int) {
	value := make([]byte, 1000)
	for i := range value {
		value[i] = byte(f.rng.Uint32())
	}
	o := record.NewBuilder(record.Options{})
	w := make(outcome, 1)
	for written := 0; written < bytes+1<<20; {
		o.Reset(record.Options{})
		for range 16 {
			f.n++
			key := f.rng.IntN(len(f.latest))
			f.latest[key] = f.n
			binary.BigEndian.PutUint64(value, f.n)
			o.Add(now, binary.BigEndian.AppendUint32(nil, uint32(key)), value)
		}
		batch, err := o.Build()
		if err != nil {
			f.t.Fatal(err)
		}
		written += len(batch)
		if _, err := f.r.Append(Append{Batch: slices.Clone(batch), Acks: 1, Waiter: w}); err != nil {
			f.t.Fatal(err)
		}
		if err := <-w; err != nil {
			f.t.Fatal(err)
		}
	}
}

// verify reads all of the log: each key's last record is its latest one, and in what was compacted there is one of each.
func (f *filling) verify() {
	got, seen := make([]uint64, len(f.latest)), 0
	l := f.r.log.Load()
	for at := l.Start(); at < l.DurableEnd(); {
		region, err := l.Read(at, l.DurableEnd(), 1<<20, true)
		if err != nil {
			f.t.Fatal(err)
		}
		data, err := region.ReadAll(nil)
		at = region.Next()
		region.Release()
		for len(data) > 0 && err == nil {
			var batch record.Batch
			if batch, data, err = record.Next(data); err != nil {
				break
			}
			it := record.NewIterator(batch.Records(), batch.RecordCount())
			for v := (record.Record{}); it.Next(&v); seen++ {
				got[binary.BigEndian.Uint32(v.Key)] = binary.BigEndian.Uint64(v.Value)
			}
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if most := len(f.latest) + (65<<20)/1000; !slices.Equal(got, f.latest) || seen > most {
		f.t.Fatalf("%d records are left, want at most %d; all are the latest: %t", seen, most, slices.Equal(got, f.latest))
	}
}
