package sim

import (
	"flag"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "replay this schedule alone, and print all of it")
	seedsFlag  = flag.Int("sim.seeds", 0, "how many schedules to run; 0: a fixed set and some random ones")
	firstFlag  = flag.Uint64("sim.first", 1, "the first seed")
	eventsFlag = flag.Int("sim.events", 2000, "events of each schedule before it heals")
)

// TestSim runs whole clusters through random workloads and faults. A schedule follows from its seed alone:
//
//	go test ./internal/sim -run 'TestSim$' -v -args -sim.seed=N
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		w := run(t, *seedFlag, func(w *world) { w.trace.print = func(s string) { t.Log(s) } })
		if w.failed != nil {
			t.Errorf("seed %d: %v", w.seed, w.failed)
		}
		return
	}
	seeds := *seedsFlag
	if seeds == 0 {
		seeds = 200
	}
	began := time.Now()
	var sum summary
	for seed := *firstFlag; seed < *firstFlag+uint64(seeds); seed++ {
		w := run(t, seed, nil)
		sum.add(w)
		if w.failed != nil {
			t.Errorf("%s\nseed %d: %v\nreplay with: make sim SEED=%d", w.trace.last(), seed, w.failed, seed)
			if sum.failed >= 3 {
				break
			}
		}
	}
	t.Logf("%v; %.0f schedules a second", &sum, float64(sum.schedules)/time.Since(began).Seconds())
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
