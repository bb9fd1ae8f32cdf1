package wal_test

import (
	"flag"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedCount = flag.Int("wal.seeds", 0, "how many random runs TestMetamorphic makes; 0: as many as fit into its time")
	oneSeed   = flag.Uint64("wal.seed", 0, "replay this run of TestMetamorphic alone, step by step")
	firstSeed = flag.Uint64("wal.first", 1, "the first seed of TestMetamorphic")
)

// stepsPerRun is long enough to roll, crash, truncate and roll again, and short enough to read.
const stepsPerRun = 150

// TestMetamorphic does random things to a log, over a disk that fails and loses power, and holds all that the
// log says and keeps against a simple reference (D1-D6, L1-L6, T1). A run follows from its seed alone:
//
//	go test ./internal/wal -run 'TestMetamorphic$' -wal.seed=N -v
func TestMetamorphic(t *testing.T) {
	if *oneSeed != 0 {
		run(t, *oneSeed, true)
		return
	}
	budget := 20 * time.Second
	if testing.Short() {
		budget = 2 * time.Second
	}
	var next atomic.Uint64
	next.Store(*firstSeed)
	deadline := time.Now().Add(budget)
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for !t.Failed() {
				seed := next.Add(1) - 1
				if n := seed - *firstSeed; *seedCount > 0 && n >= uint64(*seedCount) || *seedCount == 0 && time.Now().After(deadline) {
					break
				}
				run(t, seed, false)
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d seeds from %d on", next.Load()-*firstSeed, *firstSeed) })
}

// run makes one run.
func run(t *testing.T, seed uint64, verbose bool) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		defer func() {
			if t.Failed() {
				t.Logf("replay with -run 'TestMetamorphic$' -wal.seed=%d -v", seed)
			}
		}()
		h := newHarness(t, seed)
		h.verbose = verbose
		h.run()
	})
}

// bubble runs f with virtual time. What is made once and has channels must be made outside.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	templates()
	keyedTemplates()
	synctest.Test(t, f)
}

func (h *harness) run() {
	h.open()
	for range stepsPerRun {
		if h.Failed() {
			break
		}
		h.step()
	}
	h.finish()
}
