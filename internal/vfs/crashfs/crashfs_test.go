package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/vfstest"
)

func TestConformance(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) {
		f := New(1)
		must(t, f.MkdirAll("/some/dir"))
		return f, "/some/dir"
	})
}

// TestConformanceAfterCrash: a disk found after a crash is a file system like any other.
func TestConformanceAfterCrash(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) {
		f := New(1)
		must(t, f.MkdirAll("/some/dir"))
		return f.Crash(Random), "/some/dir"
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// make creates a file with content, synced together with its entry.
func put(t *testing.T, f *FS, name, content string) vfs.File {
	t.Helper()
	h, err := f.Create(name)
	must(t, err)
	write(t, h, content, 0)
	must(t, h.Sync())
	must(t, f.SyncDir("/"))
	return h
}

func write(t *testing.T, h vfs.File, content string, off int64) {
	t.Helper()
	_, err := h.WriteAt([]byte(content), off)
	must(t, err)
}

// read returns the content of a file, and "<none>" if there is no such file.
func read(t *testing.T, f *FS, name string) string {
	t.Helper()
	h, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "<none>"
	}
	must(t, err)
	size, err := h.Size()
	must(t, err)
	p := make([]byte, size)
	if n, _ := h.ReadAt(p, 0); n != len(p) {
		t.Fatalf("%s: read %d of %d bytes", name, n, size)
	}
	return string(p)
}

func TestLoseAndKeep(t *testing.T) {
	f := New(1)
	h := put(t, f, "a", "synced")
	write(t, h, "SYN", 0)
	write(t, h, " and more", 6)
	_, err := f.Create("b")
	must(t, err)
	for _, c := range []struct {
		mode Mode
		a, b string
	}{{Lose, "synced", "<none>"}, {Keep, "SYNced and more", ""}} {
		disk := f.CrashClone(c.mode)
		if got := read(t, disk, "a"); got != c.a {
			t.Errorf("mode %d: a holds %q, want %q", c.mode, got, c.a)
		}
		if got := read(t, disk, "b"); got != c.b {
			t.Errorf("mode %d: b holds %q, want %q", c.mode, got, c.b)
		}
	}
	if got := read(t, f, "a"); got != "SYNced and more" {
		t.Errorf("a clone changed the original to %q", got)
	}
}

func TestSyncedFileWithoutEntryIsGone(t *testing.T) {
	f := New(1)
	h, err := f.Create("a")
	must(t, err)
	write(t, h, "x", 0)
	must(t, h.Sync())
	if got := read(t, f.CrashClone(Lose), "a"); got != "<none>" {
		t.Errorf("a holds %q though its directory was never synced (D6)", got)
	}
	must(t, f.SyncDir("/"))
	if got := read(t, f.CrashClone(Lose), "a"); got != "x" {
		t.Errorf("a holds %q, want what was synced", got)
	}
}

func TestHandlesDieWithTheMachine(t *testing.T) {
	f := New(1)
	h := put(t, f, "a", "x")
	held, err := f.Lock("LOCK")
	must(t, err)
	must(t, f.SyncDir("/"))
	after := f.Crash(Random)

	_, werr := h.WriteAt([]byte("y"), 0)
	_, rerr := h.ReadAt(make([]byte, 1), 0)
	_, serr := h.Size()
	_, oerr := f.Open("a")
	_, lerr := f.Lock("LOCK")
	for what, err := range map[string]error{"write": werr, "read": rerr, "size": serr, "open": oerr, "lock": lerr,
		"sync": h.Sync(), "truncate": h.Truncate(0), "close": h.Close(), "syncdir": f.SyncDir("/"), "remove": f.Remove("a")} {
		if !errors.Is(err, ErrCrashed) {
			t.Errorf("%s after the crash: got %v, want ErrCrashed", what, err)
		}
	}
	if got := read(t, after, "a"); got != "x" {
		t.Errorf("a holds %q after the crash", got)
	}
	again, err := after.Lock("LOCK")
	if err != nil {
		t.Errorf("the lock of a dead process: %v", err)
	}
	must(t, again.Close())
	must(t, held.Close()) // whoever held it may still let go
}

