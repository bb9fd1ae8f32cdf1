package replication

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "the one seed that TestModel runs, with its history")
	manySeeds = flag.Uint64("seeds", modelSeeds, "how many seeds TestModel runs")
)

const (
	modelSeeds = 10000
	modelSteps = 2000
	leastShare = 0.2 // per cent of the runs that each thing must happen in
)

// TestModel runs the cores in a world that loses, doubles, delays and reorders messages, and in which brokers crash, alone
// and all at once, with what they had not synced. After every step the invariants are checked, and in the end that all came right again.
func TestModel(t *testing.T) {
	if *oneSeed != 0 {
		var trace strings.Builder
		w := newWorld(*oneSeed, nil, &trace)
		failure := w.run(modelSteps)
		t.Logf("%s\n%+v\n%s", trace.String(), w.count, w.describe())
		if failure != "" {
			t.Error(failure)
		}
		return
	}
	seeds := *manySeeds
	if testing.Short() {
		seeds = min(seeds, modelSeeds/10)
	}
	var in [len(countNames)]int
	for seed := uint64(1); seed <= seeds; seed++ {
		w := newWorld(seed, nil, nil)
		if failure := w.run(modelSteps); failure != "" {
			t.Fatalf("seed %d: %s\n%s\ngo test ./internal/replication -run TestModel -seed %d -v", seed, failure, w.describe(), seed)
		}
		for i, n := range w.count.list() {
			in[i] += min(n, 1)
		}
	}
	for i, name := range countNames {
		share := 100 * float64(in[i]) / float64(seeds)
		t.Logf("%5.1f %% of the runs had %s", share, name)
		if share < leastShare {
			t.Errorf("%s happens in %.1f %% of the runs: the model does not try it", name, share)
		}
	}
}

var countNames = [...]string{
	"elections", "elections of an eligible replica", "truncations", "restarts at the log start", "torn crashes", "ISR shrinks", "ISR expansions",
	"proposals to keep the ISR", "refused proposals", "resignations", "wiped disks", "acknowledgements", "commits",
}

func (c counts) list() [len(countNames)]int {
	return [...]int{
		c.elections, c.eligible, c.truncations, c.restarts, c.torn, c.shrinks, c.expands, c.kept, c.conflicts, c.resigned, c.wiped, c.acked, c.committed,
	}
}

// TestBrokenRulesAreCaught switches one rule off at a time. The model must notice each: else it would not notice a mistake there either.
func TestBrokenRulesAreCaught(t *testing.T) {
	rule := func(b broken) func(*world) { return func(w *world) { w.broken = b } }
	for name, breakIt := range map[string]func(*world){
		"D1 watermark from the log end":          rule(broken{watermarkFromEnd: true}),
		"D1 watermark below the minimum ISR":     rule(broken{belowMinISR: true}),
		"R3 no maximal ISR":                      rule(broken{noMaximalISR: true}),
		"R3 joins below the epoch's start":       rule(broken{noEpochStart: true}),
		"R2 no truncation":                       rule(broken{skipTruncation: true}),
		"D5 acknowledgements bound to an offset": rule(broken{ackByOffset: true}),
		"D5 batches bound to an offset":          rule(broken{batchesByOffset: true}),
		"R1 epoch used again after a restart":    func(w *world) { w.ctl.reuse = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 1000; seed++ {
				// What stands still is wrong, too, but not what the rules are there to prevent.
				if failure := newWorld(seed, breakIt, nil).run(modelSteps); failure != "" && !strings.HasPrefix(failure, noProgress) {
					first, _, _ := strings.Cut(failure, "\n")
					t.Logf("seed %d: %s", seed, first)
					return
				}
			}
			t.Error("1000 seeds found nothing wrong")
		})
	}
}

// noProgress is how a failure begins if nothing was lost.
const noProgress = "no progress"

// describe shows where everybody is.
func (w *world) describe() string {
	var b strings.Builder
	v := w.ctl.last()
	fmt.Fprintf(&b, "metadata %+v, ELR %v, brokers %v; committed %d, min ISR %d\n", v.state, v.elr, v.brokers, len(w.truth), w.ctl.minISR)
	for _, n := range w.nodes {
		fmt.Fprintf(&b, "broker %d up=%v saw=%d/%d log %+v", n.id, n.up, n.seen, len(w.ctl.versions), n.log.own())
		if n.leader != nil {
			fmt.Fprintf(&b, " leads epoch %d watermark %d lost=%v asked %+v", n.leader.epoch, n.leader.watermark, n.leader.lost, n.leader.asked)
			for _, p := range n.leader.peers {
				fmt.Fprintf(&b, "\n    %+v", p)
			}
		} else if n.follower != nil {
			fmt.Fprintf(&b, " follows %d in epoch %d, phase %d watermark %d next %d", n.follower.leader, n.follower.epoch, n.follower.phase, n.follower.watermark, n.follower.next)
		}
		b.WriteString("\n")
	}
	return b.String()
}
