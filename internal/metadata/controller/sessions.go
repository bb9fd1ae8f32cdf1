package controller

import (
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Sessions knows which nodes the active controller hears from. It is kept by one controller for one term: a new
// one begins with an empty value, and every node has a whole session to be heard, but for the one that is known to have been silent before.
//
// Its clock is not the wall's. It advances with each call by the time since the call before, and by one tick if that is
// much longer than a tick: then it was this process that stood still, and the nodes' heartbeats wait to be read (R8).
//
// Concurrency: one caller at a time.
type Sessions struct {
	timeout, tick time.Duration
	started       bool
	last          time.Time
	clock         time.Duration
	nodes         map[model.BrokerID]session
}

type session struct {
	epoch int64         // of the registration that it belongs to
	seen  time.Duration // on the clock
	heard bool          // by a heartbeat, and not only expected to be
}

// stallTicks is how many ticks may pass between two calls before the time counts as this process's own stall.
const stallTicks = 4

// NewSessions returns sessions that end after timeout without a heartbeat. The caller calls Expired once per tick, or
// more often.
func NewSessions(timeout, tick time.Duration) *Sessions {
	return &Sessions{timeout: timeout, tick: tick, nodes: map[model.BrokerID]session{}}
}

// graceTicks is how many ticks a node has at least to be heard by a new controller: one that lives sends heartbeats several times as often, and learns
// from the quorum at once whom to send them to.
const graceTicks = 4

// Unheard says that nothing had come from a node's registration for so long when this controller became active: from the controller before, which
// the quorum has missed. Its session began when it was heard last, and ends then, too; but it has a moment to be heard here. To be called first. silence must not
// contain time in which this process stood still (R8).
func (s *Sessions) Unheard(id model.BrokerID, epoch int64, silence time.Duration) {
	if _, known := s.nodes[id]; known {
		return
	}
	s.nodes[id] = session{epoch: epoch, seen: s.clock - max(0, min(silence, s.timeout-graceTicks*s.tick))}
}

// advance moves the clock to now. It never goes back (E4).
func (s *Sessions) advance(now time.Time) {
	step := now.Sub(s.last)
	switch {
	case !s.started:
		s.started, step = true, 0
	case step < 0:
		step = 0
	case step > stallTicks*s.tick:
		step = s.tick
	}
	s.clock += step
	s.last = now
}

// Touch notes a heartbeat of a node's registration.
func (s *Sessions) Touch(id model.BrokerID, epoch int64, now time.Time) {
	s.advance(now)
	if known, ok := s.nodes[id]; ok && known.epoch > epoch {
		return // a late one of an earlier incarnation
	}
	s.nodes[id] = session{epoch: epoch, seen: s.clock, heard: true}
}

// Live tells whether a heartbeat came from the node's latest registration within its session. A node that is only
// given time to be heard is not live: its next incarnation need not wait.
func (s *Sessions) Live(id model.BrokerID, now time.Time) bool {
	s.advance(now)
	known, ok := s.nodes[id]
	return ok && known.heard && s.clock-known.seen <= s.timeout
}

// Expired returns, by ID, the nodes in service whose sessions have ended: they are to be fenced.
func (s *Sessions) Expired(m *image.Image, now time.Time) []model.BrokerID {
	s.advance(now)
	var out []model.BrokerID
	for _, n := range m.Nodes() {
		known, ok := s.nodes[n.ID]
		if !ok || known.epoch < n.Epoch {
			s.nodes[n.ID] = session{epoch: n.Epoch, seen: s.clock}
			continue
		}
		if !n.Fenced && s.clock-known.seen > s.timeout {
			out = append(out, n.ID)
		}
	}
	s.forget(m)
	return out
}

// forget drops the sessions of nodes that are not registered any more.
func (s *Sessions) forget(m *image.Image) {
	if len(s.nodes) <= len(m.Nodes()) {
		return
	}
	for id := range s.nodes {
		if m.Node(id) == nil {
			delete(s.nodes, id)
		}
	}
}
