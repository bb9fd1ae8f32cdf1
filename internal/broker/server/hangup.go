package server

import (
	"net"
	"syscall"
	"time"
)

// A handler that waits in the reader (a long poll, for as long as its client has asked) keeps the connection from being read,
// and so from showing that its client has gone. The sweeper looks at such connections after hangUpFirst, and then each
// hangUpEvery: clients come and go by the thousand, and each must not leave a connection behind for as long as it pleased.
const (
	hangUpFirst = 3 * time.Second
	hangUpEvery = 10 * time.Second
)

// checkHungUp ends the context of a waiting handler whose client has gone. The handler then answers with what it has, which is
// sent if it still can be.
func (c *Conn) checkHungUp(now int64) {
	if now-c.clock.last.Load() < int64(hangUpFirst) || c.clock.looked != 0 && now-c.clock.looked < int64(hangUpEvery) || !c.queue.handling() {
		return
	}
	c.clock.looked = now
	if hungUp(c.nc) {
		c.cancel(errPeerClosed)
	}
}

// hungUp tells whether the client has closed or lost the connection, as far as that shows without reading.
func hungUp(nc net.Conn) bool {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = t.NetConn()
	}
	switch nc := nc.(type) {
	case interface{ HungUp() bool }:
		return nc.HungUp()
	case syscall.Conn:
		rc, err := nc.SyscallConn()
		if err != nil {
			return true
		}
		gone := false
		err = rc.Control(func(fd uintptr) { gone = socketHungUp(int(fd)) })
		return gone || err != nil
	}
	return false
}
