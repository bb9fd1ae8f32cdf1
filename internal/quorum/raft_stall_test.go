package quorum

import (
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// freeze has a replica's process stand still, as SIGSTOP does: what is sent to it waits.
func (b *box) freeze(d time.Duration) {
	b.w.t.Helper()
	if err := b.do(b.w.t.Context(), func() { time.Sleep(d) }); err != nil { // virtual
		b.w.t.Error(err)
	}
}

// TestStoppedProcess: nobody is elected because a follower stands still for 2 s, again and again. When it is the leader, another one is
// elected, once, and the old one follows.
func TestStoppedProcess(t *testing.T) {
	three(t, func(t *testing.T, w *wires, nodes []*box) {
		_, _, term, _ := nodes[0].Leader()
		for i := range 10 {
			nodes[1+i%2].freeze(2 * time.Second)
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			if err := nodes[0].set("a"); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, now, active := nodes[0].Leader(); now != term || !active {
			t.Errorf("the term went from %d to %d because followers stood still", term, now)
		}
		nodes[0].freeze(2 * time.Second)
		time.Sleep(time.Second)
		l := w.leader(nodes...)
		if err := l.set("b"); err != nil {
			t.Error(err)
		}
		if _, _, now, _ := l.Leader(); l == nodes[0] || now > term+1 {
			t.Errorf("node %d leads in term %d, it was %d before the leader stood still", l.self.Node, now, term)
		}
		w.agree(nodes...)
	})
}

// TestSlowFollowersDisk: a follower whose disk stands still for 30 s answers heartbeats and asks nobody for a vote (R8).
func TestSlowFollowersDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWires(t)
		disk := faultfs.New(crashfs.New(2))
		nodes := []*box{w.box(1, nil).open(true), w.box(2, disk).open(false), w.box(3, nil).open(false)}
		w.admit(nodes[0], nodes[1:]...)
		_, _, term, _ := nodes[0].Leader()
		slow := disk.Inject(faultfs.Rule{Ops: faultfs.OpSync, Before: func(faultfs.Call) { time.Sleep(30 * time.Second) }}) // virtual
		for began := time.Now(); time.Since(began) < 30*time.Second; {
			at := time.Now()
			if err := nodes[0].set("a"); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(at); d > 100*time.Millisecond {
				t.Errorf("a decision took %v", d)
			}
			time.Sleep(500 * time.Millisecond)
		}
		slow.Stop()
		w.agree(nodes...)
		if _, _, now, active := nodes[0].Leader(); now != term || !active {
			t.Errorf("the term went from %d to %d", term, now)
		}
		for _, n := range nodes {
			n.close()
		}
	})
}
