package replica

import (
	"time"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// Leaders are the streams to the leaders that this broker follows. Ready says that a partition may have something for its
// leader: it is then asked, soon, on another goroutine, with Replica.Question, Ack and Credit. If there is no connection to that broker,
// one is made. Ready must not block or call back.
type Leaders interface {
	Ready(leader model.BrokerID, r *Replica)
}

// Question takes the subscription that is to be sent to that leader; nil if there is none.
func (r *Replica) Question(leader model.BrokerID) *replication.Subscribe {
	m := r.follows(leader)
	if m == nil {
		return nil
	}
	defer m.unlock()
	q := m.question
	m.question = nil
	return q
}

// Ack takes the acknowledgement that is to be sent to that leader, and Credit the credit.
func (r *Replica) Ack(leader model.BrokerID) (replication.Ack, bool) {
	m := r.follows(leader)
	if m == nil {
		return replication.Ack{}, false
	}
	defer m.unlock()
	return m.follower.Ack()
}

// Credit takes the credit that is to be sent to that leader.
func (r *Replica) Credit(leader model.BrokerID) (replication.Credit, bool) {
	m := r.follows(leader)
	if m == nil {
		return replication.Credit{}, false
	}
	defer m.unlock()
	return m.follower.Credit()
}

// Answered takes a leader's answer.
func (r *Replica) Answered(leader model.BrokerID, a replication.Answer) {
	if m := r.follows(leader); m != nil {
		defer m.unlock()
		if m.failed == nil {
			m.follower.Answer(a, time.Now())
		}
	}
}

// Batches takes a leader's batches, whose bytes owner holds; it is retained as long as they are needed. Nil: they never change.
func (r *Replica) Batches(leader model.BrokerID, b replication.Batches, owner *mem.Buf) {
	if m := r.follows(leader); m != nil {
		defer m.unlock()
		m.batches(b, owner)
	}
}

// Heard takes a leader's word on its watermark.
func (r *Replica) Heard(leader model.BrokerID, w replication.Watermark) {
	if m := r.follows(leader); m != nil {
		defer m.unlock()
		m.follower.HearWatermark(w)
	}
}

// LeaderLost tells that the connection to a leader has ended, or could not be made.
func (r *Replica) LeaderLost(leader model.BrokerID) {
	if m := r.follows(leader); m != nil {
		defer m.unlock()
		m.follower.LinkLost(time.Now())
	}
}

// follows returns the member, locked, if it follows that leader; else nil.
func (r *Replica) follows(leader model.BrokerID) *member {
	m := r.member.Load()
	if m == nil {
		return nil
	}
	m.mu.Lock()
	if m.follower != nil {
		if id, _ := m.follower.Leader(); id == leader {
			return m
		}
	}
	m.mu.Unlock()
	return nil
}
