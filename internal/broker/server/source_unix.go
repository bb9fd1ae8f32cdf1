//go:build unix

package server

import (
	"errors"
	"io"
	"os"
	"syscall"

	"chronik/internal/mem"
)

// rawSource reads from a socket's descriptor, so that it can wait for bytes without holding memory for them: it takes a chunk,
// tries, and gives the chunk back before it waits. The number of system calls is the same as net.Conn's.
type rawSource struct {
	rc      syscall.RawConn
	try     func(fd uintptr) bool // s.attempt, made once
	c       *Conn
	r       *reader
	n       int
	err     error
	starved bool // the budget had no room
}

func newRawSource(rc syscall.RawConn) source {
	s := &rawSource{rc: rc}
	s.try = s.attempt
	return s
}

func (s *rawSource) read(c *Conn, r *reader) (int, error) {
	s.c, s.r = c, r
	for {
		s.n, s.err, s.starved = 0, nil, false
		if err := s.rc.Read(s.try); err != nil {
			return 0, err
		}
		if !s.starved {
			return s.n, s.err
		}
		b, err := r.acquire(c.ctx, c, r.size)
		if err != nil {
			return 0, err
		}
		r.adopt(b)
	}
}

// attempt reads once. False means that there is nothing yet: the runtime waits until there is and calls again.
func (s *rawSource) attempt(fd uintptr) bool {
	r := s.r
	if r.chunk == nil {
		var b *mem.Buf
		if b, _ = s.c.server.pool.TryAcquire(r.size); b == nil {
			s.starved = true
			return true
		}
		r.adopt(b)
	}
	for {
		n, err := readNow(fd, r.buf[r.end:])
		switch {
		case n > 0:
			s.n = n
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			if r.start == r.end {
				r.drop()
			}
			return false
		case err != nil:
			s.err = os.NewSyscallError("read", err)
		default:
			s.err = io.EOF
		}
		return true
	}
}
