package server

import (
	"io"
	"net"
	"time"
)

const (
	lingerTime  = 250 * time.Millisecond
	lingerBytes = 1 << 20
)

// lingerClose ends a connection in good order: it says that nothing more comes, and waits a moment for the client to hang
// up. Closing at once, with bytes unread, would make the kernel reset the connection and could take the last replies from
// the client: a producer would send again what is stored.
func lingerClose(nc net.Conn) {
	half, ok := nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	if nc.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, nc, lingerBytes)
}
