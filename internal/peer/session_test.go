package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

const (
	beatEach = 100 * time.Millisecond
	lasts    = 600 * time.Millisecond
)

// owner writes down what its session tells it.
type owner struct {
	start time.Time
	mu    sync.Mutex
	heard []string
	at    []time.Duration

	images *image.Store // nil: it knows all
}

func (o *owner) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.heard = append(o.heard, fmt.Sprintf(format, args...))
	o.at = append(o.at, time.Since(o.start))
}

func (o *owner) Registration() controller.Registration { return controller.Registration{} }
func (o *owner) Applied() uint64                       { return 5 }
func (o *owner) Follow(ctx context.Context, index uint64) (err error) {
	if o.images != nil {
		_, err = o.images.Wait(ctx, index)
	}
	return err
}
func (o *owner) Registered(e model.BrokerEpoch) { o.note("registered %d", e) }
func (o *owner) Back()                          { o.note("back") }
func (o *owner) Lost(error)                     { o.note("lost") }
func (o *owner) Changed(r controller.HeartbeatReply) {
	o.note("changed: fenced %v, stopping %v", r.Fenced, r.Stopping)
}
func (o *owner) Refused(err error) { o.note("refused: %v", err) }
func (o *owner) Removed(error)     { o.note("removed") }

func (o *owner) take() ([]string, []time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	heard, at := o.heard, o.at
	o.heard, o.at = nil, nil
	return heard, at
}

func (o *owner) want(t *testing.T, want ...string) []time.Duration {
	t.Helper()
	heard, at := o.take()
	if !slices.Equal(heard, want) {
		t.Errorf("the owner heard %q at %v, want %q", heard, at, want)
		return make([]time.Duration, len(want))
	}
	return at
}

// keep runs a session of a broker and waits for it at the end.
func keep(t *testing.T, c Registrar) (*Session, *owner, func() error) {
	o := &owner{start: time.Now()}
	s := NewSession(SessionOptions{Interval: beatEach, Timeout: lasts, Controller: c, Owner: o})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	end := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = end() })
	return s, o, end
}

// TestSessionThroughAFailover: the controller is lost, and another one takes over within the session; later on there is none for longer.
func TestSessionThroughAFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		s, o, _ := keep(t, w.brokers[1].client)
		time.Sleep(1050 * time.Millisecond)
		o.want(t, "registered 17", "back", "changed: fenced false, stopping false")
		if n := len(w.brokers[2].heard()); n < 11 || n > 14 {
			t.Errorf("%d calls in a second", n)
		}
		if !s.Holds() || s.Epoch() != 17 {
			t.Errorf("holds: %v, epoch %d", s.Holds(), s.Epoch())
		}
		w.apart(2)
		time.Sleep(250 * time.Millisecond)
		w.lead(3)
		time.Sleep(3 * time.Second)
		o.want(t)
		if !s.Holds() {
			t.Error("the session ended although the next controller was there in time")
		}
		w.lead(model.NoBroker)
		cut := time.Since(o.start)
		time.Sleep(lasts - 110*time.Millisecond)
		o.want(t)
		time.Sleep(120 * time.Millisecond)
		at := o.want(t, "lost")
		if after := at[0] - cut; after > lasts || after < lasts-2*beatEach || s.Holds() {
			t.Errorf("lost after %v; holds: %v", after, s.Holds())
		}
		w.lead(3)
		time.Sleep(300 * time.Millisecond)
		o.want(t, "back")
		if !s.Holds() {
			t.Error("it is back")
		}
	})
}

// TestSessionCountsFromTheHeartbeat: an answer that comes late is worth only what is left of the session (R6).
func TestSessionCountsFromTheHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		s, o, _ := keep(t, w.brokers[1].client)
		time.Sleep(time.Second)
		slow := make(chan time.Time, 100)
		w.brokers[2].set(fake{heartbeat: func(context.Context, Caller, controller.Heartbeat) (controller.HeartbeatReply, error) {
			slow <- time.Now()
			time.Sleep(190 * time.Millisecond) // then it does not answer at all
			w.brokers[2].set(fake{heartbeat: func(ctx context.Context, _ Caller, _ controller.Heartbeat) (controller.HeartbeatReply, error) {
				<-ctx.Done()
				return controller.HeartbeatReply{}, ctx.Err()
			}})
			return controller.HeartbeatReply{CaughtUp: true}, nil
		}})
		left := <-slow
		o.take()
		for s.Holds() {
			time.Sleep(time.Millisecond)
		}
		if held := time.Since(left); held > lasts+time.Millisecond {
			t.Errorf("the session held for %v after the heartbeat had left", held)
		}
		synctest.Wait()
		o.want(t, "lost")
	})
}

