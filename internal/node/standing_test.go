package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/peer"
)

// calls counts what reaches the controller.
type calls struct {
	peer.Registrar
	beats int
}

func (c *calls) Heartbeat(context.Context, controller.Heartbeat) (controller.HeartbeatReply, error) {
	c.beats++
	return controller.HeartbeatReply{}, nil
}

// TestR6Standing: a node keeps its heartbeats back while its disk stands still, and is back when the disk has answered and it has a session again.
func TestR6Standing(t *testing.T) {
	var stalled time.Duration
	var alive, withdrawn bool
	s := &standing{limit: 600 * time.Millisecond, stalled: func() time.Duration { return stalled }, log: slog.New(slog.DiscardHandler),
		told: func(a, w bool) { alive, withdrawn = a, w }}
	c := new(calls)
	r := registrar{c, s}
	beat := func(h controller.Heartbeat) error {
		_, err := r.Heartbeat(t.Context(), h)
		return err
	}
	want := func(what string, wantAlive, wantWithdrawn bool, beats int) {
		t.Helper()
		if alive != wantAlive || withdrawn != wantWithdrawn || s.withdrawn.Load() != wantWithdrawn || c.beats != beats {
			t.Errorf("%s: alive %v, withdrawn %v, %d heartbeats; want %v, %v, %d", what, alive, withdrawn, c.beats, wantAlive, wantWithdrawn, beats)
		}
	}
	s.session(true)
	stalled = 550 * time.Millisecond
	if err := beat(controller.Heartbeat{}); err != nil {
		t.Error(err)
	}
	want("a short stall", true, false, 1)
	stalled = 600 * time.Millisecond
	if err := beat(controller.Heartbeat{}); !errors.Is(err, errStandsStill) || s.follows() {
		t.Errorf("the heartbeat of a node that stands still: %v", err)
	}
	want("a long one", false, true, 1)
	if err := beat(controller.Heartbeat{WantStop: true}); err != nil {
		t.Error(err)
	}
	want("it may be stopped all the same", false, true, 2)
	s.session(false)
	stalled = 0
	if err := beat(controller.Heartbeat{}); err != nil {
		t.Error(err)
	}
	want("the disk has answered, and no controller was heard of", false, true, 3)
	s.session(true)
	want("both", true, false, 3)
	s.session(false)
	want("a session that ends for another reason: it may still lead", false, false, 3)
	s.session(true)
	stalled = time.Second
	_ = beat(controller.Heartbeat{})
	stalled = 0
	_ = beat(controller.Heartbeat{})
	want("a stall that ends within the session", true, false, 4)
}
