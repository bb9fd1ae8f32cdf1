package server

import (
	"fmt"
	"runtime/debug"

	"chronik/internal/invariant"
	"chronik/internal/wire"
)

// dispatch takes one request: it waits until the request may start, gives it a slot and calls the handler. An error ends
// the connection, after the replies before it.
func (c *Conn) dispatch(frame []byte) error {
	r := &c.reader
	h, body, err := wire.ParseRequestHeader(frame, &c.names)
	if err != nil {
		return err
	}
	c.await(h.Key, len(frame))
	c.server.metrics.countRequest(c.id, h.Key)

	s := slots.Get().(*Slot)
	r.chunk.Retain()
	s.conn, s.bytes = c, len(frame)
	s.req = Request{
		Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: h.ClientID,
		Body: body, Frame: r.chunk, Conn: c, Received: r.at,
	}
	seq, alone := c.queue.push(s)
	s.req.Alone = alone && r.start == r.end
	if bad := c.server.table.Check(h.Key, h.Version); bad != nil {
		c.refuse(s, bad)
	} else {
		err = c.handle(s, seq, h.Key)
	}
	c.queue.handled()
	return err
}

// pipelines tells which requests start while others of their kind are in progress: those that wait for the disk, and take their place in a log before
// their handler returns.
func pipelines(key int16) bool { return key == wire.KeyProduce || key == wire.KeyOffsetCommit }

// await blocks until a request of n bytes may start. Its connection has room for one more unwritten reply; and E1: what does not
// pipeline with those before it starts when they are complete.
func (c *Conn) await(key int16, n int) {
	together := pipelines(key) && key == c.newest
	c.newest = key
	limits := &c.server.limits
	ok := func(q *queue) bool {
		if !together && q.head != q.next {
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
// somebody's hands who completes it later; whatever it is, the connection takes no more requests.
func (c *Conn) handle(s *Slot, seq uint64, key int16) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if v, ok := p.(invariant.Violation); ok {
			panic(v)
		}
		c.panicked(key, p)
		c.queue.abandon(seq, errHandlerPanic)
		err = errHandlerPanic
	}()
	c.server.handler.Handle(c.ctx, &s.req, s)
	return nil
}

func (c *Conn) panicked(key int16, value any) {
	c.server.metrics.Panics.add(c.id, 1)
	c.server.log.panicked(c, key, value, debug.Stack())
}

// refuse answers a request that is not advertised, as Kafka does: a client asking for ApiVersions in a version that we
// do not know gets the versions of that API in the oldest form, which every client reads (KIP-511); any other has not looked
// at what was advertised, and there is no form in which to tell it.
func (c *Conn) refuse(s *Slot, reason error) {
	if s.req.Key == wire.KeyApiVersions {
		s.Send(wire.UnsupportedApiVersions(c.server.table))
		return
	}
	s.Close(fmt.Errorf("client %q: %w", s.req.ClientID, reason))
}
