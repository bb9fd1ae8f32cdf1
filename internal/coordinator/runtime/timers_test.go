package runtime

import (
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// TestStoodStill: the process is stopped for a minute, in which a member's time comes to its end. Its heartbeat, which was sent meanwhile, is heard
// first; a member that is gone indeed is found out a little later.
func TestStoodStill(t *testing.T) {
	for _, beats := range []bool{true, false} {
		inRig(t, 1, func(g *rig) {
			const session = 10 * time.Second
			beat := func() {
				g.Ask("a", func(_ *tally, now time.Time) shard.Result {
					return shard.Result{Sees: model.NoOffset, Timers: []shard.TimerChange{{Key: shard.TimerKey{Group: "a"}, At: now.Add(session)}}}
				}, func(err error) { t.Error(err) })
			}
			rang := func() (n int) {
				synctest.Wait()
				g.Ask("a", func(m *tally, _ time.Time) shard.Result {
					n = len(m.rang)
					return shard.Result{Sees: model.NoOffset}
				}, func(err error) { t.Error(err) })
				return n
			}
			beat()
			time.Sleep(session - time.Second)
			g.stood.Add(int64(time.Minute))
			time.Sleep(time.Second)
			if rang() != 0 {
				t.Fatal("its time was over before it was listened to")
			}
			want := 1
			if beats {
				beat()
				want = 0
			}
			time.Sleep(catchUp + time.Millisecond)
			if n := rang(); n != want {
				t.Errorf("beats: %t: the timer rang %d times, want %d", beats, n, want)
			}
			time.Sleep(session)
			if n := rang(); n != 1 {
				t.Errorf("beats: %t: the timer rang %d times in the end", beats, n)
			}
		})
	}
}
