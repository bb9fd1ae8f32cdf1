package replica

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// coordinate appends as a coordinator does that was loaded in an epoch.
func coordinate(t testing.TB, r *Replica, epoch model.LeaderEpoch, w outcome) error {
	t.Helper()
	_, err := r.Append(Append{Batch: batch(t, record.Options{}, now), Acks: -1, Waiter: w, By: &Coordinator{Epoch: epoch}})
	return err
}

// TestG3CoordinatorOfAnotherEpoch: with one replica, a coordinator's appends, its answers and its load are of one leader epoch.
func TestG3CoordinatorOfAnotherEpoch(t *testing.T) {
	g := open(t, crashfs.New(1))
	g.Ensure(assign(t0, 1, 5))
	r := g.Get(t0)
	put(t, r)
	g.Ensure(assign(t0, 1, 7))
	for epoch, want := range map[model.LeaderEpoch]error{5: ErrNotLeader, 6: ErrNotLeader, 7: nil, 8: ErrNotLeader} {
		if err := r.Leads(epoch); !errors.Is(err, want) {
			t.Errorf("Leads(%d): %v, want %v", epoch, err, want)
		}
		if end, err := r.LeaderEnd(epoch); !errors.Is(err, want) || err == nil && end != 1 {
			t.Errorf("LeaderEnd(%d) = %d, %v; want 1, %v", epoch, end, err, want)
		}
	}
	for _, epoch := range []model.LeaderEpoch{5, 6, 8} {
		if err := coordinate(t, r, epoch, nil); !errors.Is(err, ErrNotLeader) {
			t.Errorf("appending in epoch %d: %v, want ErrNotLeader", epoch, err)
		}
	}
	told := make(outcome, 1)
	if err := coordinate(t, r, 7, told); err != nil || told.result(t) != nil {
		t.Errorf("appending in the present epoch: %v", err)
	}
	if end, err := r.LeaderEnd(7); err != nil || end != 2 {
		t.Errorf("the log ends at %d, %v; want 2: nothing of other epochs", end, err)
	}
	left := assign(t0, 1, 7)
	left.State = alone(model.NoBroker, 7)
	g.Ensure(left)
	if err := r.Leads(7); !errors.Is(err, ErrNotLeader) {
		t.Errorf("Leads after the leadership went: %v", err)
	}
}

// TestLeaderEndWakes: whoever waits for a partition to be led, and for its log, is woken.
func TestLeaderEndWakes(t *testing.T) {
	fs := crashfs.New(1)
	g := open(t, fs)
	g.Ensure(assign(t0, 1, 5))
	put(t, g.Get(t0))
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	g = open(t, fs)
	nobody := assign(t0, 1, 5)
	nobody.State = alone(model.NoBroker, 5)
	g.Ensure(nobody)
	r := g.Get(t0)
	w := NewWatcher()
	r.Watch(w)
	defer r.Unwatch(w)
	if _, err := r.LeaderEnd(5); !errors.Is(err, ErrNotLeader) {
		t.Fatalf("LeaderEnd where nobody leads: %v", err)
	}
	g.Ensure(assign(t0, 1, 5))
	woken(t, w)
	for { // the log may be open before its watermark is known
		end, err := r.LeaderEnd(5)
		if err != nil || end != 1 {
			t.Fatalf("LeaderEnd(5) = %d, %v; want 1", end, err)
		}
		if r.HighWatermark() == end {
			return
		}
		woken(t, w)
	}
}

// TestLeaderEndStorage: a log that cannot be opened is no log that ends somewhere.
func TestLeaderEndStorage(t *testing.T) {
	fs := faultfs.New(crashfs.New(1))
	g := open(t, fs)
	g.Ensure(assign(t0, 1, 5))
	put(t, g.Get(t0))
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	g = open(t, fs)
	fs.Inject(faultfs.Rule{Ops: faultfs.OpOpen | faultfs.OpReadDir, Err: syscall.EIO})
	g.Ensure(assign(t0, 1, 5))
	if end, err := g.Get(t0).LeaderEnd(5); !errors.Is(err, ErrStorage) {
		t.Errorf("LeaderEnd(5) = %d, %v; want ErrStorage", end, err)
	}
}

// TestG3CoordinatorAmongReplicas: with several replicas, the coordinator of an epoch before appends nothing, not even where this broker leads again.
func TestG3CoordinatorAmongReplicas(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		old := g.brokers[1].Get(t0)
		first := g.state.LeaderEpoch
		told := make(outcome, 1)
		if err := coordinate(t, old, first, told); err != nil || told.result(t) != nil {
			t.Fatalf("appending in the epoch of its load: %v", err)
		}
		g.elect(2)
		settle()
		if err := coordinate(t, old, first, nil); !errors.Is(err, ErrNotLeader) {
			t.Errorf("appending after another broker was elected: %v", err)
		}
		g.elect(1)
		settle()
		for _, err := range []error{coordinate(t, old, first, nil), old.Leads(first)} {
			if !errors.Is(err, ErrNotLeader) {
				t.Errorf("the epoch before, where this broker leads again: %v, want ErrNotLeader", err)
			}
		}
		again := g.state.LeaderEpoch
		end, err := old.LeaderEnd(again)
		if err != nil || end != 1 || old.Leads(again) != nil {
			t.Errorf("LeaderEnd(%d) = %d, %v; want 1", again, end, err)
		}
		told = make(outcome, 1)
		if err := coordinate(t, old, again, told); err != nil || told.result(t) != nil {
			t.Errorf("appending in the new epoch: %v", err)
		}
	})
}

// TestR6LeadsNotWithoutController: a leader that has not heard of a controller within its session may not be one any more.
func TestR6LeadsNotWithoutController(t *testing.T) {
	inGroup(t, 2, func(t *testing.T, g *group) {
		settle()
		p := g.brokers[1].process
		r, epoch := p.Get(t0), g.state.LeaderEpoch
		alive := true
		p.env.Session = func() bool { return alive }
		if err := r.Leads(epoch); err != nil {
			t.Fatal(err)
		}
		alive = false
		if err := r.Leads(epoch); !errors.Is(err, ErrNotLeader) {
			t.Errorf("Leads without a controller: %v", err)
		}
	})
}

// TestE4WallClockTrusted: not after a leap forward, until that is taken back.
func TestE4WallClockTrusted(t *testing.T) {
	var leap time.Duration
	s := &Set{clock: newRetentionClock(func() time.Time { return time.Now().Add(leap) })}
	for _, step := range []struct {
		leap time.Duration
		want bool
	}{{0, true}, {time.Hour, false}, {0, true}, {-time.Hour, true}} {
		if leap = step.leap; s.WallClockTrusted() != step.want {
			t.Errorf("%v off: trusted %v, want %v", leap, !step.want, step.want)
		}
	}
}
