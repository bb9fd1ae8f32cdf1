package wal

import (
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestL2OneMarkIsAlwaysDurable: whatever mark the power cuts off, the other slot holds one that is durable (L2), also when the
// newest was left in the page cache by a process that died or whose sync failed (D3), or by relaxed flushing.
func TestL2OneMarkIsAlwaysDurable(t *testing.T) {
	cases := map[string]struct {
		relaxed bool
		leave   func(*env, *faultfs.FS, *Log) *Log // leaves a mark unsynced, and returns the log, perhaps opened anew
		next    func(testing.TB, *Log)             // writes the next mark
	}{
		"a clean stop whose sync fails, and an append": {leave: func(e *env, faults *faultfs.FS, l *Log) *Log {
			failNextSync(faults)
			_ = l.Close()
			return openAgain(e)
		}, next: appendNext},
		"a clean stop whose sync fails, and a deletion": {leave: func(e *env, faults *faultfs.FS, l *Log) *Log {
			failNextSync(faults)
			_ = l.Close()
			return openAgain(e)
		}, next: deleteOne},
		"a mark of its own whose sync fails": {leave: func(e *env, faults *faultfs.FS, l *Log) *Log {
			failNextSync(faults)
			l.keepUp()
			l.keepUp()
			l.Abandon(nil)
			return openAgain(e)
		}, next: deleteOne},
		"relaxed flushing": {relaxed: true, leave: func(e *env, _ *faultfs.FS, l *Log) *Log {
			l.mu.Lock()
			l.core.marks.pending = l.core.capture() // all is synced
			l.mu.Unlock()
			appendNext(e.t, l)
			return l
		}, next: deleteOne},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e, disk, faults, _ := onDisks(t)
			l, _ := e.open()
			for range 3 {
				appendNext(t, l)
				l.keepUp()
				l.keepUp()
			}
			appendNext(t, l)
			if c.relaxed {
				e.cfg.FlushMessages = 100
				l.Configure(e.cfg)
			}
			end := l.End()
			l = c.leave(e, faults, l)
			cuts := 0
			disk.OnOp(func(op crashfs.Op) { // on the committer's goroutine
				for range 100 {
					if op.Kind != crashfs.OpSync || t.Failed() {
						return
					}
					cuts++
					checkCut(t, e, disk.CrashClone(crashfs.Random), end)
				}
			})
			c.next(t, l)
			disk.OnOp(nil)
			if cuts == 0 {
				t.Error("nothing was synced")
			}
			l.Abandon(nil)
		})
	}
}

// checkCut opens the log on a disk that a power cut has left. It must hold all below end.
func checkCut(t *testing.T, e *env, disk *crashfs.FS, end model.Offset) {
	again := newEnv(t, disk, e.dir)
	again.cfg = e.cfg
	l, rec, err := again.tryOpen()
	if err != nil {
		t.Error(err)
		return
	}
	if rec.Corruption != nil || rec.End < end {
		t.Errorf("%d were synced: %+v", end, rec)
	}
	l.Abandon(nil)
}

func failNextSync(faults *faultfs.FS) {
	faults.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Err: syscall.EIO})
}

func openAgain(e *env) *Log {
	l, _ := e.open()
	return l
}

func appendNext(t testing.TB, l *Log) {
	must(t, l, batch(1, 100, 1, &record.Producer{ID: 1, Sequence: int32(l.End())}))
}

func deleteOne(t testing.TB, l *Log) {
	if _, err := l.DeleteBefore(l.Start() + 1); err != nil {
		t.Fatal(err)
	}
}
