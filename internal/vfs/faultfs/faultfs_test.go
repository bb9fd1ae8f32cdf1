package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/invariant"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/vfstest"
)

func TestConformance(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) { return New(vfs.OS()), t.TempDir() })
}

func TestConformanceWithLimit(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) {
		f := New(crashfs.New(1))
		f.LimitSpace(1<<20, syscall.ENOSPC)
		f.Inject(Rule{Ops: OpAny, Match: Base("nobody-has-this-name"), Err: syscall.EIO})
		return f, ""
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, f *FS, name string) vfs.File {
	t.Helper()
	h, err := f.Create(name)
	must(t, err)
	return h
}

// TestEveryCallCanFail checks that a rule reaches each kind of call, that its error tells what failed and where, and that
// it happens instead of the call.
func TestEveryCallCanFail(t *testing.T) {
	var f *FS
	var h vfs.File
	for _, c := range []struct {
		op   Op
		call func() error
	}{
		{OpCreate, func() error { _, err := f.Create("new"); return err }},
		{OpOpen, func() error { _, err := f.Open("a"); return err }},
		{OpRemove, func() error { return f.Remove("a") }},
		{OpRemove, func() error { return f.RemoveAll("a") }},
		{OpRename, func() error { return f.Rename("a", "b") }},
		{OpMkdir, func() error { return f.MkdirAll("a") }},
		{OpReadDir, func() error { _, err := f.ReadDir("a"); return err }},
		{OpStat, func() error { _, err := f.Stat("a"); return err }},
		{OpStat, func() error { _, _, err := f.Space("a"); return err }},
		{OpStat, func() error { _, err := h.Size(); return err }},
		{OpSyncDir, func() error { return f.SyncDir("a") }},
		{OpLock, func() error { _, err := f.Lock("a"); return err }},
		{OpRead, func() error { _, err := h.ReadAt(make([]byte, 1), 0); return err }},
		{OpWrite, func() error { _, err := h.WriteAt([]byte("yyyyy"), 0); return err }},
		{OpWrite, func() error { _, err := h.WriteVAt([][]byte{[]byte("yyyyy")}, 0); return err }},
		{OpSync, func() error { return h.Sync() }},
		{OpTruncate, func() error { return h.Truncate(0) }},
		{OpClose, func() error { return h.Close() }},
	} {
		inner := crashfs.New(1)
		f = New(inner)
		h = create(t, f, "a")
		_, err := h.WriteAt([]byte("x"), 0)
		must(t, err)
		fault := f.Inject(Rule{Ops: c.op, Err: syscall.EIO})
		err = c.call()
		pathErr, ok := errors.AsType[*fs.PathError](err)
		if !errors.Is(err, syscall.EIO) || !ok || (pathErr.Path != "a" && pathErr.Path != "new") || pathErr.Op == "" {
			t.Errorf("op %b: got %v, want EIO with operation and path", c.op, err)
		}
		if fault.Hits() != 1 {
			t.Errorf("op %b: %d hits, want 1", c.op, fault.Hits())
		}
		if entries, _ := inner.ReadDir(""); len(entries) != 1 || entries[0].Name != "a" {
			t.Errorf("op %b: it happened all the same: %v", c.op, entries)
		}
		if info, _ := inner.Stat("a"); info.Size != 1 {
			t.Errorf("op %b: the file has %d bytes, want 1", c.op, info.Size)
		}
	}
}

func TestSkipAndTimes(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want string // one letter per sync
	}{
		{Rule{}, "xxxxxx"},
		{Rule{Times: 1}, "x....."},
		{Rule{Skip: 2, Times: 1}, "..x..."},
		{Rule{Skip: 3}, "...xxx"},
		{Rule{Skip: 1, Times: 2}, ".xx..."},
	} {
		f := New(crashfs.New(1))
		h := create(t, f, "a.wal")
		other := create(t, f, "a.idx")
		c.rule.Ops, c.rule.Match, c.rule.Err = OpSync|OpClose, Base("*.wal"), syscall.EIO
		fault := f.Inject(c.rule)
		got := ""
		for range c.want {
			must(t, other.Sync()) // neither fails nor counts
			if h.Sync() != nil {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != c.want || int(fault.Hits()) != strings.Count(c.want, "x") {
			t.Errorf("skip %d times %d: %s with %d hits, want %s", c.rule.Skip, c.rule.Times, got, fault.Hits(), c.want)
		}
		fault.Stop()
		must(t, h.Sync())
	}
}

func TestFailedCloseCloses(t *testing.T) {
	f := New(crashfs.New(1))
	h := create(t, f, "a")
	f.Inject(Rule{Ops: OpClose, Err: syscall.EIO, Times: 1})
	if err := h.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	if err := h.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v, want fs.ErrClosed", err)
	}
}

