package chaos

import (
	"context"
	"flag"
	"testing"
	"time"

	"chronik/internal/verify"
	"chronik/test/chaos/rig"
)

var older = flag.String("chaos.older", "", "the commit or tag whose server TestRollingUpgrade begins with; empty: the last release")

// rollGoal is how long a partition may be without writes while its leader stops in order.
const rollGoal = time.Second

// TestRollingRestart stops one node after the other in order (SIGTERM), and starts it again.
func TestRollingRestart(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	roll(t, l, c, "")
}

// TestRollingUpgrade does the same from an older server to this one: in between the cluster is of both.
func TestRollingUpgrade(t *testing.T) {
	begin(t)
	young, err := rig.Build()
	if err != nil {
		t.Fatal(err)
	}
	c := rig.Start(t, rig.Options{Kafka: twoOfThree, Bin: rig.BuildAt(t, *older)})
	l := start(t, c, verify.Options{})
	roll(t, l, c, young)
}

// roll restarts all nodes, with another program if one is given, and says how long producers were blocked.
func roll(t *testing.T, l *load, c *rig.Cluster, bin string) {
	blocked, stopping := figures{what: "restart of a node in order, longest time without an acknowledged write in any partition"}, figures{what: "SIGTERM to the end of the process"}
	for round := range *rounds {
		for _, n := range c.Nodes {
			ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
			l.settle(ctx, t)
			term := time.Now()
			if err := n.Stop(ctx); err != nil {
				t.Fatalf("node %d does not stop in order: %v", n.ID, err)
			}
			stopping.add(time.Since(term))
			if bin != "" && round == 0 {
				n.Bin = bin
			}
			if err := n.Restart(ctx); err != nil {
				t.Fatal(err)
			}
			l.settle(ctx, t)
			blocked.add(l.longest(t, term))
			cancel()
		}
	}
	l.finish(t)
	t.Logf("%v\n%v", &blocked, &stopping)
	blocked.within(t, rollGoal, maxGoal)
}
