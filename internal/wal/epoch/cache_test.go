package epoch

import (
	"errors"
	"slices"
	"testing"

	"chronik/internal/model"
	"chronik/internal/wal/snapshot"
	"pgregory.net/rapid"
)

func cacheOf(t *testing.T, entries ...Entry) *Cache {
	t.Helper()
	c := &Cache{}
	for _, e := range entries {
		if changed, err := c.Assign(e.Epoch, e.Start); err != nil || !changed {
			t.Fatalf("Assign(%d, %d) = %v, %v", e.Epoch, e.Start, changed, err)
		}
	}
	return c
}

func TestAssign(t *testing.T) {
	c := cacheOf(t, Entry{2, 0}, Entry{5, 10})
	for _, tc := range []struct {
		epoch   model.LeaderEpoch
		start   model.Offset
		changed bool
		err     error
	}{
		{5, 10, false, nil},            // known
		{5, 17, false, nil},            // known: the first start offset stays
		{model.NoEpoch, 3, false, nil}, // a batch without an epoch
		{4, 20, false, ErrBackwards},
		{5, 9, false, ErrBackwards},
		{6, 9, false, ErrBackwards},
		{7, -1, false, ErrBackwards},
		{6, 10, true, nil}, // epoch 5 left no record
		{7, 12, true, nil},
	} {
		changed, err := c.Assign(tc.epoch, tc.start)
		if changed != tc.changed || !errors.Is(err, tc.err) {
			t.Errorf("Assign(%d, %d) = %v, %v; want %v, %v", tc.epoch, tc.start, changed, err, tc.changed, tc.err)
		}
	}
	if want := []Entry{{2, 0}, {6, 10}, {7, 12}}; !slices.Equal(c.Entries(), want) {
		t.Errorf("entries %v, want %v", c.Entries(), want)
	}
}

func TestEndOffset(t *testing.T) {
	c := cacheOf(t, Entry{2, 5}, Entry{4, 10}, Entry{9, 30})
	for _, tc := range []struct {
		ask, epoch model.LeaderEpoch
		end        model.Offset
	}{
		{model.NoEpoch, model.NoEpoch, model.NoOffset},
		{0, 0, 5}, // deleted long ago: begin at our first offset
		{1, 1, 5},
		{2, 2, 10},
		{3, 2, 10}, // KIP-279: the largest epoch below the one asked for
		{4, 4, 30},
		{8, 4, 30},
		{9, 9, 44}, // the latest ends at the log's end
		{10, model.NoEpoch, model.NoOffset},
	} {
		if e, end := c.EndOffset(tc.ask, 44); e != tc.epoch || end != tc.end {
			t.Errorf("EndOffset(%d) = %d, %d; want %d, %d", tc.ask, e, end, tc.epoch, tc.end)
		}
	}
	if e, end := new(Cache).EndOffset(3, 44); e != model.NoEpoch || end != model.NoOffset {
		t.Errorf("empty cache: EndOffset = %d, %d; want none", e, end)
	}
}

func TestTruncate(t *testing.T) {
	fresh := func() *Cache { return cacheOf(t, Entry{2, 5}, Entry{4, 10}, Entry{9, 30}) }
	for _, tc := range []struct {
		name    string
		do      func(*Cache) bool
		changed bool
		want    []Entry
	}{
		{"end above all", func(c *Cache) bool { return c.TruncateFromEnd(31) }, false, []Entry{{2, 5}, {4, 10}, {9, 30}}},
		{"end at an entry", func(c *Cache) bool { return c.TruncateFromEnd(30) }, true, []Entry{{2, 5}, {4, 10}}},
		{"end below all", func(c *Cache) bool { return c.TruncateFromEnd(0) }, true, nil},
		{"start below all", func(c *Cache) bool { return c.TruncateFromStart(4) }, false, []Entry{{2, 5}, {4, 10}, {9, 30}}},
		{"start at the first", func(c *Cache) bool { return c.TruncateFromStart(5) }, false, []Entry{{2, 5}, {4, 10}, {9, 30}}},
		{"start inside", func(c *Cache) bool { return c.TruncateFromStart(12) }, true, []Entry{{4, 12}, {9, 30}}},
		{"start at a later entry", func(c *Cache) bool { return c.TruncateFromStart(10) }, true, []Entry{{4, 10}, {9, 30}}},
		{"start above all", func(c *Cache) bool { return c.TruncateFromStart(50) }, true, []Entry{{9, 50}}},
	} {
		c := fresh()
		if changed := tc.do(c); changed != tc.changed || !slices.Equal(c.Entries(), tc.want) {
			t.Errorf("%s: changed %v, entries %v; want %v, %v", tc.name, changed, c.Entries(), tc.changed, tc.want)
		}
	}
}

