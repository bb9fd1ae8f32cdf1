package chaos

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"chronik/internal/verify"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
)

const (
	pause = 2 * time.Second
	// shrinkGoal is how long a silent follower may hold acks=-1 up: its session (0.6 s), the decision, and a client's next try.
	shrinkGoal = 2 * time.Second
	longStall  = 30 * time.Second
	shortStall = 8 * time.Second // of the short version
)

// elections counts what changed hands between two looks.
type elections struct{ terms, epochs int }

// census is the state that elections are counted from.
func (l *load) census(ctx context.Context, t *testing.T) elections {
	t.Helper()
	parts, err := rig.Partitions(ctx, l.admin, l.Topic())
	if err != nil {
		t.Fatal(err)
	}
	e := elections{terms: l.quorum(ctx, t).Term}
	for _, p := range parts {
		e.epochs += p.Epoch
	}
	return e
}

func (e elections) since(before elections) elections {
	return elections{e.terms - before.terms, e.epochs - before.epochs}
}

// TestPause stops each node in turn for 2 s, as a virtual machine is stopped: nothing is lost, and the partitions that others lead wait no longer than it
// takes to leave the silent node out.
func TestPause(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	led, others := figures{what: "2 s pause of a leader, until its partition takes a write"}, figures{what: "2 s pause of a follower, until partitions take a write"}
	falseTerms := 0
	for round := range 3 * *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		victim := c.Nodes[round%len(c.Nodes)]
		active, before := l.quorum(ctx, t).Leader, l.census(ctx, t)
		its := l.led(ctx, t, victim)
		fault := time.Now()
		err := victim.Signal(syscall.SIGSTOP)
		if err := errors.Join(err, wait.For(ctx, pause), victim.Signal(syscall.SIGCONT)); err != nil {
			t.Fatal(err)
		}
		led.add(l.carriedOn(ctx, t, its, fault))
		others.add(l.carriedOn(ctx, t, l.but(its), fault))
		l.settle(ctx, t)
		e := l.census(ctx, t).since(before)
		t.Logf("node %d paused, node %d led the metadata: %d terms, %d leader epochs", victim.ID, active, e.terms, e.epochs)
		if victim.ID != active {
			falseTerms += e.terms
		}
		cancel()
	}
	l.finish(t)
	t.Logf("%v\n%v\nterms of the metadata begun without need: %d", &led, &others, falseTerms)
	led.within(t, shrinkGoal, maxGoal)
	others.within(t, shrinkGoal, maxGoal)
}

// TestPauseAll stops all nodes for 2 s at once, as a loaded machine does: nobody was silent for anybody who was awake, so that nothing should change
// hands. How often something does is counted; clocks that ran on while everybody stood still make it rare, not impossible.
func TestPauseAll(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	back := figures{what: "2 s pause of all nodes, until every partition takes a write"}
	total := elections{}
	for range *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		before, fault := l.census(ctx, t), time.Now()
		var errs []error
		for _, n := range c.Nodes {
			errs = append(errs, n.Signal(syscall.SIGSTOP))
		}
		errs = append(errs, wait.For(ctx, pause))
		for _, n := range c.Nodes {
			errs = append(errs, n.Signal(syscall.SIGCONT))
		}
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		back.add(l.carriedOn(ctx, t, l.every(), fault))
		if err := wait.For(ctx, pause); err != nil { // what the stall sets off comes within a session and an election
			t.Fatal(err)
		}
		e := l.census(ctx, t).since(before)
		t.Logf("%d terms, %d leader epochs", e.terms, e.epochs)
		total.terms, total.epochs = total.terms+e.terms, total.epochs+e.epochs
		cancel()
	}
	l.finish(t)
	t.Logf("%v\nin %d pauses of all nodes: %d false terms, %d false leader epochs", &back, *rounds, total.terms, total.epochs)
	back.within(t, pause+medianGoal, pause+maxGoal)
}

// TestDiskStall lets one node's disk stand still while its process runs: first a follower of the metadata, which must not lead to an
// election, then the metadata's leader, which hands over in order, once at most (R8).
func TestDiskStall(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree, DiskMiB: 256})
	l := start(t, c, verify.Options{})
	length := shortStall
	if *rounds > 5 {
		length = longStall
	}
	for _, leads := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
		l.settle(ctx, t)
		victim := c.Node(l.quorum(ctx, t).Leader)
		if !leads {
			victim = c.Others(victim)[0]
		}
		before, its := l.census(ctx, t), l.led(ctx, t, victim)
		fault := time.Now()
		if err := victim.Freeze(); err != nil {
			t.Fatal(err)
		}
		led, others := l.carriedOn(ctx, t, its, fault), l.carriedOn(ctx, t, l.but(its), fault)
		if err := wait.For(ctx, time.Until(fault.Add(length))); err != nil {
			t.Fatal(err)
		}
		e := l.census(ctx, t).since(before)
		t.Logf("disk of node %d (leads the metadata: %v) stood still for %v: its own partition carried on after %v, those of others after %v; %d terms, %d leader epochs",
			victim.ID, leads, length, led.Round(time.Millisecond), others.Round(time.Millisecond), e.terms, e.epochs)
		if err := victim.Thaw(); err != nil {
			t.Fatal(err)
		}
		if allowed := map[bool]int{true: 1}[leads]; e.terms > allowed {
			t.Errorf("a stalled disk led to %d terms of the metadata, %d are allowed", e.terms, allowed)
		}
		l.settle(ctx, t)
		cancel()
	}
	l.finish(t)
}
