package server

import (
	"fmt"
	"sync"
	"time"

	"chronik/internal/invariant"
	"chronik/internal/wire"
)

const (
	// writeBatch is how many replies are taken from the queue at a time.
	writeBatch = 128
	// writeChunk is from how many encoded bytes on they are written before more are encoded.
	writeChunk = 64 << 10
	// maxPooledOut is the largest encoding buffer that is kept for reuse.
	maxPooledOut = 256 << 10
)

// outBuf is where replies are encoded. It is pooled, so that a connection that sends nothing holds none.
type outBuf struct {
	bytes []byte
	frame wire.Frame
	batch [writeBatch]*Slot
}

var outBufs = sync.Pool{New: func() any { return &outBuf{bytes: make([]byte, 0, 4<<10)} }}

// wakeWriter starts the writer, which inherits the right to write from the caller. A goroutine that is started when there is
// something to write costs as little as waking one that waits, and an idle connection does not pay for its stack. The
// caller does not write itself: it is a group commit with a hundred more slots to complete, and one system call
// per reply instead of one for all of them is what makes pipelining slow.
func (c *Conn) wakeWriter() { go c.writer() }

// write sends what is complete until nothing is left, and then gives up the right to write.
func (c *Conn) write() {
	out := outBufs.Get().(*outBuf)
	for c.writeBatch(out) {
	}
	out.free()
}

// flush sends what is complete, at most one batch of it: the caller is the reader, who has other things to do. It is the way
// of replies that are given before the handler returns: they cost no goroutine switch.
func (c *Conn) flush() {
	if !c.queue.tryWrite() {
		return
	}
	out := outBufs.Get().(*outBuf)
	more := c.writeBatch(out)
	out.free()
	if more {
		c.wakeWriter()
	}
}

func (o *outBuf) free() {
	if cap(o.bytes) > maxPooledOut {
		return
	}
	o.bytes = o.bytes[:0]
	outBufs.Put(o)
}

// writeBatch sends the replies at the head of the queue, as far as they are complete. False means that there are no more, and
// that the right to write is given up.
func (c *Conn) writeBatch(out *outBuf) bool {
	batch := c.queue.take(out.batch[:0])
	if len(batch) == 0 {
		return false
	}
	bytes := 0
	for _, s := range batch {
		bytes += s.bytes
		if c.failed.Load() == nil {
			if err := c.emit(out, s); err != nil {
				c.fail(err)
			}
		}
	}
	if err := c.writeOut(out); err != nil {
		c.fail(err)
	}
	return c.settle(batch, bytes)
}

// emit puts one reply on its way.
func (c *Conn) emit(out *outBuf, s *Slot) error {
	switch r := &s.reply; {
	case r.reason != nil:
		if err := c.writeOut(out); err != nil {
			return err
		}
		return r.reason
	case r.message != nil, r.encoder != nil:
		if err := out.encode(s); err != nil {
			return err
		}
		s.sent = true
		if len(out.bytes) >= writeChunk {
			return c.writeOut(out)
		}
	case r.fetch != nil:
		return c.emitFetch(out, s)
	}
	return nil
}

// encode appends the reply of s. An encoder that panics on what a handler made costs this connection only (E2).
func (o *outBuf) encode(s *Slot) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case invariant.Violation:
			panic(p)
		default:
			s.conn.panicked(s.req.Key, p)
			err = fmt.Errorf("the reply to a request with key %d cannot be encoded: %v", s.req.Key, p)
		}
	}()
	if s.reply.encoder != nil {
		o.bytes = s.reply.encoder.AppendReply(o.bytes, s.req.CorrelationID)
	} else {
		o.bytes = wire.AppendResponse(o.bytes, s.req.CorrelationID, s.reply.message)
	}
	return nil
}

// writeOut writes what is encoded.
func (c *Conn) writeOut(out *outBuf) error {
	if len(out.bytes) == 0 || c.failed.Load() != nil {
		return nil
	}
	c.clock.writeBegan.Store(c.server.now())
	n, err := c.sink.Write(out.bytes)
	c.wrote(int64(n))
	out.bytes = out.bytes[:0]
	return err
}

func (c *Conn) wrote(n int64) {
	c.clock.writeBegan.Store(0)
	c.clock.moved(c.server.now())
	c.server.metrics.BytesOut.add(c.id, n)
	c.server.metrics.Writes.add(c.id, 1)
}

// settle ends the slots of a batch: whatever they held is released, whether their replies were written or not. It reports
// whether there is more to write; if not, the right to write is given up.
func (c *Conn) settle(batch []*Slot, bytes int) (more bool) {
	now := time.Now()
	for i, s := range batch {
		c.server.metrics.countReply(c.id, s, now)
		s.reply.release()
		if s.req.Frame != nil {
			s.req.Frame.Release()
		}
		s.recycle()
		batch[i] = nil
	}
	return c.queue.written(len(batch), bytes)
}
