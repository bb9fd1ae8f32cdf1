package quorum

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// predecessor is who led last besides this member, and for how long nothing has come from it. Time is counted in ticks: while this process stands
// still nobody is silent (R8).
type predecessor struct {
	id    uint64
	ticks int
}

// hear notes a message of another replica, after Raft has taken it.
func (p *predecessor) hear(msg *pb.Message, r role) {
	if !r.leading && msg.GetFrom() == r.leader {
		p.id = r.leader
	}
	if msg.GetFrom() == p.id {
		p.ticks = 0
	}
}

// Predecessor is the replica that led before this one, as far as it was ever heard here, and how long it has been silent. Who waits to hear from
// its node otherwise need not begin to wait only now: it lost the leadership because the others have missed it for an election's time.
func (m *Member) Predecessor() (who Replica, silence time.Duration, known bool) {
	r, ok := m.config.replicas[m.before.id]
	return r, time.Duration(m.before.ticks) * TickInterval, ok
}
