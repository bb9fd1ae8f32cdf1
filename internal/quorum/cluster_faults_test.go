package quorum

import (
	"errors"
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"chronik/internal/vfs/crashfs"
)

// faults lets things go wrong for a while.
func (w *world) faults(d time.Duration) {
	w.lossy = true
	end := w.now.Add(d)
	if w.members {
		w.shuffle(end)
	}
	var next func()
	next = func() {
		if w.now.After(end) {
			return
		}
		w.fault()
		w.in(w.between(20*time.Millisecond, 500*time.Millisecond), next)
	}
	w.in(0, next)
	w.run(d, nil)
	w.lossy = false
	clear(w.cut)
	for _, s := range w.nodes {
		s.paused, s.stall = false, 0
		s.up()
	}
	w.everybody()
}

// everybody makes all nodes voters.
func (w *world) everybody() {
	for _, s := range w.nodes {
		if w.failed == nil && w.members {
			w.join(s)
		}
	}
}

func (w *world) fault() {
	s := w.nodes[w.rng.IntN(len(w.nodes))]
	back := w.between(10*time.Millisecond, time.Second)
	switch w.rng.IntN(7) {
	case 0, 1:
		s.crash(w.rng.IntN(2) == 0)
		w.in(back, s.up)
	case 2: // all at once
		for _, s := range w.nodes {
			s.crash(w.rng.IntN(2) == 0)
			w.in(w.between(0, back), s.up)
		}
	case 3: // nothing comes to it, or from it, or both
		way := w.rng.IntN(3)
		for _, o := range w.nodes {
			if way != 0 {
				w.cut[[2]int{s.n, o.n}] = true
			}
			if way != 1 {
				w.cut[[2]int{o.n, s.n}] = true
			}
		}
		w.in(back, func() { clear(w.cut) })
		w.stats["partition"]++
	case 4:
		s.paused = true
		w.in(back, func() { s.paused = false })
		w.stats["pause"]++
	case 5:
		s.stall = w.between(0, 400*time.Millisecond)
		w.in(back, func() { s.stall = 0 })
	case 6: // the leader
		if l := w.controller(); l != nil {
			l.crash(w.rng.IntN(2) == 0)
			w.in(back, l.up)
		}
	}
}

// load has proposals made now and then, for ever.
func (w *world) load() {
	w.in(w.between(2*time.Millisecond, 30*time.Millisecond), func() {
		w.propose()
		w.load()
	})
}

// shuffle has the controller change the configuration in some way, again and again until an end.
func (w *world) shuffle(end time.Time) {
	w.in(w.between(20*time.Millisecond, 300*time.Millisecond), func() {
		if w.now.After(end) {
			return
		}
		if l := w.controller(); l != nil {
			index, _, err := l.member.ProposeChange(w.anyChange(l))
			if err == nil && index > 0 {
				w.stats["membership"]++
			} else if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrMembership) && !errors.Is(err, ErrNotController) {
				w.fail("changing the configuration: %v", err)
			}
			if w.rng.IntN(8) == 0 {
				_ = l.member.TransferTo(w.nodes[w.rng.IntN(len(w.nodes))].self)
			}
			l.took()
		}
		w.shuffle(end)
	})
}

// anyChange is one that may or may not fit.
func (w *world) anyChange(l *station) (c ConfigChange) {
	for range 1 + w.rng.IntN(2) {
		who := []Replica{w.nodes[w.rng.IntN(len(w.nodes))].self}
		switch w.rng.IntN(4) {
		case 0:
			c.Learn = append(c.Learn, who...)
		case 1, 2:
			st := l.member.Status()
			if found, voter := st.find(who[0]); !voter && found.LogEnd+catchUpEntries >= st.HighWatermark { // as Admit does
				c.Promote = append(c.Promote, who...)
			}
		case 3:
			if len(l.member.config.state.Voters) > 2 { // a voter that is left of two must know it, or stays without a majority
				c.Remove = append(c.Remove, who...)
			}
		}
	}
	return c
}

