//go:build unix

package server

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// rawSink writes to a socket's descriptor (see writeNow). It belongs to the holder of the right to write.
type rawSink struct {
	rc  syscall.RawConn
	try func(fd uintptr) bool // s.attempt, made once
	b   []byte
	n   int
	err error
}

// newRawSink returns a writer to the socket below.
func newRawSink(rc syscall.RawConn) io.Writer {
	s := &rawSink{rc: rc}
	s.try = s.attempt
	return s
}

// Write writes all of b, unless the connection is closed or its write deadline passes before.
func (s *rawSink) Write(b []byte) (int, error) {
	s.b, s.n, s.err = b, 0, nil
	err := s.rc.Write(s.try)
	if err == nil {
		err = s.err
	}
	s.b = nil
	return s.n, err
}

// attempt writes until all is written or the socket takes no more: false has the runtime wait until it does, and call again.
func (s *rawSink) attempt(fd uintptr) bool {
	for s.n < len(s.b) {
		n, err := writeNow(fd, s.b[s.n:])
		switch {
		case n > 0:
			s.n += n
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err != nil:
			s.err = os.NewSyscallError("write", err)
			return true
		default:
			s.err = io.ErrUnexpectedEOF
			return true
		}
	}
	return true
}
