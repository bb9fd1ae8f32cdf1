package sim

import (
	"flag"
	"runtime/debug"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "replay this schedule alone, and print all of it")
	seedsFlag  = flag.Int("sim.seeds", 0, "how many schedules to run, from sim.first on; 0: a fixed set, then random ones while there is time")
	firstFlag  = flag.Uint64("sim.first", 1, "the first seed")
	eventsFlag = flag.Int("sim.events", 3000, "events of each schedule before it heals, at least")
)

const (
	fixedSeeds = 300
	// randomSeeds are drawn after those: every run sees a few schedules that none has seen before.
	randomSeeds = 24
	// leastShare is in how much of the schedules each exercise must occur, in percent.
	leastShare = 5
	// mostFailures is how many are printed.
	mostFailures = 5
	enough       = 2000 // schedules, for their shares to say something
	// leastFixed is the same for the fixed schedules: they are few, so that a share that is well above leastShare may be below that here.
	leastFixed = 2
)

// TestMain has the garbage of small worlds collected less often: it takes a third of the time else.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	m.Run()
}

// TestSim runs whole clusters through random workloads and faults. A schedule follows from its seed alone:
//
//	make sim SEED=n
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		w := run(t, *seedFlag, func(w *world) { w.trace.print = func(s string) { t.Log(s) } })
		if w.failed != nil {
			t.Errorf("seed %d: %v", w.seed, w.failed)
		}
		return
	}
	budget := 25 * time.Second
	if testing.Short() {
		budget = 5 * time.Second
	}
	began := time.Now()
	next := func(n int) (uint64, bool) {
		switch {
		case *seedsFlag > 0:
			return *firstFlag + uint64(n), n < *seedsFlag
		case time.Since(began) > budget || n >= fixedSeeds+randomSeeds:
			return 0, false
		case n < fixedSeeds:
			return uint64(n + 1), true
		}
		return uint64(began.UnixNano())>>10 + uint64(n), true
	}
	var sum, fixed summary
	for sum.failed < mostFailures {
		seed, ok := next(sum.schedules)
		if !ok {
			break
		}
		w := run(t, seed, nil)
		sum.add(w)
		if *seedsFlag == 0 && seed <= fixedSeeds {
			fixed.add(w)
		}
		if w.failed != nil {
			t.Errorf("%s\nseed %d: %v\nreplay with: make sim SEED=%d", w.trace.last(), seed, w.failed, seed)
		}
	}
	t.Logf("%v; %.0f schedules a second", &sum, float64(sum.schedules)/time.Since(began).Seconds())
	if fixed.schedules == fixedSeeds {
		for _, rare := range fixed.below(leastFixed) {
			t.Errorf("%s in less than %d %% of the fixed schedules", rare, leastFixed)
		}
	}
	if sum.failed == 0 && sum.schedules >= enough {
		for _, rare := range sum.below(leastShare) {
			t.Errorf("%s in less than %d %% of the schedules: they do not show much about it", rare, leastShare)
		}
	}
}

// TestSameSeedSameRun: a failure can be replayed, because nothing but the seed decides.
func TestSameSeedSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, b := run(t, seed, nil), run(t, seed, nil)
		if a.trace.hash != b.trace.hash || a.trace.count != b.trace.count || a.ran != b.ran {
			t.Errorf("seed %d: %d lines of hash %x in %d events, then %d of %x in %d",
				seed, a.trace.count, a.trace.hash, a.ran, b.trace.count, b.trace.hash, b.ran)
		}
	}
}

// run runs one schedule. Raft draws its election timeouts from the program's randomness, which is the seed's, too.
func run(t *testing.T, seed uint64, with func(*world)) *world {
	cryptotest.SetGlobalRandom(t, seed)
	w := newWorld(seed)
	if with != nil {
		with(w)
	}
	w.schedule(*eventsFlag)
	return w
}
