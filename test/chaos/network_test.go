package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"chronik/internal/verify"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
)

// oneWayTime is long enough for others to lead: what the old leader acknowledged on its own, with clients that reach it, would be lost then (D1).
const oneWayTime = maxGoal

// TestOneWay cuts one direction of a leader's links to the other nodes: first it is not heard, then it does not hear. Clients reach everybody.
func TestOneWay(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	unheard, deaf := figures{what: "a leader that other nodes do not hear, longest time without an acknowledged write"}, figures{what: "a leader that does not hear other nodes, longest time without an acknowledged write"}
	for round := range 2 * *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		victim, f := c.Nodes[round%len(c.Nodes)], &unheard
		var faults []rig.Fault
		for _, other := range c.Others(victim) {
			cut := rig.Fault{From: victim.ID, To: other.ID, Lose: 100}
			if round%2 == 1 {
				cut.From, cut.To, f = other.ID, victim.ID, &deaf
			}
			faults = append(faults, cut)
		}
		fault := time.Now()
		if err := c.Net.Add(faults...); err != nil {
			t.Fatal(err)
		}
		if err := wait.For(ctx, oneWayTime); err != nil {
			t.Fatal(err)
		}
		f.add(l.longest(t, fault))
		if err := victim.Heal(); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	l.finish(t)
	t.Logf("%v\n%v", &unheard, &deaf)
	unheard.within(t, maxGoal, maxGoal)
	deaf.within(t, maxGoal, maxGoal)
}

// TestCutFromController cuts a leader off from the active controller alone. Its followers, and the clients that know it, still reach it; so it must stop
// acknowledging by itself, within its session (R6), before the controller lets somebody else lead.
func TestCutFromController(t *testing.T) {
	begin(t)
	const session, slack = 600 * time.Millisecond, 200 * time.Millisecond
	c := rig.Start(t, rig.Options{Nodes: 4, Kafka: twoOfThree}) // so that there are partitions without the controller
	l := start(t, c, verify.Options{})
	stopped := figures{what: "a leader cut off from the controller, to its own last acknowledgement"}
	next := figures{what: "a leader cut off from the controller, to the first acknowledgement of the next leader"}
	const topic = "pinned"
	if _, err := kadm.NewClient(l.admin).CreateTopic(t.Context(), 8, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	for range *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		if err := c.AwaitWhole(ctx, l.admin, topic); err != nil {
			t.Fatal(err)
		}
		active := l.quorum(ctx, t).Leader
		partition, leader := l.without(ctx, t, topic, active)
		old, err := pin(ctx, c, topic, partition, leader)
		if err != nil {
			t.Fatal(err)
		}
		if err := old.await(ctx, time.Now()); err != nil {
			t.Fatalf("before the fault: %v", err)
		}
		fault := time.Now()
		if err := c.Net.Add(rig.Cut(leader, active)...); err != nil {
			t.Fatal(err)
		}
		moved := l.moved(ctx, t, topic, partition, leader)
		young, err := pin(ctx, c, topic, partition, moved)
		if err != nil {
			t.Fatal(err)
		}
		if err := young.await(ctx, fault); err != nil {
			t.Fatalf("the next leader: %v", err)
		}
		next.add(young.first().Sub(fault))
		last := old.stop()
		young.stop()
		stopped.add(last.Sub(fault))
		if young.first().Before(last) {
			t.Errorf("node %d acknowledged %v after node %d, which leads after it", leader, last.Sub(young.first()), moved)
		}
		if err := c.Node(leader).Heal(); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	l.finish(t)
	t.Logf("%v\n%v", &stopped, &next)
	stopped.within(t, session+slack, session+slack)
	next.within(t, maxGoal, maxGoal)
}

// TestSlowLink gives one follower a link that is slower than what is written, then one that loses packets. Others carry on without it, and it comes back.
func TestSlowLink(t *testing.T) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{MessageSize: 512})
	ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
	defer cancel()
	victim := c.Others(c.Node(l.quorum(ctx, t).Leader))[0]
	before, fault := l.census(ctx, t), time.Now()
	if err := c.Net.Slow(victim.ID, 100_000, 100_000); err != nil { // its two thirds of 512 KB/s, and a second of delay
		t.Fatal(err)
	}
	if err := wait.For(ctx, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	slow := l.carriedOn(ctx, t, l.every(), fault)
	if err := c.Net.Fast(victim.ID); err != nil {
		t.Fatal(err)
	}
	l.settle(ctx, t)
	e := l.census(ctx, t).since(before)
	t.Logf("node %d behind a slow link for 10 s: the others carried on after %v; %d terms, %d leader epochs", victim.ID, slow.Round(time.Millisecond), e.terms, e.epochs)

	before, fault = l.census(ctx, t), time.Now()
	var faults []rig.Fault
	for _, other := range c.Others(victim) {
		faults = append(faults, rig.Fault{From: victim.ID, To: other.ID, Lose: 10}, rig.Fault{From: other.ID, To: victim.ID, Lose: 10})
	}
	if err := c.Net.Add(faults...); err != nil {
		t.Fatal(err)
	}
	if err := wait.For(ctx, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	lossy := l.carriedOn(ctx, t, l.every(), fault)
	if err := victim.Heal(); err != nil {
		t.Fatal(err)
	}
	l.settle(ctx, t)
	e = l.census(ctx, t).since(before)
	t.Logf("node %d behind a link that loses every tenth packet for 10 s: carried on after %v; %d terms, %d leader epochs", victim.ID, lossy.Round(time.Millisecond), e.terms, e.epochs)
	l.finish(t)
}
