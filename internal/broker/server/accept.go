package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"chronik/internal/wait"
)

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("server closed")

// Between two attempts to accept after one failed (out of file descriptors), in the way of net/http.
const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
)

// Serve accepts connections from l until Shutdown, and then returns ErrServerClosed. name is the listener's in
// `listeners`. It may be called for several listeners, each in a goroutine. Accepting goes on after errors that pass
// (no file descriptors left); it returns one that does not.
func (s *Server) Serve(name string, l net.Listener) error {
	if !s.addListener(l) {
		_ = l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	backoff := acceptBackoffMin
	for {
		if !s.awaitRoom() {
			return ErrServerClosed
		}
		nc, err := l.Accept()
		switch {
		case err == nil:
			backoff = acceptBackoffMin
			s.open(name, nc)
		case s.ctx.Err() != nil:
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listener %s was closed: %w", name, err)
		default:
			s.log.warn("cannot accept a connection; will try again", nil, err, "listener", name, "after", backoff)
			if wait.For(s.ctx, backoff) != nil {
				return ErrServerClosed
			}
			backoff = min(2*backoff, acceptBackoffMax)
		}
	}
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// awaitRoom waits until there are fewer connections than max.connections; false when the server shuts down. Meanwhile clients
// wait in the listener's backlog, and none is turned away with an error that it could not tell from a dead broker.
func (s *Server) awaitRoom() bool {
	for s.ctx.Err() == nil {
		s.mu.Lock()
		full, room := s.limits.MaxConnections > 0 && len(s.conns) >= s.limits.MaxConnections, s.room
		s.mu.Unlock()
		if !full {
			return true
		}
		select {
		case <-room:
		case <-s.ctx.Done():
		}
	}
	return false
}

// open begins to serve an accepted connection, or refuses it.
func (s *Server) open(listener string, nc net.Conn) {
	remote, _ := netip.ParseAddrPort(nc.RemoteAddr().String())
	c := &Conn{server: s, nc: nc, sink: newSink(nc), listener: listener, remote: remote, queue: newQueue()}
	c.writer = c.write
	c.ctx, c.cancel = context.WithCancelCause(s.ctx)
	if err := s.add(c); err != nil {
		s.metrics.ConnectionsRefused.add(c.id, 1)
		s.log.warn("connection refused", c, err)
		c.cancel(err)
		_ = nc.Close()
		return
	}
	s.metrics.ConnectionsOpen.add(c.id, 1)
	s.metrics.ConnectionsOpened.add(c.id, 1)
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetNoDelay(true)
		_ = tcp.SetKeepAlive(true)
	}
	go c.serve()
}

func (s *Server) add(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return ErrShutdown
	}
	ip := c.remote.Addr().String()
	if most := s.limits.MaxConnectionsPerIP; most > 0 && s.perIP[ip] >= most {
		return fmt.Errorf("%s has %d connections already, the most that max.connections.per.ip allows", ip, most)
	}
	s.nextID++
	c.id = s.nextID
	s.perIP[ip]++
	s.conns[c] = struct{}{}
	c.clock.moved(s.now())
	if !s.sweeping {
		s.sweeping = true
		go s.sweep()
	}
	return nil
}
