package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/verify"
	"chronik/internal/wait"
	"chronik/test/chaos/rig"
	"chronik/test/exactlyonce/loop"
)

const (
	// servedGoal is how long after a partition of the offsets' topic has a new leader that leader may take to serve its groups (G3).
	servedGoal = 2 * time.Second
	// ailing is how long a coordinator's node is not itself: beyond every session, and some transactions.
	ailing = 2500 * time.Millisecond
)

// TestCoordinators lets the nodes of coordinators get into trouble, one at a time, under groups of both protocols and a loop that reads, writes and
// commits in transactions: each record is copied once (T1-T3), committed offsets never go back, whichever node is asked (G1), commits are served soon
// after somebody else leads (G3), and what a copier left behind ends at its timeout (T4).
func TestCoordinators(t *testing.T) {
	begin(t)
	for _, protocol := range []string{loop.Classic, loop.Consumer} {
		t.Run(protocol, func(t *testing.T) { breakCoordinators(t, protocol) })
	}
}

func breakCoordinators(t *testing.T, protocol string) {
	c := rig.Start(t, rig.Options{Kafka: coordinated(), DiskMiB: 256})
	l := start(t, c, verify.Options{Rate: 300})
	k := employ(t.Context(), t, l, protocol)
	ps := startProbes(t.Context(), t, c, numbers)
	served := figures{what: "the next leader of the offsets' partition, to the first commit"}
	gone := figures{what: "a coordinator in trouble, to the first commit"}
	again := figures{what: "its end, until every group had caught up"}
	faults := coordinatorFaults(c)
	for round := range *rounds {
		for i, what := range faults {
			ctx, cancel := context.WithTimeout(t.Context(), 6*patience)
			k.settle(ctx, t)
			victim, why := k.victim(ctx, t, round*len(faults)+i)
			lost := k.coordinates(ctx, t, victim)
			if err := wait.For(ctx, rand.N(500*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			fault := time.Now()
			if err := what.begin(victim); err != nil {
				t.Fatal(err)
			}
			if i%2 == round%2 {
				k.abandon(round)
			}
			led, first := k.served(ctx, t, ps, lost, victim)
			served.add(first.Sub(led))
			gone.add(first.Sub(fault))
			if err := wait.For(ctx, time.Until(fault.Add(ailing))); err != nil {
				t.Fatal(err)
			}
			if err := what.end(ctx, victim); err != nil {
				t.Fatal(err)
			}
			over := time.Now()
			k.caughtUp(ctx, t)
			again.add(time.Since(over))
			t.Logf("%s node %d, %s, %s: the next leader after %d ms, commits %d ms later; all had caught up %d ms after its end", fault.UTC().Format("15:04:05.000"), victim.ID, why, what.name,
				led.Sub(fault).Milliseconds(), first.Sub(led).Milliseconds(), time.Since(over).Milliseconds())
			cancel()
		}
	}
	ps.stop()
	k.settle(t.Context(), t)
	k.finish(t.Context(), t)
	l.finish(t)
	commits, reads, stale := ps.verdict()
	for _, line := range stale {
		t.Error(line)
	}
	t.Logf("%v\n%v\n%v\nof the probes' last commits, %d in all, nodes told in %d answers", &served, &gone, &again, commits, reads)
	served.within(t, servedGoal, servedGoal)
}

// coordinatorFaults are what happens to the nodes of coordinators.
func coordinatorFaults(c *rig.Cluster) []trouble {
	heal := func(context.Context, *rig.Node) error { return c.Net.Heal() }
	parted := func(n *rig.Node) error {
		var faults []rig.Fault
		for _, other := range c.Others(n) {
			faults = append(faults, rig.Cut(n.ID, other.ID)...)
		}
		return c.Net.Add(faults...)
	}
	return []trouble{
		{"killed", (*rig.Node).Kill, func(ctx context.Context, n *rig.Node) error { return n.Restart(ctx) }},
		{"cut off", (*rig.Node).Isolate, heal},
		{"parted from the other nodes, not from clients", parted, heal},
		{"paused", func(n *rig.Node) error { return n.Signal(syscall.SIGSTOP) }, func(_ context.Context, n *rig.Node) error { return n.Signal(syscall.SIGCONT) }},
		{"frozen", (*rig.Node).Freeze, func(_ context.Context, n *rig.Node) error { return n.Thaw() }},
	}
}

// victim is the node whose turn it is, and what it is to the crew.
func (k *crew) victim(ctx context.Context, t *testing.T, turn int) (*rig.Node, string) {
	t.Helper()
	switch turn % 4 {
	case 0:
		return k.leads(ctx, t, "__consumer_offsets", schema.Partition("copiers", partitions)), "coordinator of the copiers' group"
	case 1:
		id := k.teams[0].seats[0].name
		return k.leads(ctx, t, "__transaction_state", schema.Partition(id, partitions)), "coordinator of " + id
	case 2:
		return k.l.c.Node(k.l.quorum(ctx, t).Leader), "leader of the metadata"
	default:
		p := turn / 4 % partitions
		return k.leads(ctx, t, copies, int32(p)), fmt.Sprintf("leader of %s-%d", copies, p)
	}
}

// coordinates lists the partitions of the offsets' topic that a node leads: one, as the cluster is settled.
func (k *crew) coordinates(ctx context.Context, t *testing.T, n *rig.Node) (out []int32) {
	t.Helper()
	for p := range int32(partitions) {
		if k.leads(ctx, t, "__consumer_offsets", p) == n {
			out = append(out, p)
		}
	}
	return out
}

// served returns when others led all of the partitions, as another node tells, and when each had acknowledged a commit after that.
func (k *crew) served(ctx context.Context, t *testing.T, ps *probes, lost []int32, victim *rig.Node) (led, first time.Time) {
	t.Helper()
	ask := k.l.admin.Broker(k.l.c.Others(victim)[0].ID)
	for moved := false; !moved; {
		parts, err := rig.Partitions(ctx, ask, "__consumer_offsets")
		moved = err == nil
		for _, p := range lost {
			moved = moved && parts[p].Leader > 0 && parts[p].Leader != victim.ID
		}
		if led = time.Now(); moved {
			break
		}
		if wait.For(ctx, probeEvery) != nil {
			t.Fatalf("node %d is not replaced as coordinator: %+v, %v", victim.ID, parts, err)
		}
	}
	for _, p := range lost {
		at, err := ps.list[p].await(ctx, led)
		if err != nil {
			t.Fatal(err)
		}
		if at.After(first) {
			first = at
		}
	}
	return led, first
}
