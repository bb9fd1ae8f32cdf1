package replica

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// settleMove waits until a replica stays where it is.
func settleMove(r *Replica) {
	if m := r.moving.Load(); m != nil {
		<-m.done
	}
}

// TestMove: a replica goes to another directory and back with all that it holds, and takes records before, meanwhile and after.
func TestMove(t *testing.T) {
	disk := crashfs.New(1)
	g := onDirs(t, disk, nil, "/a", "/b")
	g.Ensure(assign(t0, 1, 0))
	g.Started()
	r := g.Get(t0)
	for range 3 {
		put(t, r)
	}
	for i, to := range []string{"/b", "/a", "/b"} {
		if err := g.Move(t0, to); err != nil {
			t.Fatal(err)
		}
		settleMove(r)
		if r.Dir() != to {
			t.Fatalf("it lies in %s, want %s\n%s", r.Dir(), to, g.log)
		}
		if at := put(t, r); at != model.Offset(3+i) {
			t.Errorf("in %s the next offset is %d, want %d", to, at, 3+i)
		}
	}
	if err := g.Move(t0, "/b"); err != nil || r.moving.Load() != nil {
		t.Errorf("moving it where it is: %v", err)
	}
	for _, dir := range []string{"/a/wal/partitions", "/a/wal/moving", "/b/wal/moving", "/a/wal/deleted"} {
		if left, err := disk.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%s holds %v, %v", dir, left, err)
		}
	}
	g.Ensure(assign(part(1), 1, 0))
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	g = onDirs(t, disk.CrashClone(crashfs.Lose), nil, "/a", "/b")
	g.Ensure(assign(t0, 1, 1))
	if at := put(t, g.Get(t0)); at != 6 || g.Get(t0).Dir() != "/b" {
		t.Errorf("after a restart the next offset is %d in %s", at, g.Get(t0).Dir())
	}
}

// TestMoveRefusals are Kafka's.
func TestMoveRefusals(t *testing.T) {
	g := onDirs(t, crashfs.New(1), nil, "/a", "/b", "!/c")
	g.Started()
	g.Ensure(assign(t0, 1, 0))
	for dir, want := range map[string]error{"/d": ErrNoDir, "": ErrNoDir, "/c": ErrStorage} {
		if err := g.Move(t0, dir); !errors.Is(err, want) {
			t.Errorf("to %q: %v, want %v", dir, err, want)
		}
	}
	for n := 1; n < 4; n++ {
		if err := g.Move(part(n), "/a"); !errors.Is(err, ErrNoReplica) {
			t.Errorf("a partition that is not here: %v", err)
		}
		g.Ensure(assign(part(n), 1, 0))
	}
	if got, want := g.where(), "map[0:/a 1:/a 2:/a 3:/a]"; got != want {
		t.Errorf("partitions that were not here when they were moved: %s, want %s", got, want)
	}
}

