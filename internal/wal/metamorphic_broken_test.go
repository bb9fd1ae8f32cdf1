package wal_test

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// bugs are ways to break the log on purpose. A log that forgets to sync looks to its disk like a disk that
// does not do it: so most are lies of the disk, and the code under test needs no switch.
var bugs = []struct {
	name  string
	plant func(*harness)
}{
	{"D2 acknowledged before the sync", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool {
			return op == crashfs.OpSync && isSegment(name) && !h.opening
		}
	}},
	{"D3 a failed sync is ignored", func(h *harness) { h.deaf = true }},
	{"D6 new names are not synced", func(h *harness) {
		h.pretend = func(op crashfs.Kind, _ string, _ int64) bool { return op == crashfs.OpSyncDir }
	}},
	{"L1 recovery syncs nothing", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool {
			return op == crashfs.OpSync && isSegment(name) && h.opening
		}
	}},
	{"L1 recovery does not write again what an earlier process wrote", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool {
			return op == crashfs.OpWrite && isSegment(name) && h.opening
		}
	}},
	{"L3 what is cut off stays in the file", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool { return op == crashfs.OpTruncate && isSegment(name) }
	}},
	{"L6 the index keeps what was cut off", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool { return op == crashfs.OpTruncate && !isSegment(name) }
	}},
	{"D2 acknowledged before the journal's sync", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool { return op == crashfs.OpSync && isJournal(name) }
	}},
	{"L1 the journal is not replayed", func(h *harness) { h.forgets = true }},
	{"L1 the journal is overwritten before its segments are synced", func(h *harness) {
		h.hasty = true
	}},
	{"L3 the journal holds what was cut off", func(h *harness) {
		h.stale = true
	}},
	{"L2 the mark that was found is taken for durable", func(h *harness) { h.trusts = true }},
	{"T1 a deletion leaves no floor", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool {
			return op == crashfs.OpRename && strings.HasPrefix(path.Base(name), "producer_snapshot_")
		}
	}},
	{"L1 compaction does not sync what it has written", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool { return op == crashfs.OpSync && isCleaned(name) }
	}},
	{"D6 compaction removes segments before the new one's name is durable", func(h *harness) {
		h.pretend = func(op crashfs.Kind, _ string, _ int64) bool {
			return op == crashfs.OpSyncDir && h.round != nil && !h.opening
		}
	}},
	{"L6 compaction forgets to rename", func(h *harness) {
		h.pretend = func(op crashfs.Kind, name string, _ int64) bool { return op == crashfs.OpRename && isCleaned(name) }
	}},
	{"T2 compaction takes what is open for committed", func(h *harness) { h.greedy = true }},
	{"T1 a retry is answered before its original is durable", func(h *harness) { h.early = true }},
}

func isJournal(name string) bool { return path.Dir(name) == testRoot+"/journal" }

// isCleaned tells the temporary file of a round of compaction.
func isCleaned(name string) bool { return isSegment(name) && strings.HasSuffix(name, vfs.TempSuffix) }

func isSegment(name string) bool { return strings.HasPrefix(path.Base(name), "segment_") }

// TestMetamorphicFindsBugs: a test that finds nothing proves nothing. Each bug must be found, and soon.
func TestMetamorphicFindsBugs(t *testing.T) {
	const most = 2000
	for _, bug := range bugs {
		t.Run(strings.ReplaceAll(bug.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= most; seed++ {
				if found := caught(t, seed, bug.plant); found != "" {
					t.Logf("seed %d: %s", seed, found)
					return
				}
			}
			t.Errorf("%d seeds found nothing", most)
		})
	}
}

// caught makes a run with a bug, and returns what was wrong with it.
func caught(t *testing.T, seed uint64, plant func(*harness)) string {
	r := &recorder{}
	bubble(t, func(*testing.T) {
		defer func() {
			if e := recover(); e != nil && r.found == "" {
				panic(e) // not what Fatalf does, nor what follows from a failure
			}
		}()
		h := newHarness(r, seed)
		plant(h)
		h.run()
	})
	return r.found
}

// recorder keeps the first failure to itself.
type recorder struct{ found string }

func (r *recorder) Helper()      {}
func (r *recorder) Log(...any)   {}
func (r *recorder) Failed() bool { return r.found != "" }

func (r *recorder) Errorf(format string, args ...any) {
	if r.found == "" {
		r.found = fmt.Sprintf(format, args...)
	}
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}
