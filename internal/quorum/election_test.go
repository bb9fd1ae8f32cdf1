package quorum

import (
	"slices"
	"testing"
	"time"

	"chronik/internal/vfs/crashfs"
)

// electionRuns is how many seeds the times are taken over.
const electionRuns = 200

// quietWorld is a cluster of three that works, and in which nothing fails.
func quietWorld(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed, 3)
	w.load()
	w.grow()
	if w.failed == nil && !w.settled() {
		w.fail("the configuration is never settled")
	}
	w.run(w.between(time.Second, 2*time.Second), nil) // heartbeats and ticks are anywhere
	return w
}

// elections is how many terms there were.
func (w *world) elections() int { return len(w.terms) }

// TestElectionTime: when the leader's machine is gone without a word, another one leads, and may decide, within 1.2 s in 95 of 100 cases.
func TestElectionTime(t *testing.T) {
	var times []time.Duration
	rounds := 0
	for seed := range uint64(electionRuns) {
		w := quietWorld(t, seed)
		old := w.controller()
		if old == nil {
			t.Fatalf("seed %d: nobody leads", seed)
		}
		began, before := w.now, w.elections()
		old.power(crashfs.Lose)
		if !w.run(10*time.Second, func() bool { return w.controller() != nil }) || w.failed != nil {
			t.Fatalf("seed %d: nobody leads after 10 s, or %v", seed, w.failed)
		}
		took := w.now.Sub(began)
		who, silence, known := w.controller().member.Predecessor()
		if !known || who != old.self || silence > took+4*TickInterval || silence < electionTicks*TickInterval {
			t.Errorf("seed %d: %v later the one before is %v, silent for %v", seed, took, who, silence)
		}
		times = append(times, took)
		rounds += w.elections() - before
	}
	slices.Sort(times)
	at := func(percent int) time.Duration { return times[(len(times)-1)*percent/100].Round(time.Millisecond) }
	t.Logf("50 %%: %v, 90 %%: %v, 95 %%: %v, 99 %%: %v, slowest: %v; %d elections in %d runs", at(50), at(90), at(95), at(99), at(100), rounds, len(times))
	if at(95) > 1200*time.Millisecond {
		t.Error("that is too slow")
	}
}

// TestStallsElectNobody: a process that stands still for 300 ms, leader or not, is not voted out.
func TestStallsElectNobody(t *testing.T) {
	stalls := 0
	for seed := range uint64(25) {
		w := quietWorld(t, seed)
		before := w.elections()
		for i := range 12 {
			s := w.nodes[i%3]
			s.paused = true
			w.run(300*time.Millisecond, nil)
			s.paused = false
			w.run(w.between(200*time.Millisecond, time.Second), nil)
			stalls++
		}
		if w.failed != nil {
			t.Fatal(w.failed)
		}
		if n := w.elections() - before; n > 0 {
			t.Errorf("seed %d: %d elections", seed, n)
		}
	}
	t.Logf("%d stalls", stalls)
}
