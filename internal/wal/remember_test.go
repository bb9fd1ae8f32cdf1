package wal

import (
	"bytes"
	"slices"
	"syscall"
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

// TestT1TheStartPassesTheActiveSegment: a deletion up to the log's end leaves the active segment, and of its producers
// nothing has to be in a file. When it is rolled it lies below the start: recovery must not drop what only it knows.
func TestT1TheStartPassesTheActiveSegment(t *testing.T) {
	early := map[string]int{"the mark holds those that came early": 5, "a file knows those that came early": maxInlineProducers + 5}
	for name, early := range early {
		t.Run(name, func(t *testing.T) {
			e, disk, _, _ := onDisks(t)
			e.cfg.SegmentBytes = 30_000
			l, _ := e.open()
			var sent []record.Batch
			write := func(to int) {
				for id := len(sent); id < to; id++ {
					b := batch(1, 500, 1, &record.Producer{ID: model.ProducerID(id)})
					sent = append(sent, bytes.Clone(b))
					must(t, l, b)
				}
			}
			must(t, l, batch(1, 29_000, 1, nil)) // a segment of its own: recovery cannot walk from offset 0
			write(early)
			l.keepUp()
			l.keepUp()
			write(maxInlineProducers + 10)
			if _, err := l.DeleteBefore(l.End()); err != nil {
				t.Fatal(err)
			}
			must(t, l, batch(1, 29_000, 1, nil))
			for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
				again := newEnv(t, disk.CrashClone(m), e.dir)
				again.cfg = e.cfg
				l2, _ := again.open()
				for id, b := range sent {
					if out, err := try(l2, bytes.Clone(b)); err != nil || !out.Duplicate || out.BaseOffset != model.Offset(1+id) {
						t.Fatalf("mode %d: producer %d's retry: %+v, %v", m, id, out, err)
					}
				}
				if _, err := l2.DeleteBefore(l2.End()); err != nil || len(l2.core.segs) != 1 {
					t.Errorf("mode %d: deleting again: %v, %d segments are left", m, err, len(l2.core.segs))
				}
				l2.Abandon(nil)
			}
			l.Abandon(nil)
		})
	}
}

// TestT2AbortedAreRemembered: more aborted transactions than fit beside a mark, and producers that are known further
// than the file of transactions: what was deleted is gone, the rest is named after a crash as before it.
func TestT2AbortedAreRemembered(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 4000
	l, _ := e.open()
	data := func(id model.ProducerID, seq int32) {
		mustInTransaction(t, l, record.Producer{ID: id, Sequence: seq}, 1, nil, []byte("a record of a transaction"))
	}
	abort := func(id model.ProducerID) {
		must(t, l, record.EndTxn(record.Marker{Type: record.Abort, Producer: id, TimestampMs: 1}))
	}
	const open, busy, deleted = 1, 2, 3
	data(deleted, 0)
	for n := range int32(2 * maxInlineTxns) {
		if n == 10 {
			data(open, 0)
		}
		data(busy, n)
		abort(busy)
		if n == maxInlineTxns {
			l.keepUp()
			l.keepUp()
		}
	}
	check := func(l, want *Log, when string) {
		t.Helper()
		got := l.AbortedIn(l.Start(), l.End())
		if w := want.AbortedIn(want.Start(), want.End()); !slices.EqualFunc(got, w, func(a, b AbortedTxn) bool {
			return a.Producer == b.Producer && a.LastOffset == b.LastOffset && a.FirstOffset >= b.FirstOffset
		}) {
			t.Errorf("%s: aborted are\n%v, want\n%v", when, got, w)
		}
		if got, want := l.LastStable(l.DurableEnd()), want.LastStable(want.DurableEnd()); got != want {
			t.Errorf("%s: last stable offset %d, want %d", when, got, want)
		}
		for i := 1; i < len(got); i++ {
			if got[i].LastStable < got[i-1].LastStable {
				t.Errorf("%s: %v after %v", when, got[i], got[i-1])
			}
		}
	}
	crash := func(when string) {
		for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
			again := newEnv(t, disk.CrashClone(m), e.dir)
			again.cfg = e.cfg
			l2, _ := again.open()
			check(l2, l, when)
			l2.Abandon(nil)
		}
	}
	crash("before the deletion")
	if _, err := l.DeleteBefore(l.End() / 2); err != nil {
		t.Fatal(err)
	}
	crash("after the deletion")
	abort(open)
	crash("with the open one aborted")
	abort(deleted)
	crash("with one aborted of which nothing is left")
	l.Abandon(nil)
}

// TestE3AFullDiskIsEmptied: deleting helps a full disk also where producers must be remembered in a file first.
func TestE3AFullDiskIsEmptied(t *testing.T) {
	e, _, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 20_000
	l, _ := e.open()
	for id := range model.ProducerID(crowd) {
		must(t, l, batch(1, 500, 1, &record.Producer{ID: id}))
	}
	l.keepUp()
	l.keepUp()
	for range 50 {
		must(t, l, batch(1, 1000, 1, nil))
	}
	faults.LimitSpace(0, syscall.ENOSPC)
	if _, err := l.DeleteBefore(l.End() - 1); err != nil {
		t.Errorf("deleting on a full disk: %v", err)
	}
	if n := len(l.Producers()); n != crowd {
		t.Errorf("%d producers are remembered of %d", n, crowd)
	}
	faults.UnlimitSpace()
	l.Abandon(nil)
	l, _ = e.open()
	if n := len(l.Producers()); n != crowd {
		t.Errorf("reopened: %d producers are remembered of %d", n, crowd)
	}
	l.Abandon(nil)
}
