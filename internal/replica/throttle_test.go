package replica

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/config"
	"chronik/internal/replication"
	"chronik/internal/vfs/crashfs"
)

// hungry is a partition that takes all that it is let have, at most so much at a time.
type hungry struct {
	t    *throttle
	most int
	all  bool
	got  atomic.Int64 // who wakes it may be anybody
}

func (h *hungry) Wake() {
	if h.all {
		h.got.Add(int64(h.t.takeAll(h.most, h)))
		return
	}
	for leave := -1; leave != 0; h.got.Add(int64(leave)) {
		leave = h.t.take(h.most, h)
	}
}

// TestThrottleIsFair: those who wait share the rate, though one of them is always asked first and takes all that there is.
func TestThrottleIsFair(t *testing.T) {
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var th throttle
			th.setRate(1_000_000)
			defer th.stop()
			var eaters []*hungry
			for range 5 {
				h := &hungry{t: &th, most: 400_000, all: all}
				eaters = append(eaters, h)
				h.Wake()
			}
			time.Sleep(10 * time.Second) // virtual
			synctest.Wait()
			th.mu.Lock()
			defer th.mu.Unlock()
			sum := int64(0)
			for i, h := range eaters {
				got := h.got.Load()
				if got < 1_800_000 || got > 2_200_000 {
					t.Errorf("number %d of 5 got %d bytes in ten seconds at 1 MB/s", i, got)
				}
				sum += got
			}
			if sum > 10_100_000 {
				t.Errorf("%d bytes in ten seconds at 1 MB/s", sum)
			}
		})
	}
}

// TestThrottleIsLifted: whoever waits is woken at once when the rate is raised.
func TestThrottleIsLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		th.setRate(0)
		defer th.stop()
		h := &hungry{t: &th, most: 1000, all: true}
		h.Wake()
		time.Sleep(time.Minute) // virtual
		if got := h.got.Load(); got != 0 {
			t.Errorf("%d bytes at rate 0", got)
		}
		th.setRate(replication.NoLimit)
		if got := h.got.Load(); got != 1000 {
			t.Errorf("%d bytes of 1000 without a limit", got)
		}
		began := time.Now()
		th.setRate(1000)
		if err := th.wait(t.Context(), 10_000); err != nil || time.Since(began) < 9900*time.Millisecond || time.Since(began) > 10100*time.Millisecond {
			t.Errorf("waiting for 10,000 bytes at 1,000 per second took %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := th.wait(ctx, 10_000); err == nil {
			t.Error("a wait does not end with its context")
		}
	})
}

func TestThrottledReplicas(t *testing.T) {
	s := SettingsOf(&config.Topic{LeaderThrottledReplicas: []string{"0:1", "12:3"}, FollowerThrottledReplicas: []string{"*"}}, 0)
	if !s.LeaderThrottled.Has(0, 1) || !s.LeaderThrottled.Has(12, 3) || s.LeaderThrottled.Has(0, 3) || s.LeaderThrottled.Has(1, 1) {
		t.Error("a list names other replicas than those in it")
	}
	if !s.FollowerThrottled.Has(7, 8) {
		t.Error("* does not name all replicas")
	}
	if none := SettingsOf(&config.Topic{}, 0); none.LeaderThrottled.Has(0, 0) || none.FollowerThrottled.Has(0, 0) {
		t.Error("no list names a replica")
	}
}

// TestMoveIsThrottled: a move between directories copies at its rate, and at once when the rate is lifted.
func TestMoveIsThrottled(t *testing.T) {
	for _, lift := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := onDirs(t, crashfs.New(1), nil, "/a", "/b")
			defer func() { _ = g.end() }()
			g.Ensure(assign(t0, 1, 0))
			g.Started()
			r := g.Get(t0)
			for range 100 {
				put(t, r)
			}
			l, err := r.Log()
			if err != nil {
				t.Fatal(err)
			}
			rate := l.Size() / 10
			g.Throttle(Rates{Leader: replication.NoLimit, Follower: replication.NoLimit, Dirs: rate})
			began := time.Now()
			if err := g.Move(t0, "/b"); err != nil {
				t.Fatal(err)
			}
			least, most := 9*time.Second, 11*time.Second
			if lift {
				time.Sleep(2 * time.Second) // virtual
				g.Throttle(Rates{Leader: replication.NoLimit, Follower: replication.NoLimit, Dirs: replication.NoLimit})
				least, most = 2*time.Second, 3100*time.Millisecond // it looks at the rate once a second
			}
			settleMove(r)
			if took := time.Since(began); took < least || took > most || r.Dir() != "/b" {
				t.Errorf("%d bytes at %d per second took %v, and it lies in %s", l.Size(), rate, took, r.Dir())
			}
		})
	}
}
