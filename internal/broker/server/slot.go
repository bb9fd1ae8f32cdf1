package server

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/invariant"
	"chronik/internal/wire"
)

// Reply is a reply that encodes itself, for handlers that use their memory again.
type Reply interface {
	// AppendReply appends the whole response frame, size and header included. It is called once, in the writer, while the request
	// is still valid; not if the connection is lost before.
	AppendReply(dst []byte, correlationID int32) []byte
	// Release is called once, when the slot is done with, whether the reply was sent or not.
	Release()
}

// Slot is a reply's place in its connection's order. Exactly one of Send, SendReply, SendFetch, None and Close is called, once, from
// any goroutine; none of them blocks. Calling a second one is a Violation: the slot may already be another request's.
type Slot struct {
	conn  *Conn
	req   Request
	bytes int // of the request's frame

	// Guarded by the connection's queue.
	state slotState
	reply reply
	// stray is set when the handler panicked: it may have left the slot with somebody who still completes it. That is
	// ignored, and the slot never used again.
	stray bool

	sent bool // by the writer, whose own it is
}

type slotState uint8

const (
	slotFree slotState = iota // not in a queue
	slotOpen                  // waits for its reply
	slotDone                  // has its reply
)

// reply is what a slot was completed with. The zero reply sends nothing.
type reply struct {
	message kmsg.Response
	encoder Reply
	fetch   *wire.FetchResponse
	reason  error // closes the connection instead of a reply
}

// release gives back what the reply holds.
func (r *reply) release() {
	if r.encoder != nil {
		r.encoder.Release()
		r.encoder = nil
	}
	if r.fetch == nil {
		return
	}
	for _, t := range r.fetch.Topics {
		for i := range t.Partitions {
			if records := t.Partitions[i].Records; records != nil {
				records.Release()
			}
		}
	}
	r.fetch = nil
}

var slots = sync.Pool{New: func() any { return new(Slot) }}

// Send answers with resp, whose version is set to the request's. It is encoded later and must not change any more;
// it may alias the request.
func (s *Slot) Send(resp kmsg.Response) { s.complete(reply{message: resp}) }

// SendReply answers with r.
func (s *Slot) SendReply(r Reply) { s.complete(reply{encoder: r}) }

// SendFetch answers a Fetch request. The server takes over the regions in resp: it releases them when their bytes are out,
// or will never be.
func (s *Slot) SendFetch(resp *wire.FetchResponse) { s.complete(reply{fetch: resp}) }

// None completes the slot of a request that gets no reply: a Produce with acks=0 that succeeded.
func (s *Slot) None() { s.complete(reply{}) }

// Close completes the slot of a request that can get no reply: the connection closes after the replies before it, and
// what came after it goes unanswered. The reason is logged.
func (s *Slot) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	s.complete(reply{reason: reason})
}

// Detach says that the slot is about to be completed by somebody else than its handler, who is held up and may not return for long:
// the reply does not wait for that. The handler must not use the request or the slot any more. It is called before the slot is completed.
func (s *Slot) Detach() { s.conn.queue.detach(s) }

func (s *Slot) complete(r reply) {
	c := s.conn
	if c == nil {
		invariant.Failf("E1: a slot was completed after its end")
	}
	switch c.queue.complete(s, r) {
	case completedTwice:
		invariant.Failf("E1: a slot of %s was completed twice, or after its end", c)
	case completedStray:
		r.release()
	case completedHead:
		c.wakeWriter()
	}
}

// recycle gives the slot back. Only the holder of the right to write calls it, after the queue let go of the slot.
func (s *Slot) recycle() {
	if s.stray {
		return
	}
	*s = Slot{}
	slots.Put(s)
}
