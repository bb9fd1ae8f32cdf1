package memnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

var (
	errReset = errors.New("connection reset by peer")
	errCut   = errors.New("connection timed out: the network is cut")
)

// Conn is one end of an in-memory connection.
type Conn struct {
	network       *Network
	local, remote Addr
	in, out       *pipe
	rd, wd        *deadline
	closed        atomic.Bool
	peer          *Conn
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a new connection that belongs to no network. Each direction buffers up to
// bufferBytes.
func Pipe(bufferBytes int) (*Conn, *Conn) {
	return connect(&Network{bufferBytes: bufferBytes}, Addr("pipe:1"), Addr("pipe:2"))
}

func connect(n *Network, from, to Addr) (client, server *Conn) {
	up, down := newPipe(n.bufferBytes), newPipe(n.bufferBytes)
	client = &Conn{network: n, local: from, remote: to, in: down, out: up, rd: newDeadline(), wd: newDeadline()}
	server = &Conn{network: n, local: to, remote: from, in: up, out: down, rd: newDeadline(), wd: newDeadline()}
	client.peer, server.peer = server, client
	return client, server
}

// Read reads what has arrived, waiting for something to.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b, c.rd)
	return n, c.wrap("read", err)
}

// Write returns when all of b is in the buffer towards the peer.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b, c.network.delayOf(), c.wd)
	return n, c.wrap("write", err)
}

// Close closes both directions. The peer reads what was sent, then EOF; its writes fail.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.wrap("close", net.ErrClosed)
	}
	c.out.closeWrite()
	c.in.closeRead()
	c.network.forget(c)
	return nil
}

// CloseWrite says that nothing more comes; reading goes on.
func (c *Conn) CloseWrite() error {
	if c.closed.Load() {
		return c.wrap("close", net.ErrClosed)
	}
	c.out.closeWrite()
	return nil
}

// Cut breaks the connection for both ends, as when a host is lost: reads and writes fail and what was underway is gone.
func (c *Conn) Cut() {
	c.in.cut(errCut)
	c.out.cut(errCut)
}

// LocalAddr is this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	c.rd.set(t)
	c.wd.set(t)
	return nil
}

// SetReadDeadline bounds Read, also one that waits already. The zero time removes the bound.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.rd.set(t)
	return nil
}

// SetWriteDeadline bounds Write in the same way.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.wd.set(t)
	return nil
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "mem", Source: c.local, Addr: c.remote, Err: err}
}

// Addr is an address of the form host:port.
type Addr string

// Network is "mem".
func (Addr) Network() string { return "mem" }

// String is the address as it was given.
func (a Addr) String() string { return string(a) }

// host is the part before the port.
func (a Addr) host() string {
	h, _, err := net.SplitHostPort(string(a))
	if err != nil {
		return string(a)
	}
	return h
}

func opError(op string, a Addr, format string, args ...any) error {
	return &net.OpError{Op: op, Net: "mem", Addr: a, Err: fmt.Errorf(format, args...)}
}

// HungUp tells whether the peer has closed, or the network is cut, whether or not there is something left to read: what a
// socket's readiness tells.
func (c *Conn) HungUp() bool { return c.in.ended() }