// TestSessionWaitsForTheMetadata: after a time without a session others may lead what this broker led. It has no session before it knows; what it does not
// know while its session goes on was not decided behind its back (R6, G1).
func TestSessionWaitsForTheMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		var asOf atomic.Uint64
		w.brokers[2].set(fake{heartbeat: func(context.Context, Caller, controller.Heartbeat) (controller.HeartbeatReply, error) {
			return controller.HeartbeatReply{CaughtUp: true, AsOf: asOf.Load()}, nil
		}})
		w.lead(2)
		s, o, _ := keep(t, w.brokers[1].client)
		time.Sleep(time.Second)
		o.take()
		o.images = image.NewStore(image.New("cluster")) // which has index 0
		asOf.Store(1)
		time.Sleep(time.Second)
		o.want(t)
		w.lead(model.NoBroker)
		time.Sleep(time.Second)
		o.want(t, "lost")
		w.lead(2)
		time.Sleep(time.Second)
		o.want(t)
		if s.Holds() {
			t.Error("the session holds, and the broker does not know what was decided without it")
		}
		im, _, err := image.Apply(o.images.Load(), nil, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		o.images.Publish(im)
		synctest.Wait()
		time.Sleep(beatEach)
		o.want(t, "back")
		if !s.Holds() {
			t.Error("the broker knows all, and the session does not hold")
		}
	})
}

// TestStaleEpoch: a controller that knows another registration ends the session at once, and there is a new one.
func TestStaleEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		var mu sync.Mutex
		epoch := int64(20)
		w.brokers[2].set(fake{
			register: func(context.Context, Caller, controller.Registration) (model.BrokerEpoch, error) {
				mu.Lock()
				defer mu.Unlock()
				return model.BrokerEpoch(epoch), nil
			},
			heartbeat: func(_ context.Context, _ Caller, h controller.Heartbeat) (controller.HeartbeatReply, error) {
				mu.Lock()
				defer mu.Unlock()
				if h.Epoch != epoch {
					return controller.HeartbeatReply{}, &controller.Refusal{Reason: controller.StaleBrokerEpoch, Message: "stale"}
				}
				return controller.HeartbeatReply{CaughtUp: true, Fenced: true}, nil
			},
		})
		s, o, _ := keep(t, w.brokers[1].client)
		time.Sleep(time.Second)
		o.want(t, "registered 20", "back", "changed: fenced true, stopping false")
		mu.Lock()
		epoch = 30
		mu.Unlock()
		time.Sleep(beatEach + 10*time.Millisecond)
		o.want(t, "lost", "registered 30", "back", "changed: fenced true, stopping false")
		if s.Epoch() != 30 || !s.Holds() {
			t.Errorf("epoch %d, holds %v", s.Epoch(), s.Holds())
		}
	})
}

// TestRefusedAndRemoved: a registration that is refused is tried again at its pace; a broker that was unregistered does not come back.
func TestRefusedAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		w.brokers[2].set(fake{register: func(context.Context, Caller, controller.Registration) (model.BrokerEpoch, error) {
			return 0, &controller.Refusal{Reason: controller.Settling, Message: "ask again"}
		}})
		_, o, end := keep(t, w.brokers[1].client)
		time.Sleep(time.Second - 50*time.Millisecond)
		if heard, _ := o.take(); len(heard) != 10 || heard[0] != "refused: ask again" {
			t.Errorf("in a second: %q", heard)
		}
		w.brokers[2].set(fake{heartbeat: func(context.Context, Caller, controller.Heartbeat) (controller.HeartbeatReply, error) {
			return controller.HeartbeatReply{}, &controller.Refusal{Reason: controller.UnknownBroker, Message: "who?"}
		}})
		time.Sleep(time.Second)
		o.want(t, "registered 17", "removed")
		if err := end(); !errors.Is(err, ErrRemoved) {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestShutdown: the broker hands over while heartbeats go on, then leaves.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.lead(2)
		beats := 0
		w.brokers[2].set(fake{heartbeat: func(_ context.Context, _ Caller, h controller.Heartbeat) (controller.HeartbeatReply, error) {
			if h.Stopped {
				return controller.HeartbeatReply{Fenced: true, MayStop: true}, nil
			}
			if !h.WantStop {
				return controller.HeartbeatReply{CaughtUp: true, MayStop: true}, nil // which is not asked
			}
			beats++
			return controller.HeartbeatReply{CaughtUp: true, Stopping: true, Waiting: 5 - beats, MayStop: beats == 5}, nil
		}})
		s, o, end := keep(t, w.brokers[1].client)
		time.Sleep(time.Second)
		if err := s.HandOver(within(t, 50*time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before it may stop: %v", err)
		}
		if err := s.HandOver(within(t, time.Second)); err != nil || beats != 5 || !s.Holds() {
			t.Errorf("handed over: %v, after %d heartbeats", err, beats)
		}
		o.take()
		if err := s.Leave(within(t, time.Second)); err != nil {
			t.Error(err)
		}
		if err := end(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if s.Holds() {
			t.Error("it has left")
		}
		if err := s.HandOver(within(t, time.Second)); err != nil {
			t.Errorf("what was reached is reached: %v", err)
		}
	})
}

// TestLeaveWithoutController ends with the context, and with the session.
func TestLeaveWithoutController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		s, _, end := keep(t, w.brokers[1].client)
		if err := s.Leave(within(t, time.Second)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := s.Leave(within(t, time.Second)); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
	})
}
