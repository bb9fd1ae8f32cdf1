package replica

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
)

// TestE4RetentionClock: leaps forward are not followed until they are taken back; all else is.
func TestE4RetentionClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var off time.Duration // of the wall clock
		c := newRetentionClock(func() time.Time { return time.Now().Add(off) })
		for _, step := range []struct {
			what        string
			wait, leap  time.Duration
			want, ahead time.Duration // of the time for retention, against the right one; of the wall clock against that
		}{
			{"nothing happens", time.Hour, 0, 0, 0},
			{"it is steered forward", 5 * time.Minute, 50 * time.Second, 50 * time.Second, 0},
			{"and further", 5 * time.Minute, 50 * time.Second, 100 * time.Second, 0},
			{"a leap forward", 5 * time.Minute, 10 * time.Hour, 100 * time.Second, 10 * time.Hour},
			{"it stays", 48 * time.Hour, 0, 100 * time.Second, 10 * time.Hour},
			{"it is taken back", 5 * time.Minute, -10 * time.Hour, 100 * time.Second, 0},
			{"a leap back", 5 * time.Minute, -3 * time.Hour, 100*time.Second - 3*time.Hour, 0},
			{"which is taken back", 5 * time.Minute, 3 * time.Hour, 100 * time.Second, 0},
			{"within bounds", 5 * time.Minute, time.Minute, 160 * time.Second, 0},
			{"a little beyond", time.Second, time.Minute + 1, 160 * time.Second, time.Minute + 1},
		} {
			time.Sleep(step.wait) // in virtual time
			off += step.leap
			got, ahead := c.look()
			if want := time.Now().Add(step.want); !got.Equal(want) || ahead != step.ahead {
				t.Errorf("%s: the time is %v off, the leap %v; want %v and %v", step.what, got.Sub(time.Now()), ahead, step.want, step.ahead)
			}
		}
	})
}

// TestE4ALeapDeletesNothing: the wall clock leaps by a year; what is a day old stays, and the log says why. What becomes
// old by itself goes nevertheless.
func TestE4ALeapDeletesNothing(t *testing.T) {
	g := open(t, crashfs.New(1))
	start := time.Now().Round(0)
	wall, uptime := start, time.Duration(0)
	g.clock.wall, g.clock.uptime = func() time.Time { return wall }, func() time.Duration { return uptime }
	g.clock.trusted, g.clock.seen = wall, 0
	a := assign(t0, 1, 0)
	a.Settings.Log.RetentionMs = (7 * 24 * time.Hour).Milliseconds()
	g.Ensure(a)
	r := g.Get(t0)
	w := make(outcome, 1)
	old := start.Add(-24 * time.Hour).UnixMilli()
	if _, err := r.Append(Append{Batch: batch(t, record.Options{}, old), Acks: 1, Waiter: w}); err != nil {
		t.Fatal(err)
	}
	if err := w.result(t); err != nil {
		t.Fatal(err)
	}
	check := func(want model.Offset) {
		t.Helper()
		g.EnforceRetention(context.Background())
		log, err := r.Log()
		if err != nil {
			t.Fatal(err)
		}
		if at := log.Start(); at != want {
			t.Errorf("after %v, the wall clock at %v, the log starts at %d, want %d", uptime, wall.Sub(start), at, want)
		}
	}
	check(0)
	wall, uptime = start.Add(365*24*time.Hour), time.Hour
	check(0)
	if said := g.log.String(); !strings.Contains(said, "clock") {
		t.Errorf("the log does not tell of the leap: %s", said)
	}
	wall, uptime = wall.Add(7*24*time.Hour), uptime+7*24*time.Hour
	check(1)
}
