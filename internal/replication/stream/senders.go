package stream

import (
	"fmt"
	"sync"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/model"
)

// Senders is all followers' links of one broker.
type Senders struct {
	partitions Partitions
	cold       *ColdReads

	mu     sync.Mutex
	byNode map[model.BrokerID]*Sender
}

// NewSenders makes the leader's side. The cold lane may be shared with others.
func NewSenders(p Partitions, cold *ColdReads) *Senders {
	return &Senders{partitions: p, cold: cold, byNode: make(map[model.BrokerID]*Sender)}
}

// Open takes a follower's link, whose role is link.Replication, and returns its Session. A link that the same node had before is closed, and all
// partitions have heard that it is lost when Open returns: the follower has given it up, whether or not its end has been noticed here. A link of
// an incarnation that is older than the one of the present link is closed itself (R1).
func (s *Senders) Open(l *link.Link) link.Session {
	mine := newSender(s, l)
	for {
		s.mu.Lock()
		old := s.byNode[mine.to]
		if old == nil {
			s.byNode[mine.to] = mine
			s.mu.Unlock()
			return mine
		}
		s.mu.Unlock()
		if was, is := old.link.Peer().Epoch, l.Peer().Epoch; was > is && is != model.NoBrokerEpoch {
			l.Close(fmt.Errorf("node %d is in broker epoch %d, this link began in epoch %d", mine.to, was, is))
			return unused{}
		}
		old.link.Close(fmt.Errorf("node %d has opened another link", mine.to))
		<-old.ended
	}
}

func (s *Senders) forget(old *Sender) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byNode[old.to] == old {
		delete(s.byNode, old.to)
	}
}

// unused is the Session of a link that was closed before it began.
type unused struct{}

func (unused) Frame(byte, []byte, *mem.Buf) error { return nil }
func (unused) Drained()                           {}
func (unused) Fill(*link.Batch) bool              { return false }
func (unused) Closed(error)                       {}
