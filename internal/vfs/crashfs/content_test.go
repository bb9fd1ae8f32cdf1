package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"chronik/internal/vfs"
)

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
