package chaos

import (
	"context"
	"testing"
	"time"

	"chronik/internal/verify"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
)

// fullTime is how long a disk stays full.
const fullTime = 5 * time.Second

// TestFullDisk fills one node's disk: others lead what it led (R2, E3), and when there is space again it comes back by itself.
func TestFullDisk(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree, DiskMiB: 192})
	l := start(t, c, verify.Options{})
	back := figures{what: "a full disk, until every partition takes a write"}
	for round := range *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		victim, fault := c.Nodes[round%len(c.Nodes)], time.Now()
		if err := victim.Fill(); err != nil {
			t.Fatal(err)
		}
		if err := wait.For(ctx, fullTime); err != nil {
			t.Fatal(err)
		}
		gap := l.longest(t, fault)
		back.add(gap)
		t.Logf("disk of node %d full: no partition was without a write for longer than %v", victim.ID, gap.Round(time.Millisecond))
		if err := victim.Free(); err != nil {
			t.Fatal(err)
		}
		l.settle(ctx, t)
		cancel()
	}
	l.finish(t)
	t.Log(&back)
}
