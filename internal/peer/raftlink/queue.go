package raftlink

import (
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// A queue holds a few of Raft's windows (64 messages of up to 1 MiB), not more: what waits longer is late.
	maxQueued      = 4096
	maxQueuedBytes = 64 << 20
	maxUrgent      = 256
	// overhead is what a message counts beside its entries.
	overhead = 64
)

// queue is what waits for one link.
type queue struct {
	urgent []*pb.Message
	rest   []*pb.Message
	bytes  int // of rest, about
}

// isUrgent tells what may overtake entries: what keeps leaders in place and finds new ones. It may all come out of order.
func isUrgent(t pb.MessageType) bool {
	switch t {
	case pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgTimeoutNow:
		return true
	}
	return false
}

func size(m *pb.Message) int {
	n := overhead
	for _, e := range m.Entries {
		n += overhead + len(e.Data)
	}
	return n
}

// push adds a message, if there is room. Of what is urgent the newest counts: the oldest makes room.
func (q *queue) push(m *pb.Message) (ok bool) {
	if isUrgent(m.GetType()) {
		if len(q.urgent) >= maxUrgent {
			q.urgent = append(q.urgent[:0], q.urgent[1:]...)
		}
		q.urgent = append(q.urgent, m)
		return true
	}
	n := size(m)
	if len(q.rest) >= maxQueued || len(q.rest) > 0 && q.bytes+n > maxQueuedBytes {
		return false
	}
	q.rest = append(q.rest, m)
	q.bytes += n
	return true
}

// pop takes the next message; nil if there is none.
func (q *queue) pop() *pb.Message {
	if len(q.urgent) > 0 {
		m := q.urgent[0]
		q.urgent[0] = nil
		if q.urgent = q.urgent[1:]; len(q.urgent) == 0 {
			q.urgent = nil
		}
		return m
	}
	if len(q.rest) == 0 {
		return nil
	}
	m := q.rest[0]
	q.rest[0] = nil
	q.bytes -= size(m)
	if q.rest = q.rest[1:]; len(q.rest) == 0 {
		q.rest = nil
	}
	return m
}

// empty tells whether nothing waits.
func (q *queue) empty() bool { return len(q.urgent)+len(q.rest) == 0 }
