package link

import (
	"bufio"
	"io"
	"net"
	"sync"
)

// gatherSize is how many bytes of TLS records share a write.
const gatherSize = 128 << 10

// gathered is the connection below TLS. TLS reads and writes records of at most 16 KiB, each with a call of its own; here many of them share one.
type gathered struct {
	net.Conn
	in *bufio.Reader

	mu      sync.Mutex
	holding bool
	out     []byte // written, and not passed on yet
	spare   []byte // what out is exchanged for
}

// gather makes one that reads from in, which ends in conn.
func gather(conn net.Conn, in io.Reader) *gathered {
	return &gathered{Conn: conn, in: bufio.NewReaderSize(in, chunkSize)}
}

// Read implements net.Conn.
func (g *gathered) Read(b []byte) (int, error) { return g.in.Read(b) }

// Write implements net.Conn. TLS calls it with one record at a time, in order and never twice at once: from the link's writer, and from its reader to answer
// a key update.
func (g *gathered) Write(b []byte) (int, error) {
	g.mu.Lock()
	if !g.holding {
		g.mu.Unlock()
		return g.Conn.Write(b)
	}
	if g.out == nil {
		g.out = make([]byte, 0, gatherSize)
	}
	g.out = append(g.out, b...)
	full := len(g.out) > gatherSize-maxRecord
	g.mu.Unlock()
	if full {
		if err := g.pass(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// maxRecord is more than a TLS record takes with its header and tag.
const maxRecord = 16<<10 + 512

// hold has what is written kept until it is worth a write, or release.
func (g *gathered) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = true
}

// release passes on what is held. A record that is written meanwhile is held too, and follows: none overtakes another.
func (g *gathered) release() error {
	for {
		g.mu.Lock()
		if len(g.out) == 0 {
			g.holding = false
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		if err := g.pass(); err != nil {
			return err // the link ends
		}
	}
}

// pass writes what is held.
func (g *gathered) pass() error {
	g.mu.Lock()
	out := g.out
	g.out, g.spare = g.spare, nil
	g.mu.Unlock()
	if len(out) == 0 {
		return nil
	}
	_, err := g.Conn.Write(out)
	g.mu.Lock()
	g.spare = out[:0]
	g.mu.Unlock()
	return err
}