// The model is the epoch of every single offset.
func TestCacheAgreesWithTheEpochOfEveryRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Cache
		var log []model.LeaderEpoch // epoch of each offset from 0 on
		start, epoch := 0, model.LeaderEpoch(0)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				epoch += model.LeaderEpoch(rapid.IntRange(0, 2).Draw(t, "bump"))
				if _, err := c.Assign(epoch, model.Offset(len(log))); err != nil {
					t.Fatal(err)
				}
				for range rapid.IntRange(1, 4).Draw(t, "records") {
					log = append(log, epoch)
				}
			},
			"truncate": func(t *rapid.T) {
				end := rapid.IntRange(start, len(log)).Draw(t, "end")
				c.TruncateFromEnd(model.Offset(end))
				log = log[:end]
			},
			"delete": func(t *rapid.T) {
				start = rapid.IntRange(start, len(log)).Draw(t, "start")
				c.TruncateFromStart(model.Offset(start))
			},
			"reload": func(t *rapid.T) {
				got, end, err := LoadSnapshot(c.AppendSnapshot(nil, model.Offset(len(log))))
				if err != nil || end != model.Offset(len(log)) || !slices.Equal(got.Entries(), c.Entries()) {
					t.Fatalf("reloaded %v up to %d, %v; want %v", got.Entries(), end, err, c.Entries())
				}
				c = got
			},
			"": func(t *rapid.T) { agree(t, &c, log, start) },
		})
	})
}

func agree(t *rapid.T, c *Cache, log []model.LeaderEpoch, start int) {
	for off := start; off < len(log); off++ {
		if got := c.At(model.Offset(off)); got != log[off] {
			t.Fatalf("At(%d) = %d, want %d; entries %v", off, got, log[off], c.Entries())
		}
	}
	for ask := model.LeaderEpoch(0); start < len(log) && ask <= log[len(log)-1]; ask++ {
		want, end := ask, start // below all that are left
		for off := start; off < len(log) && log[off] <= ask; off++ {
			want, end = log[off], off+1
		}
		if e, got := c.EndOffset(ask, model.Offset(len(log))); e != want || got != model.Offset(end) {
			t.Fatalf("EndOffset(%d) = %d, %d; want %d, %d; entries %v", ask, e, got, want, end, c.Entries())
		}
	}
}

func TestLoadSnapshotRefusesEntriesOutOfOrder(t *testing.T) {
	for name, c := range map[string]Cache{
		"epochs":         {entries: []Entry{{4, 1}, {3, 2}}},
		"starts":         {entries: []Entry{{3, 2}, {4, 2}}},
		"negative epoch": {entries: []Entry{{-1, 2}}},
		"beyond the end": {entries: []Entry{{3, 10}}},
	} {
		if _, _, err := LoadSnapshot(c.AppendSnapshot(nil, 9)); !errors.Is(err, snapshot.ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

// Whatever the bytes are, they load to a cache that writes them again, or not at all.
func FuzzLoadSnapshot(f *testing.F) {
	f.Add((&Cache{}).AppendSnapshot(nil, 0)[snapshot.HeaderBytes:])
	f.Add((&Cache{entries: []Entry{{1, 0}, {3, 9}}}).AppendSnapshot(nil, 12)[snapshot.HeaderBytes:])
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = LoadSnapshot(body)
		file := kind.Seal(append(kind.Begin(nil), body...), 0)
		c, end, err := LoadSnapshot(file)
		if err == nil && !slices.Equal(c.AppendSnapshot(nil, end), file) {
			t.Fatalf("%x loads to %v and is written as something else", body, c.entries)
		}
	})
}
