package blackout

import (
	"path"
	"strings"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// TestBlackoutCatchesLies breaks one rule of durability at a time, under all nodes: syncs of one kind of file return nil and do nothing. Each
// must be caught within a few stories, or TestBlackout proves nothing.
func TestBlackoutCatchesLies(t *testing.T) {
	const fewStories = 10
	for _, lie := range []struct {
		name string
		lies func(name string) bool
	}{
		{"D2: segments are not synced", func(name string) bool {
			return strings.Contains(name, "wal/partitions/") && path.Ext(name) == ".wal"
		}},
		{"M1: the metadata log is not synced", func(name string) bool {
			return strings.Contains(name, "wal/__meta/") && path.Ext(name) == ".wal"
		}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= fewStories; seed++ {
				o := tell(t, newPlan(seed), func(_ int, disk *crashfs.FS) vfs.FS { return liar{disk, lie.lies} })
				if wrong := o.wrongs(); wrong != "" {
					t.Logf("caught with seed %d: %.300s", seed, wrong)
					return
				}
			}
			t.Errorf("%d stories did not notice", fewStories)
		})
	}
}

// liar is a disk some of whose files are never synced.
type liar struct {
	vfs.FS
	lies func(name string) bool
}

// Create implements vfs.FS.
func (l liar) Create(name string) (vfs.File, error) { return l.file(name)(l.FS.Create(name)) }

// Open implements vfs.FS.
func (l liar) Open(name string) (vfs.File, error) { return l.file(name)(l.FS.Open(name)) }

func (l liar) file(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err == nil && l.lies(name) {
			f = unsynced{f}
		}
		return f, err
	}
}

// unsynced is a file whose syncs do nothing.
type unsynced struct{ vfs.File }

// Sync implements vfs.File.
func (unsynced) Sync() error { return nil }
