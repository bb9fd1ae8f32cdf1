package server

import (
	"context"
	"time"

	"chronik/internal/mem"
)

// Request is one request as it came from the network. It, and everything it points to, may be used until its slot is
// completed, or the handler forgets it (Forget); after that only what the handler has retained (Frame.Retain) or copied.
type Request struct {
	// Key and Version are within what wire advertises.
	Key, Version int16
	// CorrelationID is the client's; the server puts it into the reply.
	CorrelationID int32
	// ClientID is "" if the client sent none. The string is the handler's to keep.
	ClientID string
	// Body is what follows the header. It aliases Frame.
	Body []byte
	// Frame is the chunk in which Body lies, with other requests beside it. Who needs Body's bytes for longer than the slot
	// is open retains it.
	Frame *mem.Buf
	// Conn is the connection on which the request came.
	Conn *Conn
	// Alone tells that when the request was taken, no other of its connection was in progress, nor had a byte of another arrived:
	// its client probably waits for the reply before it sends more, so that a handler may as well do the work itself.
	Alone bool
	// Received is when the last byte of the request was read.
	Received time.Time
}

// Forget gives the request's memory back before its slot is completed, for who is about to wait for long: Body and Frame are nil from
// then on, and what is still needed of the request was copied, also what the reply says. Only Handle itself may call it, before it returns.
func (r *Request) Forget() {
	if r.Frame == nil {
		return
	}
	r.Frame.Release()
	r.Frame, r.Body = nil, nil
	r.Conn.reader.rest()
}

// Abandoned tells whether the client has closed or lost the connection by now, as far as that shows: it hears no answer, and has perhaps asked
// again on another connection, and been answered. It costs a system call.
func (r *Request) Abandoned() bool { return hungUp(r.Conn.nc) }

// Handler answers requests.
type Handler interface {
	// Handle is called in the connection's reader goroutine, in request order. It sees to it that exactly one of the methods
	// of reply is called, once, before it returns or later from any goroutine. For Produce and OffsetCommit it returns without waiting
	// for the disk; others may block, and then they heed ctx: it ends when the connection is lost, as far as that shows, and
	// when the server shuts down (context.Cause tells ErrShutdown). A reply given after that is still sent if it can be.
	//
	// A panic closes the connection and no other; an invariant.Violation is let through and ends the process.
	Handle(ctx context.Context, req *Request, reply *Slot)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, req *Request, reply *Slot)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, req *Request, reply *Slot) { f(ctx, req, reply) }
