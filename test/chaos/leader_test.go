package chaos

import (
	"context"
	"slices"
	"testing"
	"time"

	"chronik/internal/verify"
	"chronik/test/chaos/rig"
)

// What taking a leader away may cost, from the fault to the next acknowledged write.
const (
	medianGoal = time.Second
	maxGoal    = 3 * time.Second
)

// TestKillLeader kills leaders with -9, one after the other.
func TestKillLeader(t *testing.T) {
	takeLeaders(t, "kill -9 to the next acknowledged write",
		func(n *rig.Node) error { return n.Kill() },
		func(ctx context.Context, n *rig.Node) error { return n.Restart(ctx) })
}

// TestCutLeader cuts leaders off from everybody, without a word (no RST).
func TestCutLeader(t *testing.T) {
	takeLeaders(t, "cut to the next acknowledged write",
		func(n *rig.Node) error { return n.Isolate() },
		func(_ context.Context, n *rig.Node) error { return n.Heal() })
}

// takeLeaders takes a leader away, measures, gives it back, again and again. Each victim leads one partition, each third the metadata too.
func takeLeaders(t *testing.T, what string, take func(*rig.Node) error, giveBack func(context.Context, *rig.Node) error) {
	begin(t)
	c := rig.Start(t, rig.Options{Kafka: twoOfThree})
	l := start(t, c, verify.Options{})
	one, both := figures{what: what + ", the victim leads the partition only"}, figures{what: what + ", it leads the metadata too"}
	for round := range max(*rounds, 3) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
		l.settle(ctx, t)
		active := l.quorum(ctx, t).Leader
		victim := c.Node(active)
		if followers := c.Others(victim); round%3 != 2 {
			victim = followers[round%len(followers)]
		}
		led := l.led(ctx, t, victim)
		fault := time.Now()
		if err := take(victim); err != nil {
			t.Fatal(err)
		}
		gap := l.carriedOn(ctx, t, led, fault)
		t.Logf("round %d: node %d, %d ms; node %d led the metadata", round+1, victim.ID, gap.Milliseconds(), active)
		if victim.ID == active {
			both.add(gap)
		} else {
			one.add(gap)
		}
		if err := giveBack(ctx, victim); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	l.finish(t)
	all := figures{what: what + ", all", list: slices.Concat(one.list, both.list)}
	t.Logf("%v\n%v\n%v", &one, &both, &all)
	all.within(t, medianGoal, maxGoal)
}
