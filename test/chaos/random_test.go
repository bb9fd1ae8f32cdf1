package chaos

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"chronik/internal/verify"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
	"chronik/test/exactlyonce/loop"
)

var seed = flag.Uint64("chaos.seed", 0, "of TestRandom's choice of faults; 0: any. Clocks and processes make each run another one all the same")

// trouble is something that can happen to a node, and how it ends.
type trouble struct {
	name  string
	begin func(*rig.Node) error
	end   func(context.Context, *rig.Node) error
}

// troubles are all that can happen. Those of the network end together, when the links are healed.
func troubles(c *rig.Cluster) []trouble {
	restart := func(ctx context.Context, n *rig.Node) error {
		if n.Running() {
			return nil // it was to be stopped, and is back
		}
		return n.Launch()
	}
	heal := func(context.Context, *rig.Node) error { return c.Net.Heal() }
	oneWay := func(lose int, out bool) func(*rig.Node) error {
		return func(n *rig.Node) error {
			var faults []rig.Fault
			for _, other := range c.Others(n) {
				f := rig.Fault{From: n.ID, To: other.ID, Lose: lose}
				if !out {
					f.From, f.To = f.To, f.From
				}
				faults = append(faults, f)
			}
			return c.Net.Add(faults...)
		}
	}
	return []trouble{
		{"killed", (*rig.Node).Kill, restart},
		{"stopped in order", func(n *rig.Node) error { return n.Signal(syscall.SIGTERM) }, func(ctx context.Context, n *rig.Node) error {
			n.AwaitEnd()
			return restart(ctx, n)
		}},
		{"paused", func(n *rig.Node) error { return n.Signal(syscall.SIGSTOP) }, func(_ context.Context, n *rig.Node) error { return n.Signal(syscall.SIGCONT) }},
		{"cut off", (*rig.Node).Isolate, heal},
		{"unheard", oneWay(100, true), heal},
		{"deaf", oneWay(100, false), heal},
		{"hard to hear", oneWay(25, true), heal},
		{"slow", func(n *rig.Node) error { return c.Net.Slow(n.ID, 100_000, 50_000) }, func(_ context.Context, n *rig.Node) error { return c.Net.Fast(n.ID) }},
		{"frozen", (*rig.Node).Freeze, func(_ context.Context, n *rig.Node) error { return n.Thaw() }},
		{"full", (*rig.Node).Fill, func(_ context.Context, n *rig.Node) error { return n.Free() }},
	}
}

// TestRandom lets one to three of five nodes get into random trouble at the same time, for up to four seconds, again and again, often before the cluster has
// recovered. Which it was is in the test's log and, beside what followed, in the nodes'. A crew is at work as well; the seed says of which protocol its copiers are.
func TestRandom(t *testing.T) {
	begin(t)
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("-chaos.seed=%d", *seed)
	rng := rand.New(rand.NewPCG(*seed, 1))
	c := rig.Start(t, rig.Options{Nodes: 5, Kafka: coordinated(), DiskMiB: 192})
	l := start(t, c, verify.Options{Producers: []verify.Producer{verify.Idempotent, verify.Idempotent, verify.OneByOne, verify.LeaderOnly}})
	k := employ(t.Context(), t, l, []string{loop.Classic, loop.Consumer}[*seed%2])
	all := troubles(c)
	for range 5 * *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
		var errs []error
		var undo []func() error
		for _, i := range rng.Perm(len(c.Nodes))[:1+rng.IntN(3)] {
			n, what := c.Nodes[i], all[rng.IntN(len(all))]
			t.Logf("%s node %d: %s", time.Now().UTC().Format("15:04:05.000"), n.ID, what.name)
			errs = append(errs, what.begin(n))
			undo = append(undo, func() error { return what.end(ctx, n) })
		}
		errs = append(errs, wait.For(ctx, time.Duration(100+rng.IntN(3900))*time.Millisecond))
		for _, u := range undo {
			errs = append(errs, u())
		}
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		healed := time.Now()
		if rng.IntN(2) == 0 {
			l.settle(ctx, t)
			t.Logf("whole after %v", time.Since(healed).Round(time.Millisecond))
		} else if err := wait.For(ctx, time.Duration(rng.IntN(1500))*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	k.settle(t.Context(), t)
	k.finish(t.Context(), t)
	l.finish(t)
}