// TestCrashAtEveryOp is how recovery tests use the hook.
func TestCrashAtEveryOp(t *testing.T) {
	f := New(1)
	var disks []*FS
	var ops []string
	f.OnOp(func(op Op) {
		if op.Kind.Changes() {
			ops = append(ops, op.String())
			disks = append(disks, f.CrashClone(Keep))
		}
	})
	h := put(t, f, "a", "x")
	must(t, h.Truncate(0))
	must(t, f.Rename("a", "b"))
	must(t, h.Close())
	f.OnOp(nil)
	must(t, f.Remove("b"))
	want := []string{"create a", "write a 0+1", "sync a", "syncdir /", "truncate a 0", "rename a b"}
	if !slices.Equal(ops, want) {
		t.Fatalf("observed %q, want %q", ops, want)
	}
	var found []string
	for _, d := range disks {
		found = append(found, read(t, d, "a"))
	}
	if want := []string{"<none>", "", "x", "x", "x", ""}; !slices.Equal(found, want) {
		t.Errorf("before each op a was %q, want %q", found, want)
	}
	if f.Count(OpSync) != 1 || f.Count(OpSyncDir) != 1 || f.Count(OpRemove) != 1 {
		t.Error("wrong counts")
	}
}

func TestCrashFromTheHook(t *testing.T) {
	f := New(1)
	h := put(t, f, "a", "x")
	var disk *FS
	f.OnOp(func(op Op) {
		if op.Kind == OpSync {
			disk = f.Crash(Lose)
		}
	})
	write(t, h, "y", 0)
	if err := h.Sync(); !errors.Is(err, ErrCrashed) {
		t.Errorf("the sync in which the power went: %v", err)
	}
	if got := read(t, disk, "a"); got != "x" {
		t.Errorf("found %q", got)
	}
}

// TestSameSeedSameDisks: a failure is worth something if its seed brings it back.
func TestSameSeedSameDisks(t *testing.T) {
	run := func() string {
		f := New(42)
		var found strings.Builder
		for i := range 30 {
			h := put(t, f, fmt.Sprintf("f%d", i), strings.Repeat("o", 3000))
			for range 3 {
				write(t, h, strings.Repeat("n", 2500), 1000)
			}
			_, err := f.Create(fmt.Sprintf("g%d", i))
			must(t, err)
		}
		for range 3 {
			disk := f.CrashClone(Random)
			entries, err := disk.ReadDir("/")
			must(t, err)
			for _, e := range entries {
				found.WriteString(e.Name + read(t, disk, e.Name))
			}
		}
		return found.String()
	}
	if run() != run() {
		t.Error("the same calls with the same seed left other disks")
	}
}

// TestCrashUnderLoad crashes below running goroutines; what each of them had synced must be there.
func TestCrashUnderLoad(t *testing.T) {
	f := New(1)
	const workers = 4
	synced := make([]int, workers) // bytes that worker i knows to be durable
	var wg sync.WaitGroup
	started := make(chan struct{}, workers)
	for i := range workers {
		h := put(t, f, fmt.Sprint(i), "")
		wg.Go(func() {
			chunk := bytes.Repeat([]byte{byte('a' + i)}, 700)
			for n := 0; ; n++ {
				if _, err := h.WriteAt(chunk, int64(synced[i])); err != nil {
					return
				}
				if h.Sync() != nil {
					return
				}
				synced[i] += len(chunk)
				if n == 20 {
					started <- struct{}{}
				}
			}
		})
	}
	for range workers {
		<-started
	}
	disk := f.Crash(Random)
	wg.Wait()
	for i, n := range synced {
		got := read(t, disk, fmt.Sprint(i))
		if want := strings.Repeat(string(rune('a'+i)), n); len(got) < n || got[:n] != want {
			t.Errorf("worker %d: %d bytes were synced, found %d or other ones", i, n, len(got))
		}
	}
}

func TestSpaceCountsWhatIsThere(t *testing.T) {
	f := New(1)
	h := put(t, f, "a", strings.Repeat("x", 10*pageSize))
	must(t, h.Truncate(1<<30))
	write(t, h, strings.Repeat("\x00", pageSize), 20*pageSize) // zeros in a hole stay a hole
	total, free, err := f.Space("/")
	must(t, err)
	if total-free != 10*pageSize {
		t.Errorf("%d bytes used, want %d", total-free, 10*pageSize)
	}
}
