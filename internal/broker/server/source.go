package server

import (
	"io"
	"net"
	"syscall"
)

// source reads from a connection into a reader's chunk. If the reader has none, the source takes one out of the budget, at the
// latest possible moment: an idle connection must not hold memory.
type source interface {
	read(c *Conn, r *reader) (int, error)
}

func newSource(nc net.Conn) source {
	if rc := rawConn(nc); rc != nil {
		if s := newRawSource(rc); s != nil {
			return s
		}
	}
	return &copySource{}
}

// newSink returns what writes to a connection.
func newSink(nc net.Conn) io.Writer {
	if rc := rawConn(nc); rc != nil {
		if s := newRawSink(rc); s != nil {
			return s
		}
	}
	return nc
}

// rawConn is the socket of a connection, nil if bytes must pass through something else before it (TLS), or there is none.
func rawConn(nc net.Conn) syscall.RawConn {
	if sc, ok := nc.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			return rc
		}
	}
	return nil
}

// copySource works with any net.Conn (TLS, in-memory). While it waits with no chunk it reads into a few bytes of its own
// and copies those; with a chunk it reads into that.
type copySource struct{ first []byte }

func (s *copySource) read(c *Conn, r *reader) (int, error) {
	if r.chunk != nil && r.end > r.start {
		return c.nc.Read(r.buf[r.end:])
	}
	r.drop()
	if s.first == nil {
		s.first = make([]byte, minChunk)
	}
	n, err := c.nc.Read(s.first)
	if n == 0 {
		return 0, err
	}
	b, aerr := r.acquire(c.ctx, c, max(r.size, n))
	if aerr != nil {
		return 0, aerr
	}
	r.adopt(b)
	copy(r.buf, s.first[:n])
	if n == len(s.first) { // probably more than fitted
		r.size = max(r.size, min(4*minChunk, maxChunk))
	}
	return n, err
}
