package replica

import (
	"errors"
	"sync"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
)

// TestMoveUnderLoad: producers that retry what is refused, each with sequence numbers, find every record once and in order while the replica
// goes to and fro.
func TestMoveUnderLoad(t *testing.T) {
	const producers, moves = 4, 12
	disk := crashfs.New(1)
	g := onDirs(t, disk, nil, "/a", "/b")
	g.Ensure(assign(t0, 1, 0))
	r := g.Get(t0)
	put(t, r)
	var running sync.WaitGroup
	stop := make(chan struct{})
	sent := make([]int32, producers)
	for p := range producers {
		running.Go(func() {
			for seq := int32(0); ; {
				select {
				case <-stop:
					sent[p] = seq
					return
				default:
				}
				w := make(outcome, 1)
				b := batch(t, record.Options{Producer: &record.Producer{ID: model.ProducerID(p), Sequence: seq}}, now)
				_, err := r.Append(Append{Batch: b, Acks: 1, Waiter: w})
				if err == nil {
					err = w.result(t)
				}
				switch {
				case err == nil:
					seq++
				case !errors.Is(err, wal.ErrClosed):
					t.Errorf("producer %d: %v", p, err)
					sent[p] = seq
					return
				}
			}
		})
	}
	for i := range moves {
		to := []string{"/b", "/a"}[i%2]
		if err := g.Move(t0, to); err != nil {
			t.Error(err)
			break
		}
		settleMove(r)
		if r.Dir() != to {
			t.Errorf("move %d: it lies in %s\n%s", i, r.Dir(), g.log)
		}
	}
	close(stop)
	running.Wait()
	l, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[model.ProducerID]int32) // a producer may have had no turn in all that time: the log does not know it then
	for _, info := range l.Producers() {
		found[info.Producer] = info.LastSeq + 1
	}
	total := model.Offset(1)
	for p, n := range sent {
		if has := found[model.ProducerID(p)]; has != n {
			t.Errorf("producer %d: the log holds %d batches, %d were acknowledged", p, has, n)
		}
		total += model.Offset(n)
	}
	if l.End() != total {
		t.Errorf("the log ends at %d, want %d", l.End(), total)
	}
}
