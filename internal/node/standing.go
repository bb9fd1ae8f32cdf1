package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/peer"
)

// standing is what a node of a cluster thinks of its own place in it (R6). It is in service as long as an active controller is heard of within its
// session, and what that decides reaches the metadata here. It does not while the disk of the metadata stands still: nothing is applied before it
// is synced (M1), so that the node would go on telling clients that it leads what others lead by now. After a session's time of that the node counts
// its session as lost and keeps its heartbeats back, so that the controller fences it; it is back when the disk has answered and a
// heartbeat after it.
type standing struct {
	limit   time.Duration        // broker.session.timeout.ms
	stalled func() time.Duration // the disk of the metadata; see quorum.Raft.Stalled
	told    func(alive, withdrawn bool)
	log     *slog.Logger

	withdrawn atomic.Bool // clients are sent elsewhere

	mu    sync.Mutex
	alive bool // the session holds
	still bool // the disk stands still
}

// follows tells whether what is decided reaches the metadata here.
func (s *standing) follows() bool { return s.stalled() < s.limit }

// session takes whether the session holds.
func (s *standing) session(alive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive = alive
	s.tell()
}

// look takes what the disk does, and tells whether it has answered.
func (s *standing) look() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.still = !s.follows()
	s.tell()
	return !s.still
}

// tell passes on what has come of it. Who was withdrawn comes back with a session only: its metadata are those of before the stall until then.
func (s *standing) tell() {
	out := s.still || s.withdrawn.Load() && !s.alive
	switch before := s.withdrawn.Swap(out); {
	case out && !before:
		s.log.Error("the disk of this node's metadata stands still: the node leads nothing and keeps its heartbeats back until it answers; see to the disk",
			"silent_for", s.stalled().String())
	case before && !out:
		s.log.Info("the disk of this node's metadata answers again; the node is back")
	}
	s.told(s.alive && !s.still, out)
}

// errStandsStill is why no heartbeat was sent.
var errStandsStill = errors.New("the disk of this node's metadata has not answered for a session's time: the node keeps its heartbeats back, so that others lead; see to the disk")

// registrar is the active controller to a node that only asks it while it could follow the answers.
type registrar struct {
	peer.Registrar
	standing *standing
}

// Heartbeat implements peer.Registrar. A node that wants to stop may say so in any case.
func (r registrar) Heartbeat(ctx context.Context, h controller.Heartbeat) (controller.HeartbeatReply, error) {
	if !r.standing.look() && !h.WantStop {
		return controller.HeartbeatReply{}, errStandsStill
	}
	return r.Registrar.Heartbeat(ctx, h)
}
