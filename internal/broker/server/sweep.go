package server

import (
	"sync/atomic"
	"time"
)

// activity is what the sweeper needs to know of a connection: times in nanoseconds since the server's start. The reader and
// the writer store them; no deadline is set and no timer started per request.
type activity struct {
	last       atomic.Int64 // bytes were last read or written
	frameBegan atomic.Int64 // 0, or when the reader began to wait for the rest of a frame
	frameBytes atomic.Int64 // that have arrived of it
	writeBegan atomic.Int64 // 0, or when the write in progress began
	looked     int64        // the sweeper's own: when it last looked whether the client has hung up
}

func (a *activity) moved(now int64) { a.last.Store(now) }

// now is the time on activity's clock, never 0.
func (s *Server) now() int64 { return s.sinceStart(time.Now()) }

func (s *Server) sinceStart(t time.Time) int64 { return int64(t.Sub(s.start)) + 1 }

// sweepInterval is how late a connection may be closed that has run out of time.
func (l Limits) sweepInterval() time.Duration {
	return max(min(l.IdleTimeout/8, l.FrameTimeout/8, time.Second), time.Millisecond)
}

// sweep closes connections that have run out of time, for as long as there are any connections.
func (s *Server) sweep() {
	ticker := time.NewTicker(s.limits.sweepInterval())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.empty:
			return
		}
		s.mu.Lock()
		if len(s.conns) == 0 {
			s.sweeping = false
			s.mu.Unlock()
			return
		}
		_, conns := s.openLocked()
		s.mu.Unlock()
		now := s.now()
		for _, c := range conns {
			if reason := c.overdue(now, s.limits); reason != nil {
				c.fail(reason)
				continue
			}
			c.checkHungUp(now)
		}
	}
}

// overdue tells for which reason the connection has run out of time, if it has.
func (c *Conn) overdue(now int64, l Limits) error {
	if began := c.clock.frameBegan.Load(); began != 0 {
		if now-began > int64(l.frameDeadline(c.clock.frameBytes.Load())) {
			return errSlowFrame
		}
	}
	idle := now-c.clock.last.Load() > int64(l.IdleTimeout)
	if began := c.clock.writeBegan.Load(); began != 0 {
		if idle && now-began > int64(l.IdleTimeout) {
			return errNotReading
		}
		return nil
	}
	if idle && c.queue.idle() {
		return errIdle
	}
	return nil
}
