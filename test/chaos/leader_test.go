package chaos

import (
	"context"
	"testing"
	"time"

	"chronik/test/chaos/rig"
)

const (
	medianGoal = time.Second
	maxGoal    = 3 * time.Second
)

// TestKillLeader kills leaders with -9, one after the other.
func TestKillLeader(t *testing.T) {
	takeLeaders(t, "kill -9 to the next acknowledged write",
		func(_ context.Context, n *rig.Node) error { return n.Kill() },
		func(ctx context.Context, n *rig.Node) error { return n.Restart(ctx) })
}

// TestCutLeader cuts leaders off from everybody, without a word (no RST).
func TestCutLeader(t *testing.T) {
	takeLeaders(t, "cut to the next acknowledged write",
		func(_ context.Context, n *rig.Node) error { return n.Isolate() },
		func(_ context.Context, n *rig.Node) error { return n.Heal() })
}

// takeLeaders takes a leader away, measures, gives it back, again and again. Each victim leads one partition of each topic, each
// third the metadata too.
func takeLeaders(t *testing.T, what string, take, giveBack func(context.Context, *rig.Node) error) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c)
	partition, both := figures{what: what + ", the victim leads the partition only"}, figures{what: what + ", it leads the metadata too"}
	for round := range *rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		before, err := rig.AskQuorum(ctx, l.admin)
		if err != nil {
			t.Fatal(err)
		}
		victim := c.Node(before.Leader)
		if followers := c.Others(victim); round%3 != 2 {
			victim = followers[round%len(followers)]
		}
		led := l.led(ctx, t, victim)
		fault := time.Now()
		if err := take(ctx, victim); err != nil {
			t.Fatal(err)
		}
		gap := l.carriedOn(ctx, t, led, time.Now()).Sub(fault)
		t.Logf("round %d: node %d, %d ms; the metadata was led by node %d", round+1, victim.ID, gap.Milliseconds(), before.Leader)
		if victim.ID == before.Leader {
			both.add(gap)
		} else {
			partition.add(gap)
		}
		if err := giveBack(ctx, victim); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	all := figures{what: what + ", all", list: append(append([]time.Duration{}, partition.list...), both.list...)}
	for _, f := range []figures{partition, both, all} {
		t.Log(f.String())
	}
	l.settle(t.Context(), t)
	l.finish(t)
	l.goals(t, all)
}

// settle waits until the cluster is whole: every replica in sync, and each node the leader that it should be.
func (l *load) settle(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := rig.AwaitVoters(ctx, l.admin, len(l.c.Nodes)); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{exactTopic, plainTopic, probeTopic} {
		if err := rig.AwaitISR(ctx, l.admin, topic, 3); err != nil {
			t.Fatal(err)
		}
		if err := rig.AwaitPreferred(ctx, l.admin, topic); err != nil {
			t.Fatal(err)
		}
	}
}

// led lists the probes of the partitions that a node leads.
func (l *load) led(ctx context.Context, t *testing.T, n *rig.Node) []*probe {
	t.Helper()
	parts, err := rig.Partitions(ctx, l.admin, probeTopic)
	if err != nil {
		t.Fatal(err)
	}
	var out []*probe
	for i, p := range parts {
		if p.Leader == n.ID {
			out = append(out, l.probes[i])
		}
	}
	if len(out) == 0 {
		t.Fatalf("node %d leads nothing: %+v", n.ID, parts)
	}
	return out
}

// carriedOn is when the last of the probes had its first acknowledgement of a write that was begun after a moment.
func (l *load) carriedOn(ctx context.Context, t *testing.T, probes []*probe, moment time.Time) time.Time {
	t.Helper()
	last := moment
	for _, p := range probes {
		acked, err := p.after(ctx, moment)
		if err != nil {
			t.Fatal(err)
		}
		if acked.After(last) {
			last = acked
		}
	}
	return last
}

// goals fails the test if the cluster was too slow to go on.
func (l *load) goals(t *testing.T, f figures) {
	t.Helper()
	if f.median() > medianGoal {
		t.Errorf("the median is %v, it should be at most %v", f.median(), medianGoal)
	}
	for _, d := range f.list {
		if d > maxGoal {
			t.Errorf("%v is longer than %v", d, maxGoal)
		}
	}
}
