package powercut

import (
	"errors"
	"log/slog"
	"path"
	"strings"
	"testing"

	"chronik/internal/vfs/crashfs"
)

// TestPowerCutCatchesLies breaks one rule of durability at a time, under the broker: a kind of sync returns nil and
// does nothing. Each must be caught within a few stories, or TestPowerCut proves nothing.
func TestPowerCutCatchesLies(t *testing.T) {
	const fewStories = 10
	partitions := func(name string) bool { return strings.Contains(name, "wal/partitions/") }
	for _, lie := range []struct {
		name string
		lies func(kind crashfs.Kind, name string) bool
	}{
		{"D2: segments are not synced", func(kind crashfs.Kind, name string) bool {
			return kind == crashfs.OpSync && partitions(name) && path.Ext(name) == ".wal"
		}},
		{"D6: directories of partitions are not synced", func(kind crashfs.Kind, name string) bool {
			return kind == crashfs.OpSyncDir && partitions(name)
		}},
		{"M1: the metadata log is not synced", func(kind crashfs.Kind, name string) bool {
			return kind == crashfs.OpSync && strings.Contains(name, "wal/__meta/") && path.Ext(name) == ".wal"
		}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= fewStories; seed++ {
				if _, errs := story(newPlan(seed), lie.lies, slog.New(slog.DiscardHandler)); len(errs) > 0 {
					t.Logf("caught with seed %d: %.300s", seed, errors.Join(errs...))
					return
				}
			}
			t.Errorf("%d stories did not notice", fewStories)
		})
	}
}
