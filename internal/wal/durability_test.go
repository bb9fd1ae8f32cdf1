package wal

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// segmentFiles matches calls on segment files.
var segmentFiles = faultfs.Base("segment_*.wal")

// onDisks makes a log over a disk that both fails and loses power.
func onDisks(t testing.TB) (*env, *crashfs.FS, *faultfs.FS, *watcher) {
	disk := crashfs.New(1)
	if err := disk.MkdirAll("d"); err != nil {
		t.Fatal(err)
	}
	faults := faultfs.New(disk)
	e := newEnv(t, faults, "d/t-7")
	w := &watcher{}
	e.obs = w
	return e, disk, faults, w
}

// survives opens a disk and returns what its log holds.
func survives(t testing.TB, disk vfs.FS, cfg Config) (data []byte, rec Recovery) {
	t.Helper()
	com := NewCommitter(CommitterOptions{FS: disk, Workers: 1})
	defer com.Close()
	e := &env{t: t, fs: disk, com: com, dir: "d/t-7", id: model.TopicID{1, 2, 3}, cfg: cfg}
	l, rec := e.open()
	defer l.Abandon(nil)
	return contents(t, l), rec
}

// TestD1OneRule: the durable end is the synced end, or the written end where flushing is relaxed.
func TestD1OneRule(t *testing.T) {
	for _, relaxed := range []bool{false, true} {
		t.Run(fmt.Sprintf("relaxed=%t", relaxed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, disk, faults, _ := onDisks(t)
				if relaxed {
					e.cfg.FlushMessages = 5
				}
				l, _ := e.open()
				must(t, l, batch(1, 100, 1, nil))
				if relaxed {
					time.Sleep(2500 * time.Millisecond) // the first one is synced by the tick; none is due now
				}
				hold := make(chan struct{})
				faults.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: segmentFiles, Before: func(faultfs.Call) { <-hold }})
				w := newWaiter()
				if _, err := l.Append(Append{Batch: batch(2, 100, 2, nil), Waiter: w}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				want := model.Offset(1)
				if relaxed {
					want = 3
				}
				if got := l.DurableEnd(); got != want || (len(w.ch) == 1) != relaxed {
					t.Errorf("durable end %d, want %d; %d completions before the sync", got, want, len(w.ch))
				}
				r, err := l.Read(0, l.End(), 1<<20, true)
				if err != nil || r.Next() != want {
					t.Fatalf("a reader sees up to %d, want %d: %v", r.Next(), want, err)
				}
				r.Release()
				if _, rec := survives(t, disk.CrashClone(crashfs.Lose), e.cfg); rec.End != 1 {
					t.Errorf("%d records are on disk, want 1", rec.End)
				}
				close(hold)
				if relaxed {
					must(t, l, batch(3, 100, 3, nil)) // the fifth record since the sync
					synctest.Wait()
				}
				synctest.Wait()
				if _, rec := survives(t, disk.CrashClone(crashfs.Lose), e.cfg); rec.End != l.End() {
					t.Errorf("%d records are on disk, want %d", rec.End, l.End())
				}
				l.Abandon(nil)
				e.com.Close()
			})
		})
	}
}

// ackCheck looks at the moment of its completion whether its batch would survive a power cut.
type ackCheck struct {
	t    *testing.T
	disk *crashfs.FS
	cfg  Config
	end  model.Offset
	done chan error
}

func (a *ackCheck) Done(err error) {
	if err == nil {
		if _, rec := survives(a.t, a.disk.CrashClone(crashfs.Lose), a.cfg); rec.End < a.end {
			a.t.Errorf("acknowledged up to %d, on disk up to %d", a.end, rec.End)
		}
	}
	a.done <- err
}

