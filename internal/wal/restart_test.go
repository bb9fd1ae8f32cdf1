package wal

import (
	"errors"
	"testing"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal/producer"
)

// TestRestart: the log is empty at the offset, wherever that lies, goes on from there, and a crash at any time finds the old log or the new one.
func TestRestart(t *testing.T) {
	for _, at := range []model.Offset{0, 3, 6, 1000} {
		e, disk, _, _ := onDisks(t)
		l, _ := e.open()
		for range 6 {
			must(t, l, batch(1, 10, 1, nil))
		}
		if err := l.Restart(at); err != nil {
			t.Fatal(err)
		}
		check := func(l *Log, end model.Offset) {
			t.Helper()
			if l.Start() != at || l.End() != end || l.DurableEnd() != end {
				t.Errorf("restarted at %d, the log is %d to %d, durable to %d; want the end at %d", at, l.Start(), l.End(), l.DurableEnd(), end)
			}
		}
		check(l, at)
		reopened := func() *Log {
			com := NewCommitter(CommitterOptions{FS: disk})
			t.Cleanup(com.Close)
			after, rec := (&env{t: t, fs: disk.CrashClone(crashfs.Lose), com: com, dir: e.dir, id: e.id, cfg: e.cfg}).open()
			if rec.Corruption != nil {
				t.Fatal(rec.Corruption)
			}
			t.Cleanup(func() { after.Abandon(nil) })
			return after
		}
		check(reopened(), at)
		b := batch(2, 100, int64(at), nil)
		b.SetBaseOffset(at)
		b.SetLeaderEpoch(9)
		w := newWaiter()
		if _, err := l.Append(Append{Batch: b, Waiter: w, Origin: producer.Replication, ExpectEnd: at}); err != nil || <-w.ch != nil {
			t.Fatal(err)
		}
		check(l, at+2)
		check(reopened(), at+2)
		l.Abandon(nil)
	}
}

// TestRestartOfNothing: a log that was never written begins where it is told to.
func TestRestartOfNothing(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	defer l.Abandon(nil)
	if err := l.Restart(7); err != nil || l.Start() != 7 || l.End() != 7 {
		t.Errorf("the log is %d to %d: %v; want it empty at 7", l.Start(), l.End(), err)
	}
}

// TestExpectEnd: an append whose caller has not heard that others before it were undone is refused, and changes nothing.
func TestExpectEnd(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	defer l.Abandon(nil)
	must(t, l, batch(1, 10, 1, nil))
	end := l.End()
	for expect, want := range map[model.Offset]error{0: nil, end: nil, end + 5: ErrUndone} {
		b := batch(1, 10, 1, nil)
		w := newWaiter()
		_, err := l.Append(Append{Batch: b, Epoch: l.epochForTest(), Waiter: w, ExpectEnd: expect})
		if !errors.Is(err, want) {
			t.Errorf("expecting the end at %d: %v, want %v", expect, err, want)
		}
		if err == nil {
			<-w.ch
		}
	}
}

// TestEpochEndAfterLeading: a log that was led once, and has followed others since, does not take its old epoch for the newest.
func TestEpochEndAfterLeading(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	defer l.Abandon(nil)
	if err := l.BeginEpoch(5); err != nil {
		t.Fatal(err)
	}
	for i, epoch := range []model.LeaderEpoch{5, 6} {
		b := batch(1, 10, 1, nil)
		b.SetBaseOffset(model.Offset(i))
		b.SetLeaderEpoch(epoch)
		if _, err := l.Append(Append{Batch: b, Origin: producer.Replication}); err != nil {
			t.Fatal(err)
		}
	}
	if epoch, end := l.EpochEnd(5); epoch != 5 || end != 1 {
		t.Errorf("epoch 5 ends as %d at %d, want 5 at 1", epoch, end)
	}
}
