package runtime

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestWaitCommits: on a quiet broker the caller of Wait has its answer when Wait returns, and nobody else was needed for it.
func TestWaitCommits(t *testing.T) {
	inRig(t, 1, func(g *rig) {
		for n := range model.Offset(3) {
			p := g.addAndWait("a")
			select {
			case a := <-p:
				if a.err != nil || a.n != n+1 {
					t.Errorf("answered %d, %v; want %d", a.n, a.err, n+1)
				}
			default:
				t.Error("no answer: somebody else commits")
			}
		}
	})
}

// hangs has all syncs wait until the test lets them go on.
func hangs(disk *faultfs.FS) (goOn func()) {
	held := make(chan struct{})
	f := disk.Inject(faultfs.Rule{Ops: faultfs.OpSync, Before: func(faultfs.Call) { <-held }})
	return func() {
		f.Stop()
		close(held)
	}
}

// inSlow is inRig with a disk whose syncs can be made to hang.
func inSlow(t *testing.T, test func(g *rig, disk *faultfs.FS)) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New(crashfs.New(1))
		g := openRig(t, disk, 1)
		defer g.close()
		g.Start(g.image)
		synctest.Wait()
		test(g, disk)
	})
}

// TestWaitIsAnsweredInTime: the disk holds up a caller of Wait. It is answered nevertheless, and holds up nobody.
func TestWaitIsAnsweredInTime(t *testing.T) {
	inSlow(t, func(g *rig, disk *faultfs.FS) {
		goOn := hangs(disk)
		waited := make(pending, 2)
		var caller sync.WaitGroup
		caller.Go(func() {
			g.Wait("a", func(m *tally, _ time.Time) shard.Result { return m.add("a", waited.done) }, func(err error) { waited.done(0, err) })
			if len(waited) != 0 {
				t.Errorf("answered again: %v", <-waited)
			}
		})
		synctest.Wait()
		time.Sleep(time.Second)
		other := g.add("a")
		waited.waits(t)
		time.Sleep(g.limits.Patience - time.Second)
		waited.is(t, 0, shard.ErrTimedOut)
		other.waits(t)
		goOn()
		other.is(t, 2, nil)
		caller.Wait()
	})
}

// TestWaitLeavesTheCommit: a caller that finds more to decide does not keep the others waiting for its commit, nor is it kept.
func TestWaitLeavesTheCommit(t *testing.T) {
	inSlow(t, func(g *rig, disk *faultfs.FS) {
		goOn := hangs(disk)
		var other pending
		waited := make(pending, 2)
		g.Wait("a", func(m *tally, _ time.Time) shard.Result {
			other = g.add("a") // as somebody else would who comes now
			return m.add("a", waited.done)
		}, func(err error) { waited.done(0, err) })
		waited.waits(t)
		other.waits(t)
		goOn()
		waited.is(t, 1, nil)
		other.is(t, 2, nil)
	})
}

// TestCrew: batches of many partitions are settled at once, by no more goroutines than there may be, and none is left.
func TestCrew(t *testing.T) {
	const partitions = 20
	inRig(t, partitions, func(g *rig) {
		g.crew.size = 2
		names := make([]string, partitions)
		answers := make([]pending, partitions)
		for n := range int32(partitions) {
			names[n] = keyOf(n, partitions)
			g.faults(n).change(func() { g.faults(n).hold = true })
		}
		for n := range names {
			answers[n] = g.add(names[n])
			answers[n].waits(t)
		}
		var all sync.WaitGroup
		for n := range int32(partitions) {
			all.Go(g.faults(n).release)
		}
		all.Wait()
		for n := range names {
			answers[n].is(t, 1, nil)
		}
		if c := &g.crew; c.busy != 0 || len(c.due) != 0 {
			t.Errorf("%d are at work, %d seats are due", c.busy, len(c.due))
		}
	})
}