// TestD2AckedIsOnDisk: at the moment of every acknowledgement, in groups, with rolls, a power cut that
// takes all that was not synced leaves the batch.
func TestD2AckedIsOnDisk(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 5000
	l, _ := e.open()
	for round := range 10 {
		done := make(chan error, 8)
		for i := range 8 {
			b := batch(1+i%3, 300, int64(round), nil)
			a := &ackCheck{t: t, disk: disk, cfg: e.cfg, end: l.End() + model.Offset(1+i%3), done: done}
			if _, err := l.Append(Append{Batch: b, Waiter: a}); err != nil {
				t.Fatal(err)
			}
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestD3SyncFailureIsFinal: whatever fails but the space for a write, the log takes nothing more, never
// syncs again, tells its waiters and its observer, and goes on serving what was durable before.
func TestD3SyncFailureIsFinal(t *testing.T) {
	cases := map[string]faultfs.Rule{
		"sync":               {Ops: faultfs.OpSync, Err: syscall.EIO},
		"full disk in sync":  {Ops: faultfs.OpSync, Err: syscall.ENOSPC},
		"write":              {Ops: faultfs.OpWrite, Err: syscall.EIO},
		"half a write":       {Ops: faultfs.OpWrite, Err: syscall.EIO, Partial: 50},
		"cut after ENOSPC":   {Ops: faultfs.OpTruncate, Err: syscall.EIO},
		"no file descriptor": {Ops: faultfs.OpOpen, Err: syscall.EMFILE},
	}
	for name, rule := range cases {
		t.Run(name, func(t *testing.T) {
			e, disk, faults, seen := onDisks(t)
			l, _ := e.open()
			must(t, l, batch(2, 100, 1, nil))
			want := contents(t, l)
			if rule.Ops == faultfs.OpTruncate {
				faults.Inject(faultfs.Rule{Ops: faultfs.OpWrite, Match: segmentFiles, Times: 1, Err: syscall.ENOSPC, Partial: 30})
			}
			if rule.Ops == faultfs.OpOpen {
				l.takeTurn() // the committer has let go of the file
				l.endTurn()
				e.com.files.closeAll()
			}
			rule.Match, rule.Times = segmentFiles, 1
			fault := faults.Inject(rule)
			_, err := try(l, batch(3, 100, 2, nil))
			if !errors.Is(err, ErrFenced) || !errors.Is(err, rule.Err) {
				t.Fatalf("got %v, want ErrFenced with %v", err, rule.Err)
			}
			if fault.Hits() != 1 {
				t.Fatalf("the fault was hit %d times", fault.Hits())
			}
			syncs := disk.Count(crashfs.OpSync)
			if _, err := try(l, batch(3, 100, 2, nil)); !errors.Is(err, ErrFenced) {
				t.Errorf("the next append: %v, want ErrFenced", err)
			}
			if got := contents(t, l); !bytes.Equal(got, want) || l.DurableEnd() != 2 {
				t.Errorf("%d bytes are readable up to %d, want %d up to 2", len(got), l.DurableEnd(), len(want))
			}
			if err := l.Truncate(1); !errors.Is(err, ErrFenced) {
				t.Errorf("truncate: %v, want ErrFenced", err)
			}
			if err := l.Close(); !errors.Is(err, ErrFenced) {
				t.Errorf("close: %v, want ErrFenced", err)
			}
			if n := disk.Count(crashfs.OpSync); n != syncs {
				t.Errorf("%d syncs after the failure", n-syncs)
			}
			seen.mu.Lock()
			defer seen.mu.Unlock()
			if !errors.Is(seen.fenced, ErrFenced) {
				t.Errorf("the observer was told %v", seen.fenced)
			}
		})
	}
}

// TestD3ZeroerFailureIsFinal: the zeros' own sync is a sync of the same file.
func TestD3ZeroerFailureIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, faults, seen := onDisks(t)
		l, _ := e.open()
		zero := faults.Inject(faultfs.Rule{
			Ops: faultfs.OpWrite, Err: syscall.EIO,
			Match: func(c faultfs.Call) bool { return segmentFiles(c) && c.Len >= minAhead },
		})
		var err error
		for i := 0; err == nil && i < 100; i++ {
			_, err = try(l, batch(1, 50, 1, nil))
			synctest.Wait()
		}
		if !errors.Is(err, ErrFenced) || zero.Hits() != 1 || !errors.Is(seen.fenced, ErrFenced) {
			t.Errorf("got %v after %d hits; the observer was told %v", err, zero.Hits(), seen.fenced)
		}
		l.Abandon(nil)
		e.com.Close()
	})
}

