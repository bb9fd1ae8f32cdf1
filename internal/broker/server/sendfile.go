package server

import (
	"errors"

	"chronik/internal/wire"
)

// fileSender sends a file's bytes to a socket without a copy (sendfile). A connection has one if its socket is a plain one
// and the system can; see newFileSender. It belongs to the holder of the right to write.
type fileSender interface {
	// send writes head and then n bytes of the file src from pos on, and returns how many bytes of each it wrote. After each step
	// it asks valid whether to go on. Closing the connection and its write deadline end it. The error is
	// errNoSendfile if all of head but nothing of the file was written, and the file must be sent in another way.
	//
	// The last packet, if not full, waits for what is written next, until uncork.
	send(head []byte, src uintptr, pos, n int64, valid func() error) (headSent, fileSent int64, err error)
	// uncork lets go what waits. It is called when all of a reply is written.
	uncork()
}

var errNoSendfile = errors.New("the file system has no sendfile")

// files returns the connection's fileSender, nil if there is none.
func (c *Conn) files() fileSender {
	if !c.filesKnown {
		c.filesKnown = true
		c.fileSender = newFileSender(c)
	}
	return c.fileSender
}

// sendFile sends what is encoded and a region behind it, if the connection and the region can; else it does nothing.
func (c *Conn) sendFile(out *outBuf, r wire.FileRegion) (n int64, done bool, err error) {
	files := c.files()
	if files == nil {
		return 0, false, nil
	}
	fd, pos, ok := r.Descriptor()
	if !ok {
		return 0, false, nil
	}
	if c.failed.Load() != nil {
		return 0, true, ErrClosed
	}
	if err := r.Valid(); err != nil {
		return 0, true, err
	}
	c.clock.writeBegan.Store(c.server.now())
	head, n, err := files.send(out.bytes, fd, pos, int64(r.Len()), r.Valid)
	c.wrote(head + n)
	out.bytes = out.bytes[:0]
	if errors.Is(err, errNoSendfile) {
		files.uncork()
		c.fileSender = nil
		return 0, false, nil
	}
	if r.Valid() != nil {
		discardUnsent(c.nc) // what the socket refers to is not what was promised any more
	}
	return n, true, err
}

// discardUnsent has the connection's close throw away what the client has not got yet, instead of delivering it.
func discardUnsent(nc any) {
	if s, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		_ = s.SetLinger(0) // if that fails, the client sees a reply that breaks off, as it does anyway
	}
}
