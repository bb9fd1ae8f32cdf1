package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"chronik/internal/wire"
)

// Conn is one client's connection.
type Conn struct {
	server   *Server
	nc       net.Conn
	sink     io.Writer // to nc; belongs to the holder of the right to write
	listener string
	remote   netip.AddrPort
	id       uint32
	ctx      context.Context
	cancel   context.CancelCauseFunc

	queue  queue
	writer func() // c.write, made once
	reader reader
	names  wire.Interner
	newest int16 // kind of the request that was taken last; the reader's
	failed atomic.Pointer[failure]
	clock  activity

	fileSender fileSender // once needed; of the holder of the right to write
	filesKnown bool       // whether there is a fileSender has been found out

	mu     sync.Mutex // guards what follows
	values map[any]any
}

// failure says why a connection takes no more replies.
type failure struct{ reason error }

// Context ends when the connection does, or the server shuts down.
func (c *Conn) Context() context.Context { return c.ctx }

// Listener is the name of the listener that accepted the connection, as in `listeners`.
func (c *Conn) Listener() string { return c.listener }

// RemoteAddr is the client's address; not valid if it is not an IP address (in-memory connections).
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr is the address that the client connected to.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// NetConn is the connection below, for what a security layer needs to know of it (a TLS state). It is not for reading or writing.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Names interns the strings of this connection's requests. It is for the handler, while it runs in the reader goroutine.
func (c *Conn) Names() *wire.Interner { return &c.names }

// Value returns what SetValue stored for key, or nil. A package uses a key type of its own, as with contexts.
func (c *Conn) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.values[key]
}

// SetValue keeps a value for as long as the connection lives: its principal, its client's software name.
func (c *Conn) SetValue(key, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = make(map[any]any, 2)
	}
	c.values[key] = value
}

// String names the connection in logs.
func (c *Conn) String() string { return fmt.Sprintf("%s<-%s", c.listener, c.nc.RemoteAddr()) }

// fail ends the connection at once: nothing more is read or written. The first reason counts. It may be called from
// anywhere, and does not block.
func (c *Conn) fail(reason error) {
	if c.failed.CompareAndSwap(nil, &failure{reason}) {
		c.cancel(ErrClosed)
		_ = c.nc.Close() // whoever reads or writes learns of it
	}
}

// serve runs the connection in the calling goroutine, which becomes its reader, until all is over and released.
func (c *Conn) serve() {
	reason := c.reader.run(c)
	// No more requests. Those who hold open slots still answer, and what they answer is still sent.
	c.flush()
	if c.ctx.Err() == nil {
		c.cancel(ErrClosed)
	}
	c.queue.await(drained)
	if c.failed.Load() == nil {
		lingerClose(c.nc)
	}
	c.fail(reason)
	c.server.ended(c, c.failed.Load().reason)
}
