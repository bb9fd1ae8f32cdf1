package link

import (
	"bufio"
	"io"
	"net"
	"sync"
)

// gathered is the connection below TLS. TLS reads and writes records of at most 16 KiB, each with a call of its own; here many of them share one.
type gathered struct {
	net.Conn
	in *bufio.Reader

	mu      sync.Mutex
	holding bool
	out     []byte // written, and not passed on yet
	spare   []byte
}

// gather makes one that reads from in, which ends in conn.
func gather(conn net.Conn, in io.Reader) *gathered {
	return &gathered{Conn: conn, in: bufio.NewReaderSize(in, chunkSize)}
}

// Read implements net.Conn.
func (g *gathered) Read(b []byte) (int, error) { return g.in.Read(b) }

// Write implements net.Conn. TLS calls it one at a time, in order: from the link's writer, and from its reader to answer a key update.
func (g *gathered) Write(b []byte) (int, error) {
	g.mu.Lock()
	if g.holding {
		g.out = append(g.out, b...)
		g.mu.Unlock()
		return len(b), nil
	}
	g.mu.Unlock()
	return g.Conn.Write(b)
}

// hold has everything that is written kept until release.
func (g *gathered) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = true
}

// release passes on what is held. What is written meanwhile is held too, and follows: no record overtakes another.
func (g *gathered) release() error {
	for {
		g.mu.Lock()
		out := g.out
		if len(out) == 0 {
			g.holding = false
			g.mu.Unlock()
			return nil
		}
		g.out, g.spare = g.spare[:0], nil
		g.mu.Unlock()
		_, err := g.Conn.Write(out)
		if cap(out) <= keepBuffer {
			g.spare = out // of this goroutine, until the next hold
		}
		if err != nil {
			return err // the link ends
		}
	}
}
