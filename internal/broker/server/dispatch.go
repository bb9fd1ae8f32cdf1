package server

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kmsg"

	"chronik/internal/invariant"
	"chronik/internal/wire"
)

// dispatch takes one request: it waits until the request may start, gives it a slot and calls the handler. An error ends
// the connection, after the replies before it.
func (c *Conn) dispatch(frame []byte) error {
	r := &c.reader
	h, err := wire.ParseRequestHeader(frame)
	if err != nil {
		return fmt.Errorf("a request with a malformed header: %w", err)
	}
	c.await(h.Key, len(frame))
	c.server.metrics.countRequest(c.id, h.Key)

	s := slots.Get().(*Slot)
	r.chunk.Retain()
	s.conn, s.bytes = c, len(frame)
	s.req = Request{
		Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: r.intern(h.ClientID),
		Body: h.Body, Frame: r.chunk, Conn: c, Received: r.at,
	}
	seq := c.queue.push(s)
	if !wire.Supported(h.Key, h.Version) {
		c.refuse(s)
	} else {
		c.handle(s, seq, h.Key)
	}
	c.queue.handled()
	return nil
}

// await blocks until a request of n bytes may start. Its connection has room for one more unwritten reply; and E1: what does not
// pipeline starts when all before it are complete.
func (c *Conn) await(key int16, n int) {
	pipelines := key == int16(kmsg.Produce)
	limits := &c.server.limits
	ok := func(q *queue) bool {
		if !pipelines && q.head != q.next {
			return false
		}
		return q.unwritten == 0 || q.unwritten < limits.MaxInFlight && q.unwrittenBytes+n <= limits.MaxInFlightBytes
	}
	if c.queue.satisfied(ok) {
		return
	}
	c.flush()
	c.queue.await(ok)
}

// handle calls the handler, and keeps its panic to this connection (E2). After a panic the slot may be completed, open, or in
// somebody's hands who completes it later.
func (c *Conn) handle(s *Slot, seq uint64, key int16) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if v, ok := p.(invariant.Violation); ok {
			panic(v)
		}
		c.server.metrics.Panics.add(c.id, 1)
		c.server.log.panicked(c, key, p, debug.Stack())
		c.queue.abandon(seq, errHandlerPanic)
	}()
	c.server.handler.Handle(c.ctx, &s.req, s)
}

var errUnsupported = errors.New("a request of a kind or version that was not advertised")

// refuse answers a request that is not advertised, as Kafka does: a client asking for ApiVersions in a version that we
// do not know gets the versions of that API in the oldest form, which every client reads (KIP-511); any other has not looked
// at what was advertised, and there is no form in which to tell it.
func (c *Conn) refuse(s *Slot) {
	if s.req.Key != int16(kmsg.ApiVersions) {
		s.Close(fmt.Errorf("%w: key %d version %d", errUnsupported, s.req.Key, s.req.Version))
		return
	}
	s.Send(wire.UnsupportedApiVersions())
}

// intern returns the client ID as a string, the last one again if it is the same.
func (r *reader) intern(id []byte) string {
	if string(id) != r.clientID {
		r.clientID = string(id)
	}
	return r.clientID
}
