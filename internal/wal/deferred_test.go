package wal

import (
	"testing"
	"testing/synctest"

	"chronik/internal/vfs/crashfs"
)

// TestDeferredCommit: what is left to the caller is durable when the caller, or the committer in its place, has committed it, and not before; what comes
// meanwhile goes with it or after it.
func TestDeferredCommit(t *testing.T) {
	for _, leave := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e := newEnv(t, crashfs.New(1), "/data/t-0")
			l, _ := e.open()
			first, second := newWaiter(), newWaiter()
			out, err := l.Append(Append{Batch: batch(1, 100, 0, nil), Waiter: first, Deferred: true})
			if err != nil || !out.Commit.Due() {
				t.Fatalf("the log is idle, and nothing is left to the caller: %+v, %v", out, err)
			}
			if more, err := l.Append(Append{Batch: batch(1, 100, 1, nil), Waiter: second, Deferred: true}); err != nil || more.Commit.Due() {
				t.Errorf("a second commit is left to a caller: %+v, %v", more, err)
			}
			if synctest.Wait(); len(first.ch) != 0 || l.DurableEnd() != 0 {
				t.Errorf("durable up to %d before the commit", l.DurableEnd())
			}
			if leave {
				out.Commit.Leave()
				synctest.Wait()
			} else {
				out.Commit.Make()
			}
			for _, w := range []waiter{first, second} {
				select {
				case err := <-w.ch:
					if err != nil {
						t.Error(err)
					}
				default:
					t.Errorf("leave: %t: not told", leave)
				}
			}
			if l.DurableEnd() != 2 {
				t.Errorf("durable up to %d, want 2", l.DurableEnd())
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			e.com.Close()
		})
	}
}
