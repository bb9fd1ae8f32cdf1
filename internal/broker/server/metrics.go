package server

import (
	"sync/atomic"
	"time"
)

// Keys is one more than the highest API key that is counted by itself.
const Keys = 128

// Metrics counts what happens on the connections of a Server. Counting is a sharded atomic addition; reading may be done
// at any time and sums the shards. The zero value is ready.
type Metrics struct {
	ConnectionsOpen    Counter // now
	ConnectionsOpened  Counter // accepted and served
	ConnectionsRefused Counter // closed at once: max.connections.per.ip
	ConnectionsIdle    Counter // closed by IdleTimeout
	ConnectionsSlow    Counter // closed by FrameTimeout
	ConnectionsFailed  Counter // closed because of what the client sent, or of a handler's failure

	Requests  [Keys]Counter // received, by API key
	NanosOpen [Keys]Counter // from received to written, by API key; 0 for what got no reply
	Replies   Counter       // written
	InFlight  Counter       // now: requests received whose reply is not written
	BytesIn   Counter
	BytesOut  Counter
	Reads     Counter // read system calls that brought bytes
	Writes    Counter // batches of replies written
	Panics    Counter // of handlers, contained

	BudgetWaits Counter // reads that had to wait for memory
}

const counterShards = 8

// Counter is a number that many goroutines add to without sharing a cache line: each connection has its shard.
type Counter struct {
	shards [counterShards]struct {
		n atomic.Int64
		_ [56]byte
	}
}

func (c *Counter) add(shard uint32, n int64) { c.shards[shard%counterShards].n.Add(n) }

// Load returns the sum. While others count, it is some value between the one before the call and the one after.
func (c *Counter) Load() int64 {
	var sum int64
	for i := range c.shards {
		sum += c.shards[i].n.Load()
	}
	return sum
}

func (m *Metrics) countRequest(shard uint32, key int16) {
	m.InFlight.add(shard, 1)
	if key >= 0 && key < Keys {
		m.Requests[key].add(shard, 1)
	}
}

// countReply counts the end of a slot.
func (m *Metrics) countReply(shard uint32, s *Slot, now time.Time) {
	m.InFlight.add(shard, -1)
	if !s.sent {
		return
	}
	m.Replies.add(shard, 1)
	if key := s.req.Key; key >= 0 && key < Keys {
		m.NanosOpen[key].add(shard, int64(now.Sub(s.req.Received)))
	}
}
