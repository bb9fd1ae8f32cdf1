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
