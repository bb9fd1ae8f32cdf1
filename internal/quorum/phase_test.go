package quorum

import (
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestSlowDiskAtAnyTick: a leader whose disk stands still hands over, whenever that begins (R8).
func TestSlowDiskAtAnyTick(t *testing.T) {
	for phase := range electionTicks {
		synctest.Test(t, func(t *testing.T) {
			w := newWires(t)
			disk := faultfs.New(crashfs.New(1))
			nodes := []*box{w.box(1, disk).open(true), w.box(2, nil).open(false), w.box(3, nil).open(false)}
			w.admit(nodes[0], nodes[1:]...)
			time.Sleep(time.Duration(phase) * TickInterval)
			slow := disk.Inject(faultfs.Rule{Ops: faultfs.OpSync, Before: func(faultfs.Call) { time.Sleep(30 * time.Second) }}) // virtual
			started := time.Now()
			_ = nodes[0].set("a")
			l := w.leader(nodes[1:]...)
			if err := l.set("b"); err != nil {
				t.Error(err)
			}
			if d := time.Since(started); d > 4*time.Second {
				t.Errorf("%d ticks later: decisions waited %v", phase, d)
			}
			slow.Stop()
			w.agree(nodes...)
			for _, n := range nodes {
				n.close()
			}
		})
	}
}