func TestPartialWrite(t *testing.T) {
	inner := crashfs.New(1)
	f := New(inner)
	h := create(t, f, "a")
	f.Inject(Rule{Ops: OpWrite, Err: syscall.EIO, Partial: 4})
	n, err := h.WriteVAt([][]byte{[]byte("one"), []byte("two")}, 0)
	if n != 4 || !errors.Is(err, syscall.EIO) {
		t.Errorf("wrote %d bytes with %v, want 4 with EIO", n, err)
	}
	p := make([]byte, 10)
	if n, _ := h.ReadAt(p, 0); string(p[:n]) != "onet" {
		t.Errorf("found %q", p[:n])
	}
	if n, err := h.WriteAt([]byte("xy"), 0); n != 2 || err == nil {
		t.Errorf("wrote %d bytes with %v, want 2 with an error", n, err)
	}
}

// TestFailedSyncDropsBytes: retrying a failed sync succeeds and proves nothing (D3).
func TestFailedSyncDropsBytes(t *testing.T) {
	inner := crashfs.New(1)
	f := New(inner)
	h := create(t, f, "a")
	must(t, f.SyncDir(""))
	_, err := h.WriteAt([]byte("x"), 0)
	must(t, err)
	f.Inject(Rule{Ops: OpSync, Err: syscall.EIO, Times: 1})
	if err := h.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	must(t, h.Sync())
	info, err := inner.CrashClone(crashfs.Lose).Stat("a")
	must(t, err)
	if info.Size != 0 {
		t.Errorf("%d bytes survived that a failed sync had dropped", info.Size)
	}
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(crashfs.New(1))
		h := create(t, f, "a")
		f.Inject(Rule{Ops: OpSync, Before: func(Call) { time.Sleep(30 * time.Second) }})
		start := time.Now()
		must(t, h.Sync())
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("the sync took %v, want 30s", d)
		}

		gate := make(chan struct{})
		f.Inject(Rule{Ops: OpWrite, Before: func(Call) { <-gate }, Err: syscall.EIO})
		failed := make(chan error, 1)
		go func() {
			_, err := h.WriteAt([]byte("x"), 0)
			failed <- err
		}()
		synctest.Wait()
		must(t, f.SyncDir("")) // others are not held up
		select {
		case err := <-failed:
			t.Errorf("the write ended behind a closed gate: %v", err)
		default:
		}
		close(gate)
		if err := <-failed; !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v, want EIO", err)
		}
	})
}

func TestFullDisk(t *testing.T) {
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		f := New(crashfs.New(1))
		f.LimitSpace(2*blockSize+100, full)
		h := create(t, f, "a")
		n, err := h.WriteAt(make([]byte, 3*blockSize), 0)
		if n != 2*blockSize || !errors.Is(err, vfs.ErrNoSpace) || !errors.Is(err, full) || !strings.Contains(err.Error(), " a: ") {
			t.Fatalf("wrote %d bytes with %v, want two blocks and %v", n, err, full)
		}
		if n, err := h.WriteAt([]byte("x"), 10); n != 1 || err != nil {
			t.Errorf("a write to a block that is there: %d, %v", n, err)
		}
		if n, err := h.WriteVAt([][]byte{[]byte("xy"), []byte("z")}, 2*blockSize-1); n != 1 || !errors.Is(err, vfs.ErrNoSpace) {
			t.Errorf("a write across the end of the space: %d, %v", n, err)
		}
		must(t, h.Truncate(100*blockSize)) // a hole needs none
		if n, err := h.WriteAt([]byte("x"), 50*blockSize+10); n != 0 || !errors.Is(err, vfs.ErrNoSpace) {
			t.Errorf("a write into the hole: %d, %v", n, err)
		}
		if _, free, err := f.Space(""); free != 100 || err != nil {
			t.Errorf("%d bytes free, want 100: %v", free, err)
		}
		f.UnlimitSpace()
		_, err = h.WriteAt(make([]byte, 10*blockSize), 0)
		must(t, err)
	}
}

