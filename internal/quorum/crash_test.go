package quorum

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"chronik/internal/metadata/image"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// disk is one that a power loss at some call may have left, and what was known then.
type disk struct {
	fs    *crashfs.FS
	acked uint64 // index of the newest answered proposal
	call  string
}

// TestCrashAtEveryCall cuts the power before each call that changes the disk, during proposals, snapshots, trims and
// the reserve's coming and going, three ways each. The log must reopen with every answered entry (M1), at an image
// that the first run had at that index (M2), and go on.
func TestCrashAtEveryCall(t *testing.T) {
	seeds := uint64(20)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		inner := crashfs.New(seed)
		f := faultfs.New(inner)
		var acked atomic.Uint64
		var mu sync.Mutex // the committer's goroutines write, too
		var disks []disk
		f.Inject(faultfs.Rule{
			Ops: faultfs.OpWrite | faultfs.OpSync | faultfs.OpSyncDir | faultfs.OpRename | faultfs.OpRemove | faultfs.OpTruncate | faultfs.OpCreate,
			Before: func(c faultfs.Call) {
				mu.Lock()
				defer mu.Unlock()
				before := acked.Load()
				mode := crashfs.Mode(len(disks) % 3)
				disks = append(disks, disk{fs: inner.CrashClone(mode), acked: before, call: c.Name})
			},
		})
		known := map[uint64][]byte{0: snapshotOf(t, image.New("c"))}
		run := func(entries int) {
			q := open(t, f, 4)
			for range entries {
				im := must(t, q, grow)
				known[im.Index()] = snapshotOf(t, im)
				acked.Store(im.Index())
			}
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
		}
		run(6)
		run(5)
		mu.Lock()
		taken := disks
		mu.Unlock()
		if len(taken) < 50 {
			t.Fatalf("seed %d: only %d moments to crash at", seed, len(taken))
		}
		for _, d := range taken {
			checkDisk(t, seed, d, known)
		}
	}
}

func checkDisk(t *testing.T, seed uint64, d disk, known map[uint64][]byte) {
	t.Helper()
	q, err := tryOpen(t, d.fs, "c", 4)
	if err != nil {
		t.Fatalf("seed %d, before a call on %s, %d acknowledged: %v", seed, d.call, d.acked, err)
	}
	q.Follow(func(*image.Image, *image.Delta) {})
	im := q.Images().Load()
	if im.Index() < d.acked || !bytes.Equal(snapshotOf(t, im), known[im.Index()]) {
		t.Fatalf("seed %d, before a call on %s: index %d after a crash, %d acknowledged, or not the image of that index", seed, d.call, im.Index(), d.acked)
	}
	next := must(t, q, grow)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q, err = tryOpen(t, d.fs, "c", 4)
	if err != nil {
		t.Fatal(err)
	}
	same(t, next, q.Images().Load())
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}
