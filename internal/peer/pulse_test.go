package peer

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/model"
)

// TestPulse lets random things happen at random times, stalls of the process among them, and holds the pulse to what it promises: no two calls
// at a time, no faster than its interval unless something is due at once, never alive beyond the session of a heartbeat that was answered, nor
// when what it was told then is not known a session later, and lost and back in turns.
func TestPulse(t *testing.T) {
	lags := false
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 3))
		p := newPulse(beatEach, lasts)
		now := time.Unix(1000, 0)
		var (
			call    *order
			left    time.Time // of the call under way
			contact time.Time // the newest that was answered
			alive   bool
			calls   int

			decided, applied uint64    // metadata
			behind           time.Time // when the oldest heartbeat left whose answer told of more than is applied; zero: none
			stuck            bool      // nothing is applied
		)
		hear := func(events []event) {
			for _, e := range events {
				switch {
				case e == back && alive, e == lost && !alive:
					t.Fatalf("seed %d: event %d, alive %v", seed, e, alive)
				case e == back, e == lost:
					alive = e == back
				case e == registered:
					contact = time.Time{}
				}
			}
		}
		for range 300 {
			now = now.Add(time.Duration(rng.Int64N(int64(80 * time.Millisecond))))
			if rng.IntN(50) == 0 {
				now = now.Add(time.Duration(rng.Int64N(int64(2 * time.Second))))
			}
			if decided += rng.Uint64N(2); rng.IntN(40) == 0 {
				stuck = !stuck
			}
			if !stuck && rng.IntN(2) == 0 {
				applied, behind = decided, time.Time{}
			}
			hear(p.check(now, applied))
			if alive && !behind.IsZero() && !now.Before(behind.Add(lasts)) {
				t.Fatalf("seed %d: alive, and %v behind", seed, now.Sub(behind))
			}
			if alive && !now.Before(contact.Add(lasts)) {
				t.Fatalf("seed %d: alive %v after the last contact", seed, now.Sub(contact))
			}
			if o, ok := p.next(now); ok {
				if call != nil {
					t.Fatalf("seed %d: two calls at a time", seed)
				}
				calls++
				call, left = &o, now
			}
			if call == nil || rng.IntN(3) > 0 {
				continue
			}
			o := *call
			call = nil
			switch n := rng.IntN(10); {
			case n == 0:
				hear(p.failed(o, &controller.Refusal{Reason: controller.StaleBrokerEpoch}))
			case n == 1:
				hear(p.failed(o, &controller.Refusal{Reason: controller.Settling}))
			case n < 4:
				hear(p.failed(o, ErrUnavailable))
			case o.register:
				hear(p.enrolled(model.BrokerEpoch(calls)))
			default:
				if o.anew || alive && now.Before(contact.Add(lasts)) {
					contact = left
				}
				if o.anew {
					applied, behind = max(applied, decided), time.Time{} // it has waited for that
				} else if behind.IsZero() && applied < decided {
					behind = left
				}
				hear(p.answered(now, o, controller.HeartbeatReply{Fenced: rng.IntN(2) == 0, AsOf: decided}))
				lags = lags || !behind.IsZero()
			}
			if at := p.wake(); at.IsZero() && p.due.After(now) {
				t.Fatalf("seed %d: nothing will wake it", seed)
			}
		}
	}
	if !lags {
		t.Error("it was never behind")
	}
}

// TestPulseBehind: a node that hears from the controller and does not learn what is decided has no session after a while (R6).
func TestPulseBehind(t *testing.T) {
	p := newPulse(beatEach, lasts)
	now := time.Unix(1000, 0)
	beat := func(asOf, applied uint64) []event {
		t.Helper()
		events := p.check(now, applied)
		o, ok := p.next(now)
		if !ok {
			t.Fatal("a heartbeat is due")
		}
		events = append(events, p.answered(now, o, controller.HeartbeatReply{AsOf: asOf})...)
		now = now.Add(beatEach)
		return events
	}
	if o, _ := p.next(now); !o.register {
		t.Fatal("it registers first")
	}
	p.enrolled(1)
	if got := beat(5, 5); !slices.Equal(got, []event{back}) {
		t.Fatalf("events %v at the first answer", got)
	}
	for n := range uint64(20) {
		if got := beat(6+n, 5+n); got != nil { // one entry behind, and no session behind
			t.Fatalf("events %v in beat %d", got, n)
		}
	}
	var lostAfter time.Duration
	stuck := now
	for now.Sub(stuck) < 2*lasts {
		if slices.Contains(beat(40, 25), lost) && lostAfter == 0 {
			lostAfter = now.Add(-beatEach).Sub(stuck)
		}
	}
	if lostAfter < lasts || lostAfter > lasts+beatEach {
		t.Errorf("the session is lost after %v", lostAfter)
	}
}

// TestPulseAfterAStall: the process stood still for longer than the session. It is lost before anything else is done, and a late answer does not
// bring it back.
func TestPulseAfterAStall(t *testing.T) {
	p := newPulse(beatEach, lasts)
	now := time.Unix(1000, 0)
	step := func(want ...event) func([]event) {
		return func(got []event) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Fatalf("events %v, want %v", got, want)
			}
		}
	}
	o, _ := p.next(now)
	step(registered)(p.enrolled(1))
	o, _ = p.next(now)
	step(back, changed)(p.answered(now, o, controller.HeartbeatReply{CaughtUp: true}))
	now = now.Add(beatEach)
	o, ok := p.next(now)
	if !ok {
		t.Fatal("a heartbeat is due")
	}
	now = now.Add(10 * time.Second)
	step(lost)(p.check(now, 0))
	step()(p.answered(now, o, controller.HeartbeatReply{CaughtUp: true}))
	if o, ok = p.next(now); !ok {
		t.Fatal("a heartbeat is due")
	}
	step(back)(p.answered(now.Add(time.Millisecond), o, controller.HeartbeatReply{CaughtUp: true}))
}
