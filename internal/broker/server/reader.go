package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"chronik/internal/mem"
)

const (
	// A connection's chunk grows and shrinks between these with what arrives per read, so that a busy one takes many
	// requests per system call and a thousand slow ones hold little.
	minChunk = 4 << 10
	maxChunk = 64 << 10

	// earnedFactor bounds what a frame that has begun may hold: so many times the bytes that have arrived of it. Without
	// it, four bytes that announce 100 MiB would take 100 MiB out of everybody's budget. With it, a frame of 1 MiB on a busy
	// connection is copied by a sixteenth, once.
	earnedFactor = 32

	frameHeader = 4 // the size before each frame
)

// reader cuts frames out of what arrives. It is the reader goroutine's own.
type reader struct {
	src   source
	chunk *mem.Buf // nil between requests
	buf   []byte   // the chunk's bytes
	start int      // buf[start:end] has arrived and is not consumed
	end   int
	size  int       // of the next chunk
	at    time.Time // of the last read
}

// run reads and dispatches requests until the connection ends, and says why it did.
func (r *reader) run(c *Conn) error {
	r.size = minChunk
	r.src = newSource(c.nc)
	defer r.drop()
	for {
		frame, err := r.cut(c.server.limits.MaxRequestBytes)
		if err != nil {
			return err
		}
		if frame == nil {
			if err := r.fill(c); err != nil {
				return readFailure(c, err)
			}
			continue
		}
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		c.clock.frameBegan.Store(0)
		if err := c.dispatch(frame); err != nil {
			return err
		}
	}
}

// cut returns the next complete frame without its size, or nil if there is none yet.
func (r *reader) cut(limit int) ([]byte, error) {
	have := r.buf[r.start:r.end]
	if len(have) < frameHeader {
		return nil, nil
	}
	size, err := frameSize(have, limit)
	if err != nil || len(have) < frameHeader+size {
		return nil, err
	}
	r.start += frameHeader + size
	return have[frameHeader : frameHeader+size : frameHeader+size], nil
}

// frameSize reads and judges the size of the frame that b begins with.
func frameSize(b []byte, limit int) (int, error) {
	size := int32(binary.BigEndian.Uint32(b))
	if size > 0 && int64(size) <= int64(limit) {
		return int(size), nil
	}
	hint := ""
	switch first := string(b[:frameHeader]); {
	case first[:3] == "\x16\x03\x01" || first[:3] == "\x16\x03\x03":
		hint = "; the client seems to speak TLS, which this listener does not"
	case first == "GET " || first == "POST" || first == "HEAD" || first == "PUT ":
		hint = "; the client seems to speak HTTP"
	}
	return 0, fmt.Errorf("a request of %d bytes is announced, socket.request.max.bytes allows 1 to %d%s", size, limit, hint)
}

// fill reads what has arrived, waiting for it if need be.
func (r *reader) fill(c *Conn) error {
	c.flush() // nobody else writes what handlers completed in this goroutine
	if err := r.makeRoom(c); err != nil {
		return err
	}
	if r.start < r.end && c.clock.frameBegan.Load() == 0 {
		c.clock.frameBegan.Store(c.server.now())
	}
	n, err := r.src.read(c, r)
	if n > 0 {
		r.arrived(c, n)
	}
	return err
}

// arrived accounts for n more bytes in the chunk.
func (r *reader) arrived(c *Conn, n int) {
	r.end += n
	r.at = time.Now()
	c.clock.moved(c.server.sinceStart(r.at))
	c.clock.frameBytes.Store(int64(r.end - r.start))
	c.server.metrics.BytesIn.add(c.id, int64(n))
	c.server.metrics.Reads.add(c.id, 1)
	if r.end == len(r.buf) && r.size < maxChunk {
		r.size = min(4*r.size, maxChunk)
	}
}

// makeRoom sees to it that there is space behind what has arrived. Without anything pending it lets go of a chunk that is
// half used, and leaves it to the source to take another one when there is something to read.
func (r *reader) makeRoom(c *Conn) error {
	partial := r.end - r.start
	if partial == 0 {
		if r.chunk != nil && r.end > len(r.buf)/2 {
			r.drop()
		}
		return nil
	}
	need := frameHeader
	if partial >= frameHeader {
		need += int(binary.BigEndian.Uint32(r.buf[r.start:]))
	}
	earned := earnedFactor * partial
	if earned >= need/4 {
		earned = need // another step would cost more than it saves
	}
	if len(r.buf)-r.start >= need || r.end < len(r.buf) && earned < need {
		return nil
	}
	c.clock.frameBegan.Store(0) // while it waits for memory, that is our delay and not the client's
	ctx, cancel := context.WithTimeoutCause(c.ctx, c.server.limits.FrameTimeout, errNoMemory)
	defer cancel()
	next, err := r.acquire(ctx, c, max(min(need, earned), r.size))
	if err != nil {
		return err
	}
	copy(next.Bytes(), r.buf[r.start:r.end])
	r.drop()
	r.adopt(next)
	r.end = partial
	return nil
}

var errNoMemory = errors.New("no memory became free for the rest of a request: queued.max.request.bytes is used up")

// acquire takes a chunk of n bytes as soon as the budget has room for it.
func (r *reader) acquire(ctx context.Context, c *Conn, n int) (*mem.Buf, error) {
	if b, ok := c.server.pool.TryAcquire(n); ok {
		return b, nil
	}
	c.server.metrics.BudgetWaits.add(c.id, 1)
	b, err := c.server.pool.Acquire(ctx, n)
	switch {
	case errors.Is(err, mem.ErrOverBudget):
		return nil, fmt.Errorf("a request does not fit into queued.max.request.bytes, raise that or lower socket.request.max.bytes: %w", err)
	case err != nil:
		return nil, context.Cause(ctx)
	}
	return b, nil
}

// adopt makes b the chunk, with nothing in it.
func (r *reader) adopt(b *mem.Buf) {
	r.chunk, r.buf, r.start, r.end = b, b.Bytes(), 0, 0
}

// drop releases the reader's reference to its chunk; requests hold their own.
func (r *reader) drop() {
	if r.chunk == nil {
		return
	}
	if r.end < len(r.buf)/4 && r.size > minChunk {
		r.size /= 2
	}
	r.chunk.Release()
	r.chunk, r.buf, r.start, r.end = nil, nil, 0, 0
}

// rest lets go of a chunk in which nothing is left to be read: nothing will be for long.
func (r *reader) rest() {
	if r.start == r.end {
		r.drop()
	}
}

// readFailure tells why reading ended.
func readFailure(c *Conn, err error) error {
	switch {
	case c.failed.Load() != nil:
		return c.failed.Load().reason
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrShutdown
	case errors.Is(err, io.EOF) && c.reader.start == c.reader.end:
		return errPeerClosed
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}
