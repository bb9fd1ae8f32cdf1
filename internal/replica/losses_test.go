package replica

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal"
)

// start opens all logs of a broker of a cluster that is not registered yet: the replicas of t0 and of t-1 are on 1, which it is, and 2.
func start(t testing.TB, fs vfs.FS) (*rig, error) {
	t.Helper()
	g := &rig{t: t, fs: fs, log: new(syncBuffer), commit: wal.NewCommitter(wal.CommitterOptions{FS: fs})}
	if err := fs.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	losses, err := OpenLosses(fs, "/data")
	if err != nil {
		g.commit.Close()
		return nil, err
	}
	g.Set, err = NewSet(Env{Node: 1, FS: fs, Disks: []Disk{{Dir: "/data", Committer: g.commit}}, Now: time.Now, Losses: losses,
		Log: slog.New(slog.NewTextHandler(g.log, nil))})
	if err != nil {
		g.commit.Close()
		return nil, err
	}
	t.Cleanup(func() { _ = g.end() })
	for n := range int32(2) {
		g.Ensure(shared(model.TopicPartition{Topic: "t", Partition: n}))
	}
	g.OpenAll(t.Context())
	return g, nil
}

func shared(tp model.TopicPartition) Assignment {
	a := assign(tp, 1, 0)
	a.State = &image.Partition{Replicas: []model.BrokerID{1, 2}, ISR: []model.BrokerID{1, 2}, Leader: 2, LastKnownLeader: model.NoBroker}
	return a
}

// lost are the cuts that would be registered.
func (g *rig) lost() []Cut {
	cuts, _ := g.Cuts()
	slices.SortFunc(cuts, func(a, b Cut) int { return cmp.Compare(a.Partition, b.Partition) })
	return cuts
}

// written is a disk on which t-0 and t-1 have three records each.
func written(t *testing.T) *crashfs.FS {
	t.Helper()
	disk := crashfs.New(1)
	g := open(t, disk)
	for n := range int32(2) {
		tp := model.TopicPartition{Topic: "t", Partition: n}
		g.Ensure(assign(tp, 1, 0))
		for range 3 {
			put(t, g.Get(tp))
		}
	}
	return disk.CrashClone(crashfs.Lose)
}

// torn is written with a damaged last record in t-0, past the mark.
func torn(t *testing.T) *crashfs.FS {
	t.Helper()
	disk := written(t)
	name := "/data/wal/partitions/t-0/" + segmentOf(t, disk)
	com := wal.NewCommitter(wal.CommitterOptions{FS: disk})
	defer com.Close()
	l, _, err := wal.Open(wal.Options{FS: disk, Dir: "/data/wal/partitions/t-0", Partition: t0, TopicID: model.TopicID{1}, Config: wal.DefaultConfig(), Committer: com})
	if err != nil {
		t.Fatal(err)
	}
	size := l.Size()
	l.Abandon(nil)
	if err := disk.BitFlip(name, 4096+size-1, 0); err != nil {
		t.Fatal(err)
	}
	return disk
}

// TestL2CutsAreRemembered: whatever a log has lost is named at every start until a registration that named it was answered, wherever
// the power fails in between.
func TestL2CutsAreRemembered(t *testing.T) {
	whole := written(t)
	missing := written(t)
	if err := errors.Join(missing.RemoveAll("/data/wal/partitions/t-1"), missing.SyncDir("/data/wal/partitions")); err != nil {
		t.Fatal(err)
	}
	rotten := written(t)
	if err := rotten.BitFlip("/data/wal/partitions/t-0/"+segmentOf(t, rotten), 1, 0); err != nil {
		t.Fatal(err)
	}
	id := model.TopicID{1}
	for _, c := range []struct {
		what string
		disk *crashfs.FS
		want []Cut
	}{
		{"nothing", whole, nil},
		{"a torn tail", torn(t), []Cut{{id, 0, 2}}},
		{"a directory", missing, []Cut{{id, 1, 0}}},
		{"a header", rotten, []Cut{{id, 0, 0}}},
	} {
		t.Run(c.what, func(t *testing.T) { checkRemembered(t, c.disk, c.want) })
	}
}

func checkRemembered(t *testing.T, disk *crashfs.FS, want []Cut) {
	files := faultfs.New(disk)
	var mu sync.Mutex
	found := []*crashfs.FS{disk.CrashClone(crashfs.Keep)}
	files.Inject(faultfs.Rule{Ops: faultfs.OpAny &^ faultfs.OpRead, Before: func(faultfs.Call) {
		mu.Lock()
		defer mu.Unlock()
		for _, mode := range []crashfs.Mode{crashfs.Keep, crashfs.Lose, crashfs.Random} {
			found = append(found, disk.CrashClone(mode))
		}
	}})
	g, err := start(t, files)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.lost(); !slices.Equal(got, want) {
		t.Fatalf("at the first start %v, want %v", got, want)
	}
	_ = g.end()
	mu.Lock()
	defer mu.Unlock()
	for i, after := range append(found, disk.CrashClone(crashfs.Lose)) {
		g, err := start(t, after)
		if err != nil {
			t.Fatalf("crash %d of %d: %v", i, len(found), err)
		}
		if got := g.lost(); !slices.Equal(got, want) {
			t.Errorf("after crash %d of %d: %v, want %v\n%s", i, len(found), got, want, g.log)
		}
		_ = g.end()
	}
}