// TestSpaceComesBack frees the one block that there is in every way there is.
func TestSpaceComesBack(t *testing.T) {
	for name, free := range map[string]func(f *FS, h vfs.File) error{
		"truncate":  func(_ *FS, h vfs.File) error { return h.Truncate(0) },
		"remove":    func(f *FS, h vfs.File) error { return errors.Join(h.Close(), f.Remove("d/a")) },
		"removeall": func(f *FS, h vfs.File) error { return errors.Join(h.Close(), f.RemoveAll("d")) },
		"close":     func(f *FS, h vfs.File) error { return errors.Join(f.Remove("d/a"), h.Close()) },
		"replace": func(f *FS, h vfs.File) error {
			other, err := f.Create("b")
			return errors.Join(err, other.Close(), h.Close(), f.Rename("b", "d/a"))
		},
		"rename": func(f *FS, h vfs.File) error {
			return errors.Join(h.Close(), f.Rename("d", "e"), f.Rename("e/a", "c"), f.Remove("c"))
		},
	} {
		f := New(crashfs.New(1))
		must(t, f.MkdirAll("d"))
		f.LimitSpace(blockSize, syscall.ENOSPC)
		h := create(t, f, "d/a")
		_, err := h.WriteAt([]byte("x"), 0)
		must(t, err)
		other := create(t, f, "other")
		if _, err := other.WriteAt([]byte("x"), 0); !errors.Is(err, vfs.ErrNoSpace) {
			t.Fatalf("got %v, want ErrNoSpace", err)
		}
		must(t, free(f, h))
		if got := f.FreeSpace(); got != blockSize {
			t.Errorf("after %s: %d bytes free, want %d", name, got, blockSize)
		}
		if _, err := other.WriteAt([]byte("x"), 0); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// TestTruncateKeepsWhatIsLeft: a cut frees the blocks past it and no other.
func TestTruncateKeepsWhatIsLeft(t *testing.T) {
	f := New(crashfs.New(1))
	f.LimitSpace(200*blockSize, syscall.ENOSPC)
	h := create(t, f, "a")
	_, err := h.WriteAt(make([]byte, 200*blockSize), 0)
	must(t, err)
	for _, blocks := range []int64{199, 130, 128, 64, 63, 1, 0} {
		must(t, h.Truncate(blocks*blockSize-min(blocks, 1)*5)) // the last one in part
		if got := f.FreeSpace(); got != (200-blocks)*blockSize {
			t.Errorf("cut to %d blocks: %d bytes free, want %d", blocks, got, (200-blocks)*blockSize)
		}
	}
}

// TestOpenFileKeepsItsSpace: a removed segment that a fetch still reads takes space.
func TestOpenFileKeepsItsSpace(t *testing.T) {
	f := New(crashfs.New(1))
	f.LimitSpace(blockSize, syscall.ENOSPC)
	h := create(t, f, "a")
	_, err := h.WriteAt([]byte("x"), 0)
	must(t, err)
	must(t, f.Remove("a"))
	if got := f.FreeSpace(); got != 0 {
		t.Errorf("%d bytes free while the file is open", got)
	}
	must(t, h.Close())
	if got := f.FreeSpace(); got != blockSize {
		t.Errorf("%d bytes free after its close, want %d", got, blockSize)
	}
}

// TestFilesThatWereThereBefore: their space is known when they go.
func TestFilesThatWereThereBefore(t *testing.T) {
	inner := crashfs.New(1)
	must(t, inner.MkdirAll("d/e"))
	for i := range 3 {
		h, err := inner.Create(fmt.Sprintf("d/e/%d", i))
		must(t, err)
		_, err = h.WriteAt(make([]byte, blockSize+1), 0)
		must(t, err)
	}
	f := New(inner)
	f.LimitSpace(0, syscall.ENOSPC)
	h, err := f.Open("d/e/0")
	must(t, err)
	_, err = h.WriteAt(make([]byte, 2*blockSize), 0)
	must(t, err)
	must(t, h.Close())
	must(t, f.Rename("d/e/0", "d/e/1"))
	if got := f.FreeSpace(); got != 2*blockSize {
		t.Errorf("%d bytes free after a file was replaced, want %d", got, 2*blockSize)
	}
	must(t, f.RemoveAll("d"))
	if got := f.FreeSpace(); got != 6*blockSize {
		t.Errorf("%d bytes free after all is removed, want %d", got, 6*blockSize)
	}
}

// TestRemovedBehindOurBack: a name that is free is free, whatever the books say.
func TestRemovedBehindOurBack(t *testing.T) {
	inner := crashfs.New(1)
	f := New(inner)
	f.LimitSpace(blockSize, syscall.ENOSPC)
	for range 3 {
		h := create(t, f, "a")
		_, err := h.WriteAt([]byte("x"), 0)
		must(t, err)
		must(t, h.Close())
		must(t, inner.Remove("a"))
	}
}

func TestBadPattern(t *testing.T) {
	defer func() {
		if _, ok := recover().(invariant.Violation); !ok {
			t.Error("a pattern that can match nothing was accepted")
		}
	}()
	Base("[")
}
