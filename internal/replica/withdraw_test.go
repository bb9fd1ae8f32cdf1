package replica

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/record"
	"chronik/internal/vfs/faultfs"
)

// TestR6Withdraw: a leader that has withdrawn sends everybody elsewhere, also who waits already and who comes in a later epoch. It goes on in its epoch.
func TestR6Withdraw(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		b := g.brokers[1]
		b.acked()
		r := b.Get(t0)
		gate := make(chan struct{})
		b.files.Inject(faultfs.Rule{Ops: faultfs.OpSync, Times: 1, Before: func(faultfs.Call) { <-gate }})
		var waits []outcome
		for _, acks := range []int16{1, -1} {
			w := make(outcome, 1)
			if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: acks, Waiter: w}); err != nil {
				t.Fatal(err)
			}
			waits = append(waits, w)
		}
		b.Withdraw(true)
		for i, w := range waits {
			if err := w.result(t); !errors.Is(err, ErrNotLeader) {
				t.Errorf("waiter %d was told %v, want ErrNotLeader", i, err)
			}
		}
		refused := func(what string) {
			t.Helper()
			if _, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: 1}); !errors.Is(err, ErrNotLeader) {
				t.Errorf("%s: an append: %v, want ErrNotLeader", what, err)
			}
			if _, err := r.Read(ReadRequest{MaxBytes: 1 << 20, LeaderEpoch: -1, LastEpoch: -1}); !errors.Is(err, ErrNotLeader) {
				t.Errorf("%s: a read: %v, want ErrNotLeader", what, err)
			}
		}
		refused("withdrawn")
		close(gate)
		settle()
		b.Withdraw(false)
		b.acked()
		settle()
		g.agree(4) // what was appended before is there
		b.Withdraw(true)
		g.elect(1)
		synctest.Wait()
		refused("in another epoch")
		b.Withdraw(false)
		time.Sleep(time.Second)
		b.acked()
	})
}
