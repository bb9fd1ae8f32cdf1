package server

import (
	"cmp"
	"errors"
	"time"
)

// Limits bound what connections may cost (E2). The zero value of a field means its default.
type Limits struct {
	// MaxRequestBytes is the largest frame accepted: socket.request.max.bytes, default 100 MiB.
	MaxRequestBytes int
	// MaxInFlight is how many requests of one connection may be without a written reply; default 1024. At the limit the
	// server stops reading from the connection.
	MaxInFlight int
	// MaxInFlightBytes is how many bytes those requests may have together; default 64 MiB. One request is always admitted.
	MaxInFlightBytes int
	// MaxConnections limits the connections of all listeners together: max.connections, default no limit. At the limit new ones
	// wait in the listener's backlog, as in Kafka.
	MaxConnections int
	// MaxConnectionsPerIP limits those of one remote address: max.connections.per.ip, default no limit. More are closed at once.
	MaxConnectionsPerIP int
	// IdleTimeout closes a connection on which nothing has moved for so long and that waits for no reply, or that does not
	// take its replies: connections.max.idle.ms, default 10 minutes.
	IdleTimeout time.Duration
	// FrameTimeout is how long a frame may take from its first byte to its last, plus a second for each KiB that has
	// arrived of it; default 30 seconds. It is also how long a frame that has begun may wait for memory.
	FrameTimeout time.Duration
}

// Why connections end; each is in the log with the peer's address.
var (
	// ErrShutdown is the cause of contexts that end because the server shuts down.
	ErrShutdown = errors.New("the server is shutting down")
	// ErrClosed is the cause of contexts that end because the connection has.
	ErrClosed = errors.New("the connection is closed")

	errPeerClosed   = errors.New("closed by the client")
	errIdle         = errors.New("idle for longer than connections.max.idle.ms")
	errNotReading   = errors.New("the client has not taken its replies for longer than connections.max.idle.ms")
	errSlowFrame    = errors.New("a request stopped arriving in the middle")
	errHandlerPanic = errors.New("the request's handler panicked")
)

func (l Limits) withDefaults() Limits {
	l.MaxRequestBytes = cmp.Or(l.MaxRequestBytes, 100<<20)
	l.MaxInFlight = cmp.Or(l.MaxInFlight, 1024)
	l.MaxInFlightBytes = cmp.Or(l.MaxInFlightBytes, 64<<20)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 10*time.Minute)
	l.FrameTimeout = cmp.Or(l.FrameTimeout, 30*time.Second)
	return l
}

// frameDeadline is how long a frame may take of which n bytes have arrived.
func (l Limits) frameDeadline(n int64) time.Duration {
	return l.FrameTimeout + time.Duration(n>>10)*time.Second
}
