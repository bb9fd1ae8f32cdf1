package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"chronik/internal/wait"
)

// maxPending is how many connections may be in their handshake. One more, and the oldest makes room: brokers prove themselves at once,
// whoever takes his time is not one.
const maxPending = 128

// Server accepts links.
type Server struct {
	// Config is what the broker says of itself at that moment; it belongs to a cluster at some time only.
	Config func() Config
	// Open returns what uses a link. It is called once for each.
	Open func(*Link) Session
	// Refused, if not nil, hears of the connections that did not become a link. Who can reach the port decides how often.
	Refused func(from net.Addr, err error)

	mu      sync.Mutex
	pending []net.Conn // in their handshake, oldest first
}

// Serve accepts connections until ctx ends or the listener fails for good, and then closes the listener and all links, and returns
// when their sessions are closed: nil if ctx ended.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var links sync.WaitGroup
	defer links.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var pause time.Duration
	for {
		conn, err := listener.Accept()
		switch {
		case err == nil:
			pause = 0
			s.arrive(conn)
			links.Go(func() { s.serve(ctx, conn) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("the listener for other brokers: %w", err)
		default: // out of descriptors, or the connection went away before it was accepted
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			_ = wait.For(ctx, pause) // then Accept tells
		}
	}
}

// serve is the life of one connection.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	from := conn.RemoteAddr()
	l, err := Accept(ctx, conn, s.Config())
	s.leave(conn)
	if err != nil {
		if s.Refused != nil && ctx.Err() == nil {
			s.Refused(from, err)
		}
		return
	}
	stop := context.AfterFunc(ctx, func() { l.Close(errStopping) })
	defer stop()
	l.Run(s.Open(l))
}

var errStopping = fmt.Errorf("%w: the broker is shutting down", ErrClosed)

// arrive notes a connection that begins its handshake.
func (s *Server) arrive(conn net.Conn) {
	var oldest net.Conn
	s.mu.Lock()
	if len(s.pending) >= maxPending {
		oldest = s.pending[0]
		s.pending = append(s.pending[:0], s.pending[1:]...)
	}
	s.pending = append(s.pending, conn)
	s.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close()
	}
}

func (s *Server) leave(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range s.pending {
		if c == conn {
			s.pending = append(s.pending[:i], s.pending[i+1:]...)
			return
		}
	}
}