// wipe gives a node an empty disk: another replica, which takes the place of the one that is lost.
func (w *world) wipe(s *station) {
	lost := s.self
	s.crash(w.rng.IntN(2) == 0)
	s.fs, s.found = crashfs.New(w.rng.Uint64()), false
	s.self.Directory = w.directory()
	s.up()
	w.stats["wipe"]++
	w.change(func() (ConfigChange, bool) {
		l := w.controller()
		if l == nil {
			return ConfigChange{}, false
		}
		st := l.member.Status()
		return ConfigChange{Remove: []Replica{lost}}, !st.has(lost)
	})
	w.join(s)
}

// settle checks that the cluster gets going again, and that all of it knows what was acknowledged.
func (w *world) settle() {
	before := w.acked
	if !w.run(10*time.Second, func() bool { return w.acked > before+2 }) {
		w.fail("no progress after healing: %d is the last that was acknowledged", w.acked)
	}
	want := w.acked
	if !w.run(10*time.Second, func() bool {
		for _, s := range w.nodes {
			if s.member.Image().Index() < want {
				return false
			}
		}
		return true
	}) {
		w.fail("a node does not get to index %d, which was acknowledged", want)
	}
}

// play is one run.
func play(t *testing.T, seed uint64, broken Broken) *world {
	w := newWorld(t, seed, 3+int(seed%2))
	w.broken, w.members, w.reading = broken, seed%2 == 1, seed%5 == 1
	w.load()
	w.grow()
	for range 3 {
		if w.failed == nil {
			w.faults(w.between(time.Second, 3*time.Second))
		}
		if w.failed == nil {
			w.settle()
		}
		w.everybody() // a change may have been under way
		if w.failed == nil && w.members {
			w.wipe(w.nodes[w.rng.IntN(len(w.nodes))])
		}
	}
	return w
}

var (
	seedCount = flag.Uint64("seeds", 1000, "runs of TestCluster")
	firstSeed = flag.Uint64("seed", 0, "the first of them")
	traceRuns = flag.Bool("trace", false, "print what happens in them")
)

// TestCluster: at most one leader per term, what is committed never changes, images are equal at equal index (M2), nothing
// acknowledged is lost, and it goes on after healing; whatever happens to nodes, disks and network.
func TestCluster(t *testing.T) {
	seeds := *seedCount
	if testing.Short() {
		seeds = min(seeds, 60)
	}
	total := make(map[string]int)
	for seed := *firstSeed; seed < *firstSeed+seeds; seed++ {
		w := play(t, seed, Broken{})
		if w.failed != nil {
			t.Fatal(w.failed)
		}
		for k, n := range w.stats {
			total[k] += n
			if n > 0 {
				total["runs with "+k]++
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%s: %d", k, total[k])
	}
	for _, k := range []string{"leader", "crash", "torn", "truncation", "snapshot", "compaction", "partition", "acknowledged", "membership", "wipe", "read"} {
		if n := total["runs with "+k]; seeds >= 60 && n*20 < int(seeds) {
			t.Errorf("only %d runs of %d had a %s: the test shows little", n, seeds, k)
		}
	}
}

// TestClusterFindsBrokenRules: a test that finds nothing shows nothing.
func TestClusterFindsBrokenRules(t *testing.T) {
	const most = 3000
	for name, bug := range map[string]struct {
		broken Broken
		from   uint64 // seed; rare ones begin near to where they were found
	}{
		"votes and acknowledgements before the sync": {Broken{SendBeforeSync: true}, 0},
		"a leader in a term that is not durable":     {Broken{SendBeforeTerm: true}, 0},
		"a commit index before its entries":          {Broken{CommitAhead: true}, 5340},
		"a configuration without its commit index":   {Broken{ForgetCommit: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := bug.from; seed < bug.from+most; seed++ {
				if w := play(t, seed, bug.broken); w.failed != nil {
					t.Log(w.failed)
					return
				}
			}
			t.Errorf("%d seeds found nothing", most)
		})
	}
}

// TestClusterIsDeterministic: a seed replays.
func TestClusterIsDeterministic(t *testing.T) {
	for seed := range uint64(5) {
		a, b := play(t, seed, Broken{}), play(t, seed, Broken{})
		if a.now != b.now || a.seq != b.seq || !maps.Equal(a.truth, b.truth) || !maps.Equal(a.terms, b.terms) {
			t.Errorf("seed %d: %d events until %v, and then %d until %v", seed, a.seq, a.now, b.seq, b.now)
		}
	}
}
