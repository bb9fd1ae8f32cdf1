package stream

import (
	"sync/atomic"

	"chronik/internal/replication"
)

// Lane is what one partition has to send to one follower, over one link. The shell holds on to it to wake it.
type Lane struct {
	sender    *Sender
	partition Leading
	key       partitionKey
	queued    atomic.Bool   // it is among the sender's ready lanes, or about to be
	wakes     atomic.Uint64 // calls of Wake

	// Written by the writer, under the sender's mutex.
	number replication.Subscription

	// The writer's own.
	reading bool // a read is waiting or under way; nothing else is sent meanwhile

	// Guarded by the sender's mutex.
	found *coldRead // what the read came to; nil unless it is there
}

// Wake says that there may be something to send. It is cheap if that is known already, and does not block.
func (l *Lane) Wake() {
	l.wakes.Add(1)
	l.wake()
}

func (l *Lane) wake() {
	if l.queued.Swap(true) {
		return
	}
	l.sender.push(l)
	l.sender.link.Wake()
}

// Close forgets the lane: its partition is gone for good, and will not hear of the link any more. Otherwise a lane lives as long as its link.
func (l *Lane) Close() {
	s := l.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[l.key] == l {
		delete(s.byKey, l.key)
		delete(s.byNum, l.number)
	}
}
