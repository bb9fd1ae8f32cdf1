package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"chronik/internal/invariant"
	"chronik/internal/mem"
	"chronik/internal/wire"
)

// Server serves the Kafka protocol on any number of listeners. Make one with New.
type Server struct {
	handler Handler
	table   *wire.Table
	pool    *mem.Pool
	limits  Limits
	log     *limitedLog
	metrics *Metrics

	ctx    context.Context // ends when Shutdown begins
	cancel context.CancelCauseFunc
	start  time.Time // what activity counts from

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	perIP     map[string]int
	nextID    uint32
	down      bool
	sweeping  bool
	room      chan struct{} // closed and replaced when a connection ends
	empty     chan struct{} // closed when down and no connection is left
}

// Options are what a Server needs. Handler, Table and Pool are required.
type Options struct {
	Handler Handler
	// Table is what the handler handles; other requests do not reach it.
	Table *wire.Table
	// Pool is where frames are read into. Its budget is queued.max.request.bytes. A frame larger than the budget, less the
	// eighth of it that is held while it grows, can never be read: the budget is at least 1.25 times MaxRequestBytes, or 2.25
	// times up to mem.MaxPooled, as buffers are powers of two there.
	Pool    *mem.Pool
	Limits  Limits
	Log     *slog.Logger // default slog.Default
	Metrics *Metrics     // default one of its own
}

// New makes a server that serves nothing yet.
func New(o Options) *Server {
	invariant.Assert(o.Handler != nil && o.Table != nil && o.Pool != nil, "server: a handler, a table and a pool are required")
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = new(Metrics)
	}
	s := &Server{
		handler:   o.Handler,
		table:     o.Table,
		pool:      o.Pool,
		limits:    o.Limits.withDefaults(),
		log:       newLimitedLog(o.Log),
		metrics:   o.Metrics,
		start:     time.Now(),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
		perIP:     make(map[string]int),
		room:      make(chan struct{}),
		empty:     make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Metrics returns the counters.
func (s *Server) Metrics() *Metrics { return s.metrics }

// Shutdown stops accepting and reading, lets the requests that have begun finish, sends their replies and closes the
// connections. If ctx ends first, it closes them as they are and returns ctx's error. It is safe to call more than once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.down {
		s.down = true
		s.cancel(ErrShutdown)
		if len(s.conns) == 0 {
			close(s.empty)
		}
	}
	listeners, conns := s.openLocked()
	s.mu.Unlock()

	var errs []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, c := range conns {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // the reader stops waiting for bytes
	}
	select {
	case <-s.empty:
		return errors.Join(errs...)
	case <-ctx.Done():
	}
	for _, c := range conns {
		c.fail(ErrShutdown)
	}
	return ctx.Err()
}

func (s *Server) openLocked() ([]net.Listener, []*Conn) {
	listeners := make([]net.Listener, 0, len(s.listeners))
	for l := range s.listeners {
		listeners = append(listeners, l)
	}
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return listeners, conns
}

// ended forgets a connection.
func (s *Server) ended(c *Conn, reason error) {
	s.metrics.ConnectionsOpen.add(c.id, -1)
	s.countEnd(c, reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if ip := c.remote.Addr().String(); s.perIP[ip] > 1 {
		s.perIP[ip]--
	} else {
		delete(s.perIP, ip)
	}
	close(s.room)
	s.room = make(chan struct{})
	if s.down && len(s.conns) == 0 {
		close(s.empty)
	}
}

// countEnd counts and logs why a connection ended.
func (s *Server) countEnd(c *Conn, reason error) {
	switch {
	case errors.Is(reason, errPeerClosed), errors.Is(reason, ErrShutdown):
		s.log.debug("connection closed", c, reason)
	case errors.Is(reason, errIdle), errors.Is(reason, errNotReading):
		s.metrics.ConnectionsIdle.add(c.id, 1)
		s.log.info("connection closed", c, reason)
	case errors.Is(reason, errSlowFrame):
		s.metrics.ConnectionsSlow.add(c.id, 1)
		s.log.warn("connection closed", c, reason)
	default:
		s.metrics.ConnectionsFailed.add(c.id, 1)
		s.log.warn("connection closed", c, reason)
	}
}
