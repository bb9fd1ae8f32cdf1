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

// TestSectorsTear wants each of the outcomes that a test of recovery depends on, and no other: sectors on their own,
// never less than a sector.
func TestSectorsTear(t *testing.T) {
	const sectors = 6
	old, current := strings.Repeat("o", sectors*vfs.SectorSize), strings.Repeat("n", sectors*vfs.SectorSize)
	seen := make(map[string]int)
	for seed := range uint64(600) {
		f := New(seed)
		h := put(t, f, "a", old)
		write(t, h, current, 0)
		got := read(t, f.CrashClone(Random), "a")
		var shape strings.Builder
		for s := range slices.Chunk([]byte(got), vfs.SectorSize) {
			if len(s) != vfs.SectorSize || !bytes.Equal(s, bytes.Repeat(s[:1], vfs.SectorSize)) {
				t.Fatalf("seed %d: a sector came out torn", seed)
			}
			shape.WriteByte(s[0])
		}
		seen[shape.String()]++
	}
	for _, want := range []string{"oooooo", "nnnnnn", "nnnooo", "ooooon", "nnnnno", "onnnnn"} {
		if seen[want] == 0 {
			t.Errorf("600 crashes never left %s: %v", want, seen)
		}
	}
}

// TestIntermediateVersions: a sector written twice may be found as it was between.
func TestIntermediateVersions(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(200) {
		f := New(seed)
		h := put(t, f, "a", "1")
		write(t, h, "2", 0)
		write(t, h, "3", 0)
		seen[read(t, f.CrashClone(Random), "a")] = true
	}
	if len(seen) != 3 || !seen["1"] || !seen["2"] || !seen["3"] {
		t.Errorf("found %v, want each of 1, 2, 3", seen)
	}
}

// TestLengths: the length is independent of the bytes, so a file may be found longer than what arrived of it.
func TestLengths(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(400) {
		f := New(seed)
		h := put(t, f, "a", "s")
		write(t, h, "x", 1)
		write(t, h, "y", 2)
		seen[fmt.Sprintf("%q", read(t, f.CrashClone(Random), "a"))] = true
	}
	for _, want := range []string{`"s"`, `"s\x00"`, `"sx"`, `"s\x00\x00"`, `"sx\x00"`, `"sxy"`} {
		if !seen[want] {
			t.Errorf("never found %s: %v", want, seen)
		}
	}
	if len(seen) != 6 {
		t.Errorf("found also what cannot be: %v", seen)
	}
}

// TestTruncateMayComeBack: cut bytes are gone for sure only after a sync (L3).
func TestTruncateMayComeBack(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(200) {
		f := New(seed)
		h := put(t, f, "a", "stale")
		must(t, h.Truncate(1))
		must(t, h.Truncate(5))
		seen[read(t, f.CrashClone(Random), "a")] = true
		must(t, h.Sync())
		for _, m := range []Mode{Lose, Keep, Random} {
			if got := read(t, f.CrashClone(m), "a"); got != "s\x00\x00\x00\x00" {
				t.Fatalf("found %q after the truncation was synced", got)
			}
		}
	}
	for _, want := range []string{"stale", "s", "s\x00\x00\x00\x00"} {
		if !seen[want] {
			t.Errorf("never found %q", want)
		}
	}
}

// TestFailedSyncIsFinal: after a sync that failed the next one reports success for bytes that are not there (D3).
func TestFailedSyncIsFinal(t *testing.T) {
	f := New(1)
	h := put(t, f, "a", "old")
	write(t, h, "new, longer", 0)
	h.(*file).SyncFailed()
	must(t, h.Sync())
	if got := read(t, f.CrashClone(Lose), "a"); got != "old" {
		t.Errorf("found %q: the second sync made durable what the first had dropped", got)
	}
	write(t, h, "NEW", 0)
	must(t, h.Sync())
	if got := read(t, f.CrashClone(Lose), "a"); got != "NEW" {
		t.Errorf("found %q: bytes written again are dirty again, the length still is not", got)
	}
	write(t, h, "!", 11)
	must(t, h.Sync())
	if got := read(t, f.CrashClone(Lose), "a"); got != "NEW, longer!" {
		t.Errorf("found %q", got)
	}
}

func TestTornClone(t *testing.T) {
	f := New(1)
	base := strings.Repeat("b", pageSize+10)
	h := put(t, f, "a", base)
	tail := strings.Repeat("t", 2*pageSize)
	_, err := h.WriteVAt([][]byte{[]byte(tail[:100]), []byte(tail[100:])}, pageSize-20)
	must(t, err)
	off, n, err := f.LastWrite("a")
	must(t, err)
	if off != pageSize-20 || n != 2*pageSize {
		t.Fatalf("last write %d+%d", off, n)
	}
	for keep := int64(0); keep <= n; keep += 13 {
		disk, err := f.TornClone("a", keep)
		must(t, err)
		want := base[:off] + tail[:keep]
		if len(want) < len(base) {
			want += base[len(want):]
		}
		if got := read(t, disk, "a"); got != want {
			t.Fatalf("%d bytes kept: got %d bytes, want %d, or other content", keep, len(got), len(want))
		}
	}
	if _, err := f.TornClone("a", n+1); err == nil {
		t.Error("kept more than was written")
	}
	if _, err := f.TornClone("b", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestBitFlip(t *testing.T) {
	f := New(1)
	h := put(t, f, "a", "abc")
	write(t, h, "d", 3)
	must(t, f.BitFlip("a", 1, 0))
	for _, disk := range []*FS{f, f.CrashClone(Lose), f.CrashClone(Keep)} {
		if got := read(t, disk, "a"); got[:3] != "acc" {
			t.Errorf("found %q, want the flipped bit", got)
		}
	}
	if err := f.BitFlip("a", 4, 0); err == nil {
		t.Error("flipped a bit past the end")
	}
	if err := f.BitFlip("a", 0, 8); err == nil {
		t.Error("flipped the ninth bit of a byte")
	}
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

// BenchmarkAppendSync is the load of a log: a record, a sync.
func BenchmarkAppendSync(b *testing.B) {
	f := New(1)
	h, err := f.Create("a")
	if err != nil {
		b.Fatal(err)
	}
	p := bytes.Repeat([]byte("r"), 300)
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		if _, err := h.WriteAt(p, off%(64<<20)); err != nil {
			b.Fatal(err)
		}
		if err := h.Sync(); err != nil {
			b.Fatal(err)
		}
		off += int64(len(p))
	}
}

// BenchmarkCrashClone takes disks of 16 MiB with a torn tail of 1 MiB.
func BenchmarkCrashClone(b *testing.B) {
	f := New(1)
	h, err := f.Create("a")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := h.WriteAt(bytes.Repeat([]byte("r"), 16<<20), 0); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(h.Sync(), f.SyncDir("/")); err != nil {
		b.Fatal(err)
	}
	if _, err := h.WriteAt(bytes.Repeat([]byte("t"), 1<<20), 16<<20); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.CrashClone(Random)
	}
}
