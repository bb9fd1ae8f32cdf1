package wal

import (
	"fmt"
	"runtime"
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

func openMany(t testing.TB, fsys vfs.FS, com *Committer, dir string, n int) []*Log {
	logs := make([]*Log, n)
	for i := range logs {
		l, rec, err := Open(Options{
			FS: fsys, Dir: fmt.Sprintf("%s/t-%d", dir, i), Partition: model.TopicPartition{Topic: "t", Partition: int32(i)},
			Config: DefaultConfig(), Committer: com,
		})
		if err != nil || rec.Corruption != nil {
			t.Fatal(err, rec)
		}
		if err := l.BeginEpoch(0); err != nil {
			t.Fatal(err)
		}
		logs[i] = l
	}
	return logs
}

// TestIdleLogsCostLittle: after an append to each and a rest, many logs hold little memory and no file, and
// they reopen after a kill with a handful of calls each.
func TestIdleLogsCostLittle(t *testing.T) {
	const n = 1000
	disk := crashfs.New(1)
	com := NewCommitter(CommitterOptions{FS: disk})
	defer com.Close()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	logs := openMany(t, disk, com, "d", n)
	for _, l := range logs {
		must(t, l, batch(1, 100, 1, nil))
	}
	for _, l := range logs {
		l.keepUp() // what the next tick does: marks
	}
	for range 2 * sweepTicks {
		com.files.sweep(sweepTicks)
	}
	if n := com.OpenFiles(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	com.mu.Lock()
	com.listed = nil
	com.mu.Unlock()
	before := heap()
	for i, l := range logs {
		l.Abandon(nil)
		logs[i] = nil
	}
	if each := (int64(before) - int64(heap())) / n; each > 3000 {
		t.Errorf("an idle log holds %d bytes of heap", each)
	} else {
		t.Logf("an idle log holds %d bytes of heap", each)
	}
	calls := func() (sum int64) {
		for k := crashfs.OpCreate; k <= crashfs.OpClose; k++ {
			sum += disk.Count(k)
		}
		return sum
	}
	syncs, from := disk.Count(crashfs.OpSync), calls()
	for _, l := range openMany(t, disk, com, "d", n) {
		if l.End() != 1 {
			t.Fatalf("end %d", l.End())
		}
		l.Abandon(nil)
	}
	if each := float64(calls()-from) / n; each > 5.5 || disk.Count(crashfs.OpSync) != syncs {
		t.Errorf("opening takes %.1f calls and %d syncs in all", each, disk.Count(crashfs.OpSync)-syncs)
	}
}

func BenchmarkOpenQuiet(b *testing.B) {
	const n = 1000
	dir := b.TempDir()
	com := NewCommitter(CommitterOptions{FS: vfs.OS()})
	b.Cleanup(com.Close)
	for _, l := range openMany(b, vfs.OS(), com, dir, n) {
		must(b, l, batch(1, 100, 1, nil))
		l.keepUp()
		l.Abandon(nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range openMany(b, vfs.OS(), com, dir, n) {
			l.Abandon(nil)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "us/log")
}