// TestD3ZeroerFailureReachesTheGroupInFlight: a commit whose own sync went well is not acknowledged if the
// sync of zeros in the same file has failed meanwhile.
func TestD3ZeroerFailureReachesTheGroupInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, faults, _ := onDisks(t)
		l, _ := e.open()
		hold := make(chan struct{})
		var commits *faultfs.Fault
		faults.Inject(faultfs.Rule{
			Ops: faultfs.OpWrite, Err: syscall.EIO,
			Match: func(c faultfs.Call) bool { return segmentFiles(c) && c.Len >= minAhead },
			Before: func(faultfs.Call) {
				<-hold
			},
		})
		for l.space.job == nil {
			must(t, l, batch(1, 50, 1, nil))
			synctest.Wait()
		}
		release := make(chan struct{})
		commits = faults.Inject(faultfs.Rule{Ops: faultfs.OpSync, Match: segmentFiles, Before: func(faultfs.Call) { <-release }})
		l.mu.Lock()
		l.space.frontier += 4096 // so that the next group does not wait for the zeroer
		l.mu.Unlock()
		w := newWaiter()
		if _, err := l.Append(Append{Batch: batch(1, 50, 1, nil), Waiter: w}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if commits.Hits() != 1 {
			t.Fatalf("%d syncs are under way, want 1", commits.Hits())
		}
		close(hold)
		synctest.Wait()
		close(release)
		if err := <-w.ch; !errors.Is(err, ErrFenced) {
			t.Errorf("got %v, want ErrFenced", err)
		}
		l.Abandon(nil)
		e.com.Close()
	})
}

// TestD3ZeroerFailureReachesChanges: what is done to a log's files after the zeroer has failed does not count either, even if nobody has
// had the time to fence the log.
func TestD3ZeroerFailureReachesChanges(t *testing.T) {
	for name, change := range map[string]func(*Log) error{
		"a deletion":   func(l *Log) error { _, err := l.DeleteBefore(l.End()); return err },
		"a truncation": func(l *Log) error { return l.Truncate(l.Start()) },
		"a restart":    func(l *Log) error { return l.Restart(5) },
		"a clean stop": (*Log).Close,
	} {
		synctest.Test(t, func(t *testing.T) {
			e, _, faults, _ := onDisks(t)
			l, _ := e.open()
			hold := make(chan struct{})
			faults.Inject(faultfs.Rule{
				Ops: faultfs.OpWrite, Err: syscall.EIO,
				Match:  func(c faultfs.Call) bool { return segmentFiles(c) && c.Len >= minAhead },
				Before: func(faultfs.Call) { <-hold },
			})
			for l.space.job == nil {
				must(t, l, batch(1, 50, 1, nil))
				synctest.Wait()
			}
			l.takeTurn() // else the zeroer fences the log itself
			close(hold)
			synctest.Wait()
			l.endTurn()
			if l.Failure() != nil {
				t.Fatal("somebody has fenced it: the test tests nothing")
			}
			if err := change(l); err == nil || !errors.Is(l.Failure(), ErrFenced) {
				t.Errorf("%s: %v", name, err)
			}
			l.Abandon(nil)
			e.com.Close()
		})
	}
}

