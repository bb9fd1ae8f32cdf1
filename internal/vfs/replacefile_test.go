package vfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// Contents of several pages, so that a crash can mix them.
var (
	oldContent = strings.Repeat("old.", 3000)
	newContent = strings.Repeat("new!", 4000)
)

const replaced = "/d/file"

// before makes a disk on which the name is free, or durably taken.
func before(t *testing.T, seed uint64, taken bool) *crashfs.FS {
	t.Helper()
	disk := crashfs.New(seed)
	must(t, disk.MkdirAll("/d"))
	if taken {
		f, err := disk.Create(replaced)
		must(t, err)
		_, err = f.WriteAt([]byte(oldContent), 0)
		must(t, errors.Join(err, f.Sync(), f.Close(), disk.SyncDir("/d")))
	}
	return disk
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// content names what is in the file.
func content(t *testing.T, fsys vfs.FS) string {
	t.Helper()
	data, err := vfs.ReadFile(fsys, replaced)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "none"
	case err != nil:
		t.Fatal(err)
	case string(data) == oldContent:
		return "old"
	case string(data) == newContent:
		return "new"
	}
	return fmt.Sprintf("a mix of %d bytes", len(data))
}

// TestReplaceFileAtEveryCrash cuts the power before every call, and after the last one: there is the old content or the new one, and once
// ReplaceFile has returned, only the new. What the crash has left does not stand in the way of the next attempt.
func TestReplaceFileAtEveryCrash(t *testing.T) {
	for _, taken := range []bool{false, true} {
		was := map[bool]string{false: "none", true: "old"}[taken]
		seen := make(map[string]bool)
		for seed := range uint64(50) {
			disk := before(t, seed, taken)
			check := func(when string, disk *crashfs.FS, may ...string) {
				got := content(t, disk)
				seen[got] = true
				if !slices.Contains(may, got) {
					t.Errorf("seed %d, cut %s: the file has %s, want %v (D6)", seed, when, got, may)
				}
				must(t, vfs.ReplaceFile(disk, replaced, []byte(newContent)))
				if again := content(t, disk.Crash(crashfs.Lose)); again != "new" {
					t.Errorf("seed %d, cut %s: after the next attempt the file has %s", seed, when, again)
				}
			}
			disk.OnOp(func(op crashfs.Op) {
				for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random, crashfs.Random} {
					check("before "+op.String(), disk.CrashClone(m), was, "new")
				}
			})
			must(t, vfs.ReplaceFile(disk, replaced, []byte(newContent)))
			disk.OnOp(nil)
			for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
				check("afterwards", disk.CrashClone(m), "new")
			}
		}
		if !seen[was] || !seen["new"] {
			t.Errorf("the crashes left only %v", seen)
		}
	}
}

// TestReplaceFileAtEveryFault fails one call after the other: it is told, the content is the old one or the new one, the space of the
// attempt is given back, and the next attempt works.
func TestReplaceFileAtEveryFault(t *testing.T) {
	for _, taken := range []bool{false, true} {
		was := map[bool]string{false: "none", true: "old"}[taken]
		calls := 0
		for ; ; calls++ {
			inner := before(t, 1, taken)
			disk := faultfs.New(inner)
			fault := disk.Inject(faultfs.Rule{Ops: faultfs.OpAny, Skip: calls, Times: 1, Partial: 100, Err: syscall.EIO})
			err := vfs.ReplaceFile(disk, replaced, []byte(newContent))
			if fault.Hits() == 0 {
				must(t, err)
				break
			}
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("call %d failed, and the error is %v (D4)", calls, err)
			}
			for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep} {
				if got := content(t, inner.CrashClone(m)); got != was && got != "new" {
					t.Errorf("call %d failed: the file has %s", calls, got)
				}
			}
			if _, err := inner.Stat(replaced + vfs.TempSuffix); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("call %d failed: something is left of the attempt (%v)", calls, err)
			}
			must(t, vfs.ReplaceFile(disk, replaced, []byte(newContent)))
			if got := content(t, inner.Crash(crashfs.Lose)); got != "new" {
				t.Errorf("call %d failed: after the next attempt the file has %s", calls, got)
			}
		}
		if calls < 7 { // remove, create, write, sync, close, rename, syncdir
			t.Errorf("only %d calls were made", calls)
		}
	}
}
