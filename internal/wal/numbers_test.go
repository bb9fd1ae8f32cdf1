package wal

import (
	"testing"

	"chronik/internal/vfs/crashfs"
)

// TestSegmentNumbersAreNotUsedAgain: a truncation removes segments; their numbers are not given to others, not
// after a crash either. What remembers a file by its number must never mean another one.
func TestSegmentNumbersAreNotUsedAgain(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 2000
	l, _ := e.open()
	all := fill(t, l, 30)
	used := l.core.active().number
	if err := l.Truncate(all[3].BaseOffset()); err != nil {
		t.Fatal(err)
	}
	left := l.core.active().number
	if left >= used {
		t.Fatalf("segment %d is left of %d", left, used)
	}
	grow := func(l *Log) int64 {
		for from := l.core.active().number; l.core.active().number == from; {
			must(t, l, batch(1, 500, 1, nil))
		}
		return l.core.active().number
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
		again := newEnv(t, disk.CrashClone(m), e.dir)
		again.cfg = e.cfg
		l2, rec := again.open()
		if l2.End() != l.End() || rec.Corruption != nil {
			t.Errorf("mode %d: %+v, want the end %d", m, rec, l.End())
		}
		if n := grow(l2); n <= used {
			t.Errorf("mode %d: segment %d follows, %d was used", m, n, used)
		}
		l2.Abandon(nil)
	}
	must(t, l, batch(1, 10, 1, nil))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = e.open()
	if n := grow(l); n != used+1 {
		t.Errorf("segment %d follows, want %d", n, used+1)
	}
	l.Abandon(nil)
}