// TestD4NoErrorBecomesSuccess: whichever single call fails, nothing is acknowledged that is not on disk,
// and every accepted append is told exactly once.
func TestD4NoErrorBecomesSuccess(t *testing.T) {
	for n := 0; ; n++ {
		e, disk, faults, _ := onDisks(t)
		e.cfg.SegmentBytes = 2000
		fault := faults.Inject(faultfs.Rule{
			Ops:  faultfs.OpWrite | faultfs.OpSync | faultfs.OpSyncDir | faultfs.OpCreate | faultfs.OpTruncate | faultfs.OpOpen | faultfs.OpMkdir,
			Skip: n, Times: 1, Err: syscall.EIO, Partial: 20,
		})
		l, _, err := e.tryOpen()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.BeginEpoch(0); err != nil {
			t.Fatal(err)
		}
		acked := model.Offset(0)
		for i := range 12 {
			w := newWaiter()
			out, err := l.Append(Append{Batch: batch(2, 400, int64(i), nil), Waiter: w})
			if err != nil {
				continue
			}
			if err := <-w.ch; err == nil {
				acked = out.LastOffset + 1
			}
		}
		_ = l.Close()
		if _, rec := survives(t, disk.CrashClone(crashfs.Lose), e.cfg); rec.End < acked {
			t.Errorf("call %d fails: acknowledged up to %d, on disk up to %d", n, acked, rec.End)
		}
		e.com.Close()
		if fault.Hits() == 0 {
			t.Logf("%d calls failed in turn", n)
			return
		}
	}
}

// ordered checks that completions come in offset order.
type ordered struct {
	t    *testing.T
	all  *sync.WaitGroup
	mu   *sync.Mutex
	last *model.Offset
	off  model.Offset
	set  chan struct{}
}

func (o *ordered) Done(err error) {
	<-o.set
	o.mu.Lock()
	if err != nil || o.off <= *o.last {
		o.t.Errorf("offset %d completed after %d: %v", o.off, *o.last, err)
	}
	*o.last = o.off
	o.mu.Unlock()
	o.all.Done()
}

// TestD5OrderedAppend: with many appenders, offsets are without gaps, the disk's order is the offsets'
// order, and so is that of the completions.
func TestD5OrderedAppend(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 20_000
	l, _ := e.open()
	var all, appenders sync.WaitGroup
	var mu sync.Mutex
	last := model.NoOffset
	for g := range 8 {
		appenders.Go(func() {
			for i := range 50 {
				all.Add(1)
				o := &ordered{t: t, all: &all, mu: &mu, last: &last, set: make(chan struct{})}
				out, err := l.Append(Append{Batch: batch(1+i%2, 80, int64(g), nil), Waiter: o})
				if err != nil {
					t.Error(err)
					return
				}
				o.off = out.BaseOffset
				close(o.set)
			}
		})
	}
	appenders.Wait()
	all.Wait()
	if l.DurableEnd() != 8*75 {
		t.Errorf("durable end %d, want %d", l.DurableEnd(), 8*75)
	}
	next := model.Offset(0)
	for rest := contents(t, l); len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		if b.BaseOffset() != next {
			t.Fatalf("offset %d follows %d", b.BaseOffset(), next-1)
		}
		next = b.LastOffset() + 1
	}
	if _, err := l.Append(Append{Batch: batch(1, 10, 1, nil), Epoch: 1}); !errors.Is(err, ErrEpoch) {
		t.Errorf("append in another epoch: %v, want ErrEpoch", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestD6DirectoryEntriesCount: nothing is acknowledged from a segment whose directory entry is not synced,
// and a directory that cannot be synced fences the log.
func TestD6DirectoryEntriesCount(t *testing.T) {
	e, disk, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 1000
	l, _ := e.open()
	must(t, l, batch(1, 600, 1, nil))
	if _, rec := survives(t, disk.CrashClone(crashfs.Lose), e.cfg); rec.End != 1 {
		t.Errorf("%d records on disk after the first append, want 1", rec.End)
	}
	fault := faults.Inject(faultfs.Rule{Ops: faultfs.OpSyncDir, Times: 1, Err: syscall.EIO})
	if _, err := try(l, batch(1, 600, 2, nil)); !errors.Is(err, ErrFenced) || fault.Hits() != 1 {
		t.Errorf("append into a segment whose entry is not durable: %v, %d hits", err, fault.Hits())
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep} {
		if _, rec := survives(t, disk.CrashClone(m), e.cfg); rec.End < 1 || rec.Corruption != nil {
			t.Errorf("after the failure: %+v", rec)
		}
	}
	l.Abandon(nil)
}
