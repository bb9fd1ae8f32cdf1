package quorum

import (
	"testing"
	"time"

	"chronik/internal/vfs/crashfs"
)

// settled waits until the quorum's configuration can lose what it is made to lose: a minority of its voters, for good.
func (w *world) settled() bool {
	return w.run(20*time.Second, func() bool {
		l := w.controller()
		return l != nil && l.member.Status().Settled
	})
}

// loseOne cuts the power of all nodes, and one of them never comes back: the majority that does must elect a controller, which
// decides.
func (w *world) loseOne() {
	lost := w.nodes[w.rng.IntN(len(w.nodes))]
	w.tracef("n%d is lost", lost.self.Node)
	for _, s := range w.nodes {
		if s.member != nil {
			s.power(crashfs.Lose)
		}
	}
	for _, s := range w.nodes {
		if s != lost {
			w.in(w.between(0, time.Second), s.up)
		}
	}
	before := w.acked
	if !w.run(20*time.Second, func() bool { return w.acked > before }) {
		w.fail("node %d is lost, and the others have elected nobody", lost.self.Node)
	}
}

// lastPromotion takes three nodes into a quorum, over a bad network, and loses one as soon as it is said that this may be.
func lastPromotion(t *testing.T, seed uint64, broken Broken) *world {
	w := newWorld(t, seed, 3)
	w.broken = broken
	w.lossy = seed%2 == 1
	w.grow()
	if w.failed == nil && !w.settled() {
		w.fail("the configuration is never settled")
	}
	if w.failed != nil {
		return w
	}
	w.load()
	w.loseOne()
	return w
}

// TestPromotionOutlastsARestart: once it is said that a node votes, any one of three may be lost for good while all of
// them restart. The configuration takes effect when it is applied, and a commit index alone is not saved; without
// more, those who are left would come back with the voters of before, and have no majority of these.
func TestPromotionOutlastsARestart(t *testing.T) {
	for seed := range uint64(300) {
		if w := lastPromotion(t, seed, Broken{}); w.failed != nil {
			t.Fatal(w.failed)
		}
	}
}

// TestPromotionFindsBrokenRules: a test that finds nothing shows nothing.
func TestPromotionFindsBrokenRules(t *testing.T) {
	for name, broken := range map[string]Broken{
		"a change that is applied before its commit is saved": {ForgetCommit: true},
		"a change that counts as done when it is applied":     {SettleEarly: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(1000) {
				if w := lastPromotion(t, seed, broken); w.failed != nil {
					t.Log(w.failed)
					return
				}
			}
			t.Error("1000 seeds found nothing")
		})
	}
}
