package quorum

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"chronik/internal/model"
)

// noNode is a leader that is not known.
const noNode = model.NoBroker

// Status describes the quorum, as DescribeQuorum shows it. Only the leader knows how far the others are.
type Status struct {
	Leader        model.BrokerID // model.NoBroker: not known
	Term          uint64
	HighWatermark uint64 // index of the newest committed entry
	Voters        []ReplicaStatus
	Observers     []ReplicaStatus
	// Settled says that no change of the quorum is under way, and that the last one outlasts the loss of any minority of the
	// voters, even if all of them restart. Only the active controller knows.
	Settled bool
}

// ReplicaStatus is how far one replica is. Times are zero where nothing is known.
type ReplicaStatus struct {
	Replica
	LogEnd         uint64    // index of its last durable entry, as far as the leader knows; 0 if it does not
	LastFetch      time.Time // when it was last heard
	LastCaughtUp   time.Time // when it last had all that the leader had
	IsLeader       bool
	CaughtUpEnough bool // it has all that is committed: it may become a voter
}

// contact is when a replica was heard by a leader.
type contact struct {
	last, caughtUp time.Time
	end            uint64 // the leader's end when it was heard last
}

// heard notes that an answer has come.
func (m *Member) heard(msg *pb.Message) {
	if !m.role.leading || msg.GetType() != pb.MsgAppResp && msg.GetType() != pb.MsgHeartbeatResp {
		return
	}
	c := m.contacts[msg.GetFrom()]
	if c == nil {
		if _, ok := m.config.replicas[msg.GetFrom()]; !ok {
			return
		}
		c = new(contact)
		m.contacts[msg.GetFrom()] = c
	}
	match := uint64(0)
	m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id == msg.GetFrom() {
			match = p.Match
		}
	})
	switch end := m.log.last; {
	case match >= end:
		c.caughtUp = m.now
	case !c.last.IsZero() && match >= c.end && c.end > 0:
		c.caughtUp = c.last // it has what there was when it was heard before
	}
	c.last, c.end = m.now, m.log.last
}

// Status describes the quorum as this replica knows it.
func (m *Member) Status() Status {
	s := Status{Leader: noNode, Term: m.role.term, HighWatermark: m.node.BasicStatus().GetCommit(), Settled: m.settled()}
	if r, ok := m.config.replicas[m.role.leader]; ok {
		s.Leader = r.Node
	}
	progress := make(map[uint64]tracker.Progress)
	if m.role.leading {
		m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) { progress[id] = p })
	}
	cs := m.config.state
	for _, r := range m.config.replicas.sorted() {
		id := r.id()
		st := ReplicaStatus{Replica: r, IsLeader: id == m.role.leader, LogEnd: progress[id].Match}
		st.CaughtUpEnough = m.role.leading && st.LogEnd >= s.HighWatermark
		switch c := m.contacts[id]; {
		case id == m.id:
			st.LogEnd = m.log.last
			if m.role.leading {
				st.LastFetch, st.LastCaughtUp = m.now, m.now
			}
		case c != nil:
			st.LastFetch, st.LastCaughtUp = c.last, c.caughtUp
		}
		if slices.Contains(cs.Voters, id) { // not those that only vote until a change is over
			s.Voters = append(s.Voters, st)
		} else {
			s.Observers = append(s.Observers, st)
		}
	}
	return s
}
