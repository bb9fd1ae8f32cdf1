package server

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendfileStep is how much is asked of one sendfile. The socket takes less at a time; a call that waits for the disk should
// not hold its thread, or keep a truncation from being noticed, for longer than such a piece takes.
const sendfileStep = 1 << 20

// socketSender is a fileSender of a TCP socket. The fields below try are of the send in progress.
type socketSender struct {
	rc  syscall.RawConn
	c   *Conn
	try func(fd uintptr) bool // s.attempt, made once

	corked bool

	head     []byte
	src      int
	pos      int64 // of the next byte in src; sendfile moves it
	left     int64
	headSent int64
	fileSent int64
	valid    func() error
	err      error
}

// newFileSender returns nil if bytes must pass through something else before the socket (TLS), or there is none.
func newFileSender(c *Conn) fileSender {
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socketSender{rc: rc, c: c}
	s.try = s.attempt
	return s
}

func (s *socketSender) send(head []byte, src uintptr, pos, n int64, valid func() error) (headSent, fileSent int64, err error) {
	s.head, s.src, s.pos, s.left, s.valid = head, int(src), pos, n, valid
	s.headSent, s.fileSent, s.err = 0, 0, nil
	err = s.rc.Write(s.try)
	if err == nil {
		err = s.err
	}
	s.head, s.valid = nil, nil
	return s.headSent, s.fileSent, err
}

// uncork undoes what attempt has done. If that fails the connection does.
func (s *socketSender) uncork() {
	if s.corked {
		s.corked = false
		_ = s.rc.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 0) })
	}
}

// attempt sends until all is sent or the socket takes no more: false has the runtime wait until it does, for no longer than the
// write deadline, and call again.
func (s *socketSender) attempt(fd uintptr) bool {
	if !s.corked { // else what surrounds the records would go in packets of its own, each of which wakes the client
		s.corked = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) == nil
	}
	for s.err == nil && (len(s.head) > 0 || s.left > 0) {
		n, err := s.step(int(fd))
		switch {
		case n > 0:
			s.c.clock.moved(s.c.server.now()) // a slow client is not one that takes nothing
			s.err = s.valid()
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return false
		case err == nil:
			s.err = io.ErrUnexpectedEOF // the file ends
		default:
			s.err = err
		}
	}
	return true
}

// step is one system call.
func (s *socketSender) step(fd int) (int, error) {
	if len(s.head) > 0 {
		n, err := unix.SendmsgN(fd, s.head, nil, nil, unix.MSG_NOSIGNAL)
		if n > 0 {
			s.head = s.head[n:]
			s.headSent += int64(n)
		}
		return n, os.NewSyscallError("sendmsg", err)
	}
	n, err := unix.Sendfile(fd, s.src, &s.pos, int(min(s.left, sendfileStep)))
	if n > 0 {
		s.left -= int64(n)
		s.fileSent += int64(n)
		return n, nil
	}
	if s.fileSent == 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP)) {
		return 0, errNoSendfile
	}
	return 0, os.NewSyscallError("sendfile", err)
}
