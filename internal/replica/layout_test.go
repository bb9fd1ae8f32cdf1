package replica

import (
	"errors"
	"io/fs"
	"path"
	"sync"
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestL5RemovalSurvivesCrashes cuts the power before every file system call of a removal. What is found is the whole partition
// or nothing of it; once it is over, nothing; and what was on its way out is gone after the next start.
func TestL5RemovalSurvivesCrashes(t *testing.T) {
	for seed := range uint64(4) {
		disk := crashfs.New(seed)
		files := faultfs.New(disk)
		g := open(t, files)
		g.Ensure(assign(t0, 1, 0))
		for range 3 {
			put(t, g.Get(t0))
		}
		var mu sync.Mutex
		var found []*crashfs.FS
		files.Inject(faultfs.Rule{Ops: faultfs.OpRename | faultfs.OpSyncDir | faultfs.OpRemove, Before: func(faultfs.Call) {
			mu.Lock()
			defer mu.Unlock()
			found = append(found, crashes(disk)...)
		}})
		g.Remove(t0)
		g.leaving.all.Wait()
		mu.Lock()
		during := len(found)
		if during == 0 {
			t.Fatal("the removal made no call that a crash could come before")
		}
		found = append(found, crashes(disk)...)
		mu.Unlock()
		for i, after := range found {
			checkRemoved(t, after, i >= during)
		}
	}
}

// crashes are disks that a power cut now may leave: with all that was not synced, with nothing of it, and with parts.
func crashes(disk *crashfs.FS) []*crashfs.FS {
	found := []*crashfs.FS{disk.CrashClone(crashfs.Keep), disk.CrashClone(crashfs.Lose)}
	for range 12 {
		found = append(found, disk.CrashClone(crashfs.Random))
	}
	return found
}

// checkRemoved starts over a disk that a crash left.
func checkRemoved(t *testing.T, disk *crashfs.FS, done bool) {
	t.Helper()
	g := open(t, disk)
	defer func() {
		if err := g.end(); err != nil {
			t.Error(err)
		}
	}()
	if left, err := disk.ReadDir("/data/wal/deleted"); err != nil || len(left) != 0 {
		t.Errorf("left in deleted after a start: %v, %v", left, err)
	}
	_, err := disk.Stat("/data/wal/partitions/t-0")
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if done || err != nil {
		t.Errorf("the directory of a removed partition: %v", err)
	}
	g.Ensure(assign(t0, 1, 0))
	if _, err := g.Get(t0).Log(); err != nil || g.Get(t0).HighWatermark() != 3 {
		t.Errorf("what was not removed yet is not whole: watermark %d, %v", g.Get(t0).HighWatermark(), err)
	}
}

// TestDiscardFindsAFreeGrave: an unfinished removal of the same partition is in nobody's way.
func TestDiscardFindsAFreeGrave(t *testing.T) {
	disk := crashfs.New(1)
	d := layout{fs: disk, root: "/data"}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	id := model.TopicID{7}
	grave := path.Join(d.deleted(), id.String()+"-0")
	for _, dir := range []string{d.partition(t0), grave, grave + ".1"} {
		if err := disk.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		touch(t, disk, path.Join(dir, "file"))
	}
	if err := d.discard(d.partition(t0), id, 0); err != nil {
		t.Fatal(err)
	}
	if err := d.discard(d.partition(t0), id, 0); err != nil {
		t.Errorf("discarding what is gone already: %v", err)
	}
	if _, err := disk.Stat(d.partition(t0)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if err := d.prepare(); err != nil {
		t.Fatal(err)
	}
	if left, err := disk.ReadDir(d.deleted()); err != nil || len(left) != 0 {
		t.Errorf("left after a start: %v, %v", left, err)
	}
}

func touch(t *testing.T, disk vfs.FS, name string) {
	t.Helper()
	f, err := disk.Create(name)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
