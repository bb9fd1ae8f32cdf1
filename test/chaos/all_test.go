package chaos

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"chronik/internal/verify"
	"chronik/test/chaos/rig"
)

// allRounds is how often at most all nodes are killed.
const allRounds = 20

// TestKillAll kills all nodes with -9 at once: what acks=-1 acknowledged is on disks (D1, D2).
func TestKillAll(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	back := figures{what: "kill -9 of all nodes, restarted at once, to the next acknowledged write in every partition"}
	for range min(*rounds, allRounds) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		fault := time.Now()
		var errs []error
		for _, n := range c.Nodes {
			errs = append(errs, n.Signal(syscall.SIGKILL))
		}
		for _, n := range c.Nodes {
			n.AwaitEnd()
		}
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if err := c.Launch(ctx, c.Nodes...); err != nil {
			t.Fatal(err)
		}
		back.add(l.carriedOn(ctx, t, l.every(), fault))
		l.settle(ctx, t)
		cancel()
	}
	l.finish(t)
	t.Log(&back)
}

// TestWipe kills a node, takes its data away and starts it with an empty directory, while the others go on: it comes back as another replica, and
// is in sync only when it has everything (R7). Then the two that have always been there are killed one after the other, so that it is needed.
func TestWipe(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	active := c.Node(l.quorum(ctx, t).Leader)
	victim := c.Others(active)[0]
	wiped := time.Now()
	if err := errors.Join(victim.Kill(), victim.Wipe(), victim.Restart(ctx)); err != nil {
		t.Fatal(err)
	}
	l.settle(ctx, t)
	t.Logf("node %d was wiped, and in sync after %v", victim.ID, time.Since(wiped).Round(time.Millisecond))
	for _, n := range c.Others(victim) {
		if err := n.Kill(); err != nil {
			t.Fatal(err)
		}
		l.carriedOn(ctx, t, l.every(), time.Now())
		if err := n.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		l.settle(ctx, t)
	}
	l.finish(t)
}
