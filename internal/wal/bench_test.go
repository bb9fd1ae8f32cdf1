package wal

import (
	"fmt"
	"testing"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
)

// slot is one outstanding append of a closed loop; its batch is used again when it is done.
type slot struct {
	batch record.Batch
	owner *mem.Buf
	free  chan *slot
	err   error
}

func (s *slot) Done(err error) {
	s.err = err
	s.free <- s
}

// closedLoop keeps outstanding appends in flight until n are done, spread over the logs in turn.
func closedLoop(b *testing.B, logs []*Log, outstanding, records, size int) {
	free := make(chan *slot, outstanding)
	for range outstanding {
		src := batch(records, size, 1000, nil)
		owner := mem.Get(len(src))
		copy(owner.Bytes(), src)
		free <- &slot{batch: record.Batch(owner.Bytes()), owner: owner, free: free}
	}
	bytes := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s := <-free
		if s.err != nil {
			b.Fatal(s.err)
		}
		bytes = len(s.batch)
		if _, err := logs[i%len(logs)].Append(Append{Batch: s.batch, Epoch: 0, Owner: s.owner, Waiter: s}); err != nil {
			b.Fatal(err)
		}
	}
	for range outstanding {
		if s := <-free; s.err != nil {
			b.Fatal(s.err)
		}
	}
	b.SetBytes(int64(bytes))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

func benchLogs(b *testing.B, n int) []*Log {
	com := NewCommitter(CommitterOptions{FS: vfs.OS()})
	b.Cleanup(com.Close)
	dir := b.TempDir()
	logs := make([]*Log, n)
	for i := range logs {
		l, _, err := Open(Options{
			FS: vfs.OS(), Dir: fmt.Sprintf("%s/t-%d", dir, i), Partition: model.TopicPartition{Topic: "t", Partition: int32(i)},
			Config: DefaultConfig(), Committer: com,
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.BeginEpoch(0); err != nil {
			b.Fatal(err)
		}
		must(b, l, batch(1, 100, 1000, nil))
		logs[i] = l
		b.Cleanup(func() {
			if err := l.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	return logs
}

func BenchmarkAppendSmall(b *testing.B) {
	for _, partitions := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			closedLoop(b, benchLogs(b, partitions), 128, 1, 256)
		})
	}
}

func BenchmarkAppendBulk(b *testing.B) {
	for _, partitions := range []int{1, 16} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			closedLoop(b, benchLogs(b, partitions), 16, 1024, 1<<20)
		})
	}
}

// BenchmarkRead is a consumer that reads in steps, from what was just written and from a log that was
// opened before each round, so that every byte is checked.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name    string
		records int
		size    int
		step    int
		cold    bool
	}{
		{"tail/small", 1, 256, 64 << 10, false},
		{"tail/one", 1, 256, 300, false},
		{"tail/bulk", 1024, 1 << 20, 1 << 20, false},
		{"cold/small", 1, 256, 1 << 20, true},
		{"cold/bulk", 1024, 1 << 20, 1 << 20, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			com := NewCommitter(CommitterOptions{FS: vfs.OS()})
			defer com.Close()
			e := &env{t: b, fs: vfs.OS(), com: com, dir: b.TempDir() + "/t-7", id: model.TopicID{1}, cfg: DefaultConfig()}
			e.cfg.FlushMessages = 1 << 30
			l, _ := e.open()
			for l.Size() < 32<<20 {
				must(b, l, batch(c.records, c.size, 1, nil))
			}
			at := model.Offset(0)
			b.ReportAllocs()
			for b.Loop() {
				if at >= l.DurableEnd() {
					at = 0
					if c.cold {
						l.Abandon(nil)
						l, _ = e.open()
					}
				}
				r, err := l.Read(at, l.DurableEnd(), c.step, true)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(r.Len()))
				at = r.Next()
				r.Release()
			}
			l.Abandon(nil)
		})
	}
}
