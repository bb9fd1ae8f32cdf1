package replica

import (
	"time"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/replication/stream"
)

// Leaders are the links to the brokers that lead what this broker follows.
type Leaders interface {
	// Receiver returns what is followed of a broker. If there is no link to it, one is made. It must not block.
	Receiver(leader model.BrokerID) *stream.Receiver
}

// source is a partition as the Receiver of one of its leaders knows it. What comes from a leader that is not followed any more is
// dropped here; what belongs to another epoch or subscription of the same leader, by the core.
type source struct {
	*member
	leader model.BrokerID
	route  *stream.Route
}

var _ stream.Following = (*source)(nil)

// subscribe sends a question to the leader. It is called by whoever does what is in the outbox.
func (m *member) subscribe(leader model.BrokerID, q replication.Subscribe) {
	if m.source == nil || m.source.leader != leader {
		m.hangUp()
		s := &source{member: m, leader: leader}
		s.route = m.set.env.Leaders.Receiver(leader).Follow(s)
		m.source = s
	}
	m.source.route.Subscribe(q)
}

// hangUp ends the route to the last leader. It is called by whoever does what is in the outbox.
func (m *member) hangUp() {
	if m.source != nil {
		m.source.route.Close()
		m.source = nil
	}
}

// lock takes the mutex, if the leader is still followed.
func (s *source) lock() bool {
	m := s.member
	m.mu.Lock()
	if m.follower != nil && m.failed == nil {
		if id, _ := m.follower.Leader(); id == s.leader {
			return true
		}
	}
	m.mu.Unlock()
	return false
}

// Answer implements stream.Following.
func (s *source) Answer(a replication.Answer) {
	if s.lock() {
		defer s.unlock()
		s.follower.Answer(a, time.Now())
	}
}

// Batches implements stream.Following.
func (s *source) Batches(b replication.Batches, owner *mem.Buf) {
	if s.lock() {
		defer s.unlock()
		s.batches(b, owner)
	}
}

// Watermark implements stream.Following.
func (s *source) Watermark(w replication.Watermark) {
	if s.lock() {
		defer s.unlock()
		s.follower.HearWatermark(w)
	}
}

// Report implements stream.Following.
func (s *source) Report(out *stream.Report) {
	if s.lock() {
		defer s.unlock()
		out.Ack, out.HasAck = s.follower.Ack()
		out.Credit, out.HasCredit = s.credit()
	}
}

// LinkLost implements stream.Following.
func (s *source) LinkLost() {
	if s.lock() {
		defer s.unlock()
		s.follower.LinkLost(time.Now())
	}
}
