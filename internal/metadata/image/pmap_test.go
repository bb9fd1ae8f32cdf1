package image

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// TestPmapIsPersistent compares edits with a plain map, and checks that every earlier version stays what it was.
func TestPmapIsPersistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			m    *pmap[uint16, int]
			want map[uint16]int
		}
		key := rapid.Uint16Range(0, 600)
		versions := []version{{newPmap[uint16, int](func(k uint16) uint8 { return uint8(k) }), map[uint16]int{}}}
		for n := range rapid.IntRange(1, 8).Draw(t, "edits") {
			last := versions[len(versions)-1]
			e, want := last.m.edit(), maps.Clone(last.want)
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				k := key.Draw(t, "key")
				if rapid.Bool().Draw(t, "set") {
					e.set(k, n)
					want[k] = n
				} else {
					e.remove(k)
					delete(want, k)
				}
				if got, ok := e.get(k); got != want[k] || ok != hasKey(want, k) {
					t.Fatalf("in the edit: key %d is %d, %v", k, got, ok)
				}
			}
			versions = append(versions, version{e.done(), want})
		}
		for i, v := range versions {
			if got := maps.Collect(v.m.all()); !maps.Equal(got, v.want) || v.m.len != len(v.want) {
				t.Fatalf("version %d: %v, want %v", i, got, v.want)
			}
			k := key.Draw(t, "key")
			if got, ok := v.m.get(k); got != v.want[k] || ok != hasKey(v.want, k) {
				t.Fatalf("version %d: key %d is %d, %v", i, k, got, ok)
			}
		}
	})
}

func hasKey(m map[uint16]int, k uint16) bool {
	_, ok := m[k]
	return ok
}