// TestMoveSurvivesCrashes cuts the power before every call to the disks. Afterwards the partition is there once, with all that was
// acknowledged, and a move that had begun is completed.
func TestMoveSurvivesCrashes(t *testing.T) {
	disk := crashfs.New(3)
	files := faultfs.New(disk)
	g := onDirs(t, files, nil, "/a", "/b")
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	var acked atomic.Int64
	for range 4 {
		acked.Store(int64(put(t, r)) + 1)
	}
	type crash struct {
		disk  *crashfs.FS
		acked int64
	}
	var mu sync.Mutex
	var found []crash
	rule := files.Inject(faultfs.Rule{Ops: faultfs.OpAny &^ faultfs.OpRead, Before: func(faultfs.Call) {
		mu.Lock()
		defer mu.Unlock()
		n := acked.Load()
		for _, mode := range []crashfs.Mode{crashfs.Keep, crashfs.Lose, crashfs.Random, crashfs.Random} {
			found = append(found, crash{disk.CrashClone(mode), n})
		}
	}})
	if err := g.Move(t0, "/b"); err != nil {
		t.Fatal(err)
	}
	settleMove(r)
	acked.Store(int64(put(t, r)) + 1)
	rule.Stop()
	if r.Dir() != "/b" {
		t.Fatalf("it lies in %s\n%s", r.Dir(), g.log)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(found) < 80 {
		t.Fatalf("only %d crashes", len(found))
	}
	for i, c := range found {
		g := onDirs(t, c.disk, nil, "/a", "/b")
		g.Ensure(assign(t0, 1, 1))
		if err := g.RemoveStrays(); err != nil {
			t.Fatal(err)
		}
		r := g.Get(t0)
		if l, err := r.Log(); err != nil || int64(l.DurableEnd()) < c.acked {
			t.Fatalf("crash %d of %d: %v, %v: want %d records", i, len(found), l, err, c.acked)
		}
		settleMove(r)
		if at := put(t, r); int64(at) < c.acked || int64(at) > 5 {
			t.Errorf("crash %d of %d: the next offset is %d, want %d", i, len(found), at, c.acked)
		}
		if err := g.end(); err != nil {
			t.Fatal(err)
		}
		holds := 0
		for _, dir := range []string{"/a", "/b"} {
			left, err := c.disk.ReadDir(dir + "/wal/partitions")
			moving, _ := c.disk.ReadDir(dir + "/wal/moving")
			if err != nil || len(moving) != 0 {
				t.Errorf("crash %d: %s holds %v and moves %v: %v", i, dir, left, moving, err)
			}
			holds += len(left)
		}
		if holds != 1 {
			t.Errorf("crash %d of %d: the partition is there %d times", i, len(found), holds)
		}
	}
}

// TestMoveFails: what goes wrong while it is copied leaves the replica where it is; what goes wrong at the exchange takes it out of use, and nothing is lost.
func TestMoveFails(t *testing.T) {
	for _, c := range []struct {
		rule faultfs.Rule
		dir  string
	}{
		{faultfs.Rule{Ops: faultfs.OpWrite, Match: under("/b/wal/moving"), Err: syscall.ENOSPC}, "/a"},
		{faultfs.Rule{Ops: faultfs.OpSync, Match: under("/b/wal/moving"), Err: syscall.EIO}, "/a"},
		{faultfs.Rule{Ops: faultfs.OpRename, Match: under("/b/wal/moving"), Err: syscall.EIO}, ""},
		{faultfs.Rule{Ops: faultfs.OpSyncDir, Match: under("/b/wal/partitions"), Err: syscall.EIO}, ""},
		{faultfs.Rule{Ops: faultfs.OpRename, Match: under("/a/wal/partitions"), Err: syscall.EIO}, ""},
	} {
		disk := crashfs.New(1)
		files := faultfs.New(disk)
		g := onDirs(t, files, nil, "/a", "/b")
		g.Ensure(assign(t0, 1, 0))
		r := g.Get(t0)
		for range 3 {
			put(t, r)
		}
		rule := files.Inject(c.rule)
		if err := g.Move(t0, "/b"); err != nil {
			t.Fatal(err)
		}
		settleMove(r)
		if c.dir != "" {
			if at := put(t, r); at != 3 || r.Dir() != c.dir {
				t.Errorf("%v: the next offset is %d in %s", c.rule.Ops, at, r.Dir())
			}
		} else if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1}); !errors.Is(err, ErrStorage) {
			t.Errorf("%v: after the exchange failed: %v, want ErrStorage", c.rule.Ops, err)
		}
		rule.Stop()
		_ = g.end()
		g = onDirs(t, disk.CrashClone(crashfs.Lose), nil, "/a", "/b")
		g.Ensure(assign(t0, 1, 1))
		if err := g.RemoveStrays(); err != nil {
			t.Fatal(err)
		}
		settleMove(g.Get(t0))
		if at := put(t, g.Get(t0)); at < 3 {
			t.Errorf("%v: at the next start the next offset is %d", c.rule.Ops, at)
		}
	}
}

func under(dir string) func(faultfs.Call) bool {
	return func(c faultfs.Call) bool { return len(c.Name) >= len(dir) && c.Name[:len(dir)] == dir }
}

// TestMoveIsGivenUp: by another destination, by the present one, and by a removal.
func TestMoveIsGivenUp(t *testing.T) {
	files := faultfs.New(crashfs.New(1))
	g := onDirs(t, files, nil, "/a", "/b", "/c")
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	put(t, r)
	g.moves.slots <- struct{}{} // nothing moves
	g.moves.slots <- struct{}{}
	if err := g.Move(t0, "/b"); err != nil {
		t.Fatal(err)
	}
	if dir, _, lag, ok := r.Moving(); !ok || dir != "/b" || lag != 1 {
		t.Errorf("moving to %q, %v, lag %d", dir, ok, lag)
	}
	if err := g.Move(t0, "/c"); err != nil {
		t.Fatal(err)
	}
	if dir, _, _, ok := r.Moving(); !ok || dir != "/c" {
		t.Errorf("moving to %q, %v, want /c", dir, ok)
	}
	if err := g.Move(t0, "/a"); err != nil {
		t.Fatal(err)
	}
	if _, _, _, ok := r.Moving(); ok || r.Dir() != "/a" {
		t.Error("it is moving although it is to stay")
	}
	if err := g.Move(t0, "/b"); err != nil {
		t.Fatal(err)
	}
	g.Remove(t0)
	g.leaving.all.Wait()
	for _, dir := range []string{"/a/wal/partitions", "/b/wal/partitions", "/b/wal/moving", "/c/wal/moving"} {
		if left, err := files.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s holds %v, %v", dir, left, err)
		}
	}
}
