package replica

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestALaggardIsReadForInLargePieces: what a follower lacks is read a mebibyte at a time, as far as its credit goes, and meanwhile nobody
// waits for it: a slow disk holds up no acknowledgement of those that are in sync.
func TestALaggardIsReadForInLargePieces(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		leader, lag := g.brokers[1], g.brokers[3]
		lag.isolate(true)
		g.fence(3)
		settle()
		const batches, size = 80, 100 << 10
		for range batches {
			leader.put(built(t, 1, size))
		}
		var reads, large, most atomic.Int64
		leader.files.Inject(faultfs.Rule{Ops: faultfs.OpRead, Before: func(c faultfs.Call) {
			if c.Len < size {
				return // headers, and what the index has read
			}
			reads.Add(1)
			if c.Len > 1<<20-2*size {
				large.Add(1)
			}
			most.Store(max(most.Load(), c.Len))
			time.Sleep(50 * time.Millisecond)
		}})
		lag.isolate(false)
		for g.brokers[3].logEnd() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		began := time.Now()
		leader.acked()
		if took := time.Since(began); took > 10*time.Millisecond {
			t.Errorf("an acknowledgement took %v beside a follower that is read for", took)
		}
		if lag.logEnd() == batches+1 {
			t.Error("the follower had caught up already: this shows nothing")
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		g.agree(batches + 1)
		if n := large.Load(); n < batches*size>>20/2 || most.Load() > 1<<20 {
			t.Errorf("%d MiB were read in %d pieces, %d of them of about a mebibyte; the largest has %d bytes", batches*size>>20, reads.Load(), n, most.Load())
		}
	})
}

// TestANewFollowerBeginsInsideOfABatch: records were deleted up to an offset inside of a batch, and a follower comes back with an empty disk. It takes
// the batch whole, and its log begins where the leader's does.
func TestANewFollowerBeginsInsideOfABatch(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		for range 5 {
			g.brokers[1].acked()
		}
		g.brokers[1].put(built(t, 4, 1)) // 5 to 8
		for range 3 {
			g.brokers[1].acked()
		}
		settle()
		g.brokers[3].crash(crashfs.Lose)
		g.fence(3)
		const start model.Offset = 7
		if low, err := g.brokers[1].Get(t0).DeleteBefore(start); err != nil || low != start {
			t.Fatalf("deleting before %d: the log starts at %d, %v", start, low, err)
		}
		g.brokers[3].disk = crashfs.New(33)
		g.brokers[3].start()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		g.agree(12)
		for _, b := range g.all() {
			if l, err := b.Get(t0).Log(); err != nil || l.Start() != start {
				t.Errorf("the log of broker %d starts at %d, want %d: %v", b.id, l.Start(), start, err)
			}
		}
	})
}
