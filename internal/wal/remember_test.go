package wal

import (
	"bytes"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
)

// crowd is more producers than fit beside a mark.
const crowd = 3 * maxInlineProducers

// TestT1DeletedProducersAreRemembered: a producer's batches may be deleted, its state goes on (T1): a retry
// of what was deleted is a retry, after a crash too. Their state is in a file, which may be missing or old.
func TestT1DeletedProducersAreRemembered(t *testing.T) {
	cases := map[string]struct {
		early int  // producers that write before a first deletion, which still fit beside the mark
		spill bool // upkeep comes by before the deletion
		after int  // batches of one producer, a segment each, after it
	}{
		"no file yet":                  {},
		"a file older than what stays": {spill: true},
		"it grows after a deletion":    {early: 3, after: 5},
		"and segments follow":          {spill: true, after: 5},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e, disk, _, _ := onDisks(t)
			e.cfg.SegmentBytes = 1200
			l, _ := e.open()
			write := func(from, to int) (sent []record.Batch) {
				for id := from; id < to; id++ {
					b := batch(1, 500, int64(id), &record.Producer{ID: model.ProducerID(id)})
					sent = append(sent, bytes.Clone(b))
					must(t, l, b)
				}
				return sent
			}
			deleteAll := func() {
				t.Helper()
				for range 3 { // so that nothing of what was written is left
					must(t, l, batch(1, 1000, 1, nil))
				}
				if _, err := l.DeleteBefore(l.End() - 1); err != nil {
					t.Fatal(err)
				}
			}
			sent := write(0, c.early)
			if c.early > 0 {
				deleteAll()
			}
			sent = append(sent, write(c.early, crowd)...)
			if c.spill {
				l.keepUp()
				l.keepUp()
			}
			if c.early == 0 {
				deleteAll()
			}
			write(crowd, crowd+1)
			for i := range c.after {
				must(t, l, batch(1, 1000, int64(i), &record.Producer{ID: crowd, Sequence: int32(1 + i)}))
			}
			want := l.Producers()
			for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
				again := newEnv(t, disk.CrashClone(m), e.dir)
				again.cfg = e.cfg
				l2, _ := again.open()
				if got := l2.Producers(); len(got) != len(want) {
					t.Errorf("mode %d: %d producers are remembered of %d", m, len(got), len(want))
				}
				for id, b := range sent {
					out, err := try(l2, bytes.Clone(b))
					if err != nil || !out.Duplicate || out.BaseOffset < 0 {
						t.Fatalf("mode %d: producer %d's retry: %+v, %v", m, id, out, err)
					}
				}
				l2.Abandon(nil)
			}
			l.Abandon(nil)
		})
	}
}
