package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/invariant"
	"chronik/internal/mem"
)

// Session is what a link is used by. Frame and Drained are called by the link's reader, Fill by its writer, at the same time; each of the two
// never twice at once. None of them may wait for long: the link stands still meanwhile.
type Session interface {
	// Frame takes a frame. The body is bytes of buf, and may be used until Frame returns, or longer by whoever retains buf. An error ends the
	// link with that reason.
	Frame(kind byte, body []byte, buf *mem.Buf) error
	// Drained follows the last Frame of those that have arrived together.
	Drained()
	// Fill adds what there is to send until the batch is Full, and reports whether there is more. It is called after each Wake, and again
	// as long as there is more.
	Fill(b *Batch) (more bool)
	// Closed is called once, at the end, when the other methods have returned for the last time.
	Closed(reason error)
}

const (
	// maxQueued is how many bytes of frames that were sent with Send and TrySend may wait.
	maxQueued = 4 << 20
	// farewell is the time that a goodbye may take.
	farewell = 100 * time.Millisecond
	// beats is how often the writer looks whether a heartbeat is due, in the silence that either side tolerates. One is due when nothing was
	// written since the last look, so the largest gap is two looks.
	beats = 6
)

// Link is one connection to another broker. Whoever got it calls Run, or Close.
type Link struct {
	conn    net.Conn
	peer    Peer
	timing  Timing
	beat    time.Duration
	maxBody int

	wake  chan struct{} // of capacity 1
	awake atomic.Bool   // the writer will look before it waits
	done  chan struct{} // closed when the link is to end
	wrote chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	queue   *Batch        // of Send and TrySend
	room    chan struct{} // closed when the queue has been taken; nil if nobody waits
	running bool
	reason  error // why the link ends; nil as long as it does not
}

func newLink(conn net.Conn, cfg *Config, peer Peer, silence time.Duration) *Link {
	body := peer.Role.maxBody()
	return &Link{
		conn: conn, peer: peer, timing: cfg.Timing, beat: max(silence/beats, time.Millisecond), maxBody: body,
		wake: make(chan struct{}, 1), done: make(chan struct{}), wrote: make(chan struct{}), queue: newBatch(body),
	}
}

// Peer is who is at the other end.
func (l *Link) Peer() Peer { return l.peer }

// Run moves frames until the link ends, and returns why: never nil, ErrClosed if Close was called without a reason. It is called once.
func (l *Link) Run(s Session) error {
	l.mu.Lock()
	invariant.Assert(!l.running, "link: Run was called twice")
	l.running = true
	reason := l.reason
	l.mu.Unlock()
	if reason == nil {
		go l.write(s)
		l.Close(l.read(s))
		<-l.wrote
	}
	l.mu.Lock()
	reason = l.reason
	l.queue.reset()
	l.mu.Unlock()
	s.Closed(reason)
	return reason
}

// Close ends the link, if it has not ended yet, and tells the peer the reason; nil means ErrClosed. It does not wait for Run to return.
func (l *Link) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	l.mu.Lock()
	if l.reason != nil {
		l.mu.Unlock()
		return
	}
	l.reason = reason
	running := l.running
	room := l.room
	l.room = nil
	l.mu.Unlock()
	close(l.done)
	if room != nil {
		close(room)
	}
	if !running {
		_ = l.conn.Close()
		return
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(farewell)) // the writer says goodbye and closes
}

// Reason is why the link has ended or is about to; nil if it is not.
func (l *Link) Reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}

// Done is closed when the link is about to end.
func (l *Link) Done() <-chan struct{} { return l.done }

// Wake makes the writer call Fill. It costs next to nothing if it will do so anyway.
func (l *Link) Wake() {
	if l.awake.Swap(true) {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// TrySend queues a frame: the body is body, then tail, which is attached as Batch.Attach does. It fails with ErrFull if the queue has no room, with ErrTooLarge
// for a frame beyond the role's limit, and with the reason if the link has ended. A frame that was queued is sent if the link lives.
func (l *Link) TrySend(kind byte, body, tail []byte, owner *mem.Buf) error {
	_, err := l.enqueue(kind, body, tail, owner, false)
	return err
}

// Send is TrySend that waits for room.
func (l *Link) Send(ctx context.Context, kind byte, body, tail []byte, owner *mem.Buf) error {
	for {
		room, err := l.enqueue(kind, body, tail, owner, true)
		if !errors.Is(err, ErrFull) {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *Link) enqueue(kind byte, body, tail []byte, owner *mem.Buf, wait bool) (room <-chan struct{}, err error) {
	l.mu.Lock()
	switch {
	case l.reason != nil:
		err = fmt.Errorf("%w: %w", ErrClosed, l.reason)
	case !l.queue.empty() && l.queue.size+len(body)+len(tail) > maxQueued:
		if wait && l.room == nil {
			l.room = make(chan struct{})
		}
		room, err = l.room, ErrFull
	default:
		l.queue.Begin(kind)
		l.queue.Append(body)
		l.queue.Attach(tail, owner)
		err = l.queue.End()
	}
	l.mu.Unlock()
	if err == nil {
		l.Wake()
	}
	return room, err
}

// takeQueue exchanges the queue for an empty one.
func (l *Link) takeQueue(empty *Batch) *Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue.empty() {
		return empty
	}
	full := l.queue
	l.queue = empty
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	return full
}