// TestL2CutsAreForgotten: what was told is not told again, but what was noted in the meantime is.
func TestL2CutsAreForgotten(t *testing.T) {
	disk := torn(t)
	g, err := start(t, disk)
	if err != nil {
		t.Fatal(err)
	}
	cuts, told := g.Cuts()
	if len(cuts) != 1 {
		t.Fatalf("cuts: %v", cuts)
	}
	late := Cut{model.TopicID{1}, 0, 2} // the same once more: it is news
	if err := g.env.Losses.Note(late); err != nil {
		t.Fatal(err)
	}
	if err := told(); err != nil {
		t.Fatal(err)
	}
	_ = g.end()
	if g, err = start(t, disk.CrashClone(crashfs.Lose)); err != nil {
		t.Fatal(err)
	}
	cuts, told = g.Cuts()
	if !slices.Equal(cuts, []Cut{late}) {
		t.Errorf("after the first was told: %v, want %v", cuts, late)
	}
	if err := told(); err != nil {
		t.Fatal(err)
	}
	_ = g.end()
	if g, err = start(t, g.fs.(*crashfs.FS).CrashClone(crashfs.Lose)); err != nil {
		t.Fatal(err)
	}
	if got := g.lost(); len(got) != 0 {
		t.Errorf("after all was told: %v", got)
	}
}

// TestLossesFileDamaged: a file that cannot be read may have named any log.
func TestLossesFileDamaged(t *testing.T) {
	for _, at := range []int64{0, 5, 511, 512 + 1, 512 + 63} {
		disk := torn(t)
		g, err := start(t, disk)
		if err != nil {
			t.Fatal(err)
		}
		_ = g.end()
		if err := disk.BitFlip("/data/"+lossesName, at, 3); err != nil {
			t.Fatal(err)
		}
		id := model.TopicID{1}
		for range 2 {
			if g, err = start(t, disk); err != nil {
				t.Fatal(err)
			}
			if got, want := g.lost(), []Cut{{id, 0, 2}, {id, 1, 3}}; !slices.Equal(got, want) {
				t.Errorf("byte %d: %v, want %v", at, got, want)
			}
			_ = g.end()
		}
	}
}

// TestLossesManyAndFullDisk: without free space every log that can be named is, and when there are too many, all are.
func TestLossesManyAndFullDisk(t *testing.T) {
	disk := crashfs.New(1)
	if err := disk.MkdirAll("/data"); err != nil {
		t.Fatal(err)
	}
	files := faultfs.New(disk)
	l, err := OpenLosses(files, "/data")
	if err != nil {
		t.Fatal(err)
	}
	files.LimitSpace(0, syscall.ENOSPC)
	for i := range lastSlot + 5 {
		if err := l.Note(Cut{model.TopicID{byte(i), byte(i >> 8)}, int32(i), model.Offset(i)}); err != nil {
			t.Fatal(err)
		}
		if _, all, _ := l.list(); all != (i >= lastSlot) {
			t.Fatalf("after %d notes all logs are named: %v", i+1, all)
		}
	}
	again, err := OpenLosses(disk.CrashClone(crashfs.Lose), "/data")
	if err != nil {
		t.Fatal(err)
	}
	if cuts, all, _ := again.list(); len(cuts) != lastSlot || !all {
		t.Errorf("%d logs, all: %v", len(cuts), all)
	}
	_, _, told := again.list()
	if err := again.Note(Cut{model.TopicID{9}, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := told(); err != nil {
		t.Fatal(err)
	}
	if cuts, all, _ := again.list(); len(cuts) != 0 || !all {
		t.Errorf("what was noted after the list is gone: %v, all: %v", cuts, all)
	}
}

// TestL2UncutWithoutNote: a log is not cut before it is remembered: without that it does not open, and nothing is lost by it.
func TestL2UncutWithoutNote(t *testing.T) {
	disk := torn(t)
	files := faultfs.New(disk)
	g, err := start(t, disk.CrashClone(crashfs.Keep))
	if err != nil {
		t.Fatal(err)
	}
	_ = g.end()
	rule := files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: faultfs.Base(lossesName), Err: syscall.EIO})
	if _, err := OpenLosses(files, "/data"); err != nil { // it is made under another name
		t.Fatal(err)
	}
	if g, err = start(t, files); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t0).Log(); !errors.Is(err, ErrStorage) {
		t.Errorf("a log that cannot be remembered as cut: %v, want ErrStorage", err)
	}
	_ = g.end()
	rule.Stop()
	if g, err = start(t, disk.CrashClone(crashfs.Lose)); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(g.lost()); got != fmt.Sprint([]Cut{{model.TopicID{1}, 0, 2}}) {
		t.Errorf("at the next start: %s", got)
	}
}
