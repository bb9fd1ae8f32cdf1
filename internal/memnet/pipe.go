package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe is one direction of a connection: a bounded buffer of chunks, each readable from its time on.
type pipe struct {
	mu       sync.Mutex
	chunks   []chunk
	buffered int
	limit    int
	closed   bool  // by the writer: EOF after what is buffered
	broken   error // for both sides, at once
	stopped  bool  // by the reader: nobody will read
	changed  chan struct{}
}

type chunk struct {
	bytes []byte
	at    time.Time // zero: at once
}

func newPipe(limit int) *pipe { return &pipe{limit: limit, changed: make(chan struct{})} }

// notifyLocked wakes all who wait for a change.
func (p *pipe) notifyLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// read reads what has arrived, waiting for it until the deadline.
func (p *pipe) read(b []byte, d *deadline) (int, error) {
	for {
		expired := d.expired()
		if isClosed(expired) {
			return 0, os.ErrDeadlineExceeded
		}
		n, wait, changed, err := p.tryRead(b)
		if n > 0 || err != nil {
			return n, err
		}
		if err := await(changed, expired, wait); err != nil {
			return 0, err
		}
	}
}

// tryRead reads what may be read now. Otherwise it returns how long until something may (0: not known) and what
// is closed on a change.
func (p *pipe) tryRead(b []byte) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken != nil:
		return 0, 0, nil, p.broken
	case p.stopped:
		return 0, 0, nil, net.ErrClosed
	case len(b) == 0:
		return 0, 0, nil, nil
	}
	for n < len(b) && len(p.chunks) > 0 {
		c := &p.chunks[0]
		if !c.at.IsZero() {
			if wait = time.Until(c.at); wait > 0 {
				break
			}
		}
		m := copy(b[n:], c.bytes)
		n += m
		if c.bytes = c.bytes[m:]; len(c.bytes) == 0 {
			p.chunks[0] = chunk{}
			p.chunks = p.chunks[1:]
		}
	}
	if n > 0 {
		p.buffered -= n
		p.notifyLocked()
		return n, 0, nil, nil
	}
	if p.closed && len(p.chunks) == 0 {
		return 0, 0, nil, io.EOF
	}
	return 0, wait, p.changed, nil
}

// write buffers all of b, waiting for room until the deadline.
func (p *pipe) write(b []byte, delay time.Duration, d *deadline) (int, error) {
	total := 0
	for {
		expired := d.expired()
		if isClosed(expired) {
			return total, os.ErrDeadlineExceeded
		}
		n, changed, err := p.tryWrite(b[total:], delay)
		total += n
		if err != nil || total == len(b) {
			return total, err
		}
		if err := await(changed, expired, 0); err != nil {
			return total, err
		}
	}
}

func (p *pipe) tryWrite(b []byte, delay time.Duration) (int, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken != nil:
		return 0, nil, p.broken
	case p.closed:
		return 0, nil, net.ErrClosed
	case p.stopped:
		return 0, nil, errReset
	}
	n := min(len(b), p.limit-p.buffered)
	if n > 0 {
		c := chunk{bytes: append([]byte(nil), b[:n]...)}
		if delay > 0 {
			c.at = time.Now().Add(delay)
		}
		p.chunks = append(p.chunks, c)
		p.buffered += n
		p.notifyLocked()
	}
	return n, p.changed, nil
}

// closeWrite: the reader gets what is buffered, then EOF.
func (p *pipe) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.notifyLocked()
}

// closeRead: nobody will read; what is buffered is lost and the writer is told.
func (p *pipe) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.chunks, p.buffered = nil, 0
	p.notifyLocked()
}

// cut breaks the pipe for both sides with err; what is buffered is lost.
func (p *pipe) cut(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = err
		p.chunks, p.buffered = nil, 0
		p.notifyLocked()
	}
}

// await blocks until something changed, the deadline expired (its error) or, if wait is positive, so much time has passed.
func await(changed, expired <-chan struct{}, wait time.Duration) error {
	var after <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-changed:
	case <-after:
	case <-expired:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// deadline is a moment that can be moved while others wait for it.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{} // closed when the moment has come
}

func newDeadline() *deadline { return &deadline{done: make(chan struct{})} }

func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

// set moves the deadline. Those who wait go on waiting for the channel that they have, so it is kept unless it is closed.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.done // the timer is about to close it, or has
	}
	d.timer = nil
	if isClosed(d.done) {
		d.done = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	done := d.done
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(done) })
	} else {
		close(done)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// ended tells whether nothing more will be written.
func (p *pipe) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed || p.broken != nil
}
