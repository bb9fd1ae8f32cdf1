package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chronik/internal/link"
	"chronik/internal/mem"
)

// callTime is what a call may take whose context has no deadline.
const callTime = 30 * time.Second

// caller makes calls over one link. It is that link's session.
type caller struct {
	link *link.Link

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan<- answer // of capacity 1
	over    error                    // why the link has ended
}

// answer is what has come of a call.
type answer struct {
	status byte
	body   []byte
	lost   error // the link ended first
}

func newCaller(l *link.Link) *caller {
	return &caller{link: l, waiting: make(map[uint64]chan<- answer)}
}

// call makes a call and waits for its answer. A notSent error says that the request has not left.
func (c *caller) call(ctx context.Context, m Method, body []byte) ([]byte, error) {
	peer := c.link.Peer()
	if methods[m].since > peer.Version {
		return nil, fmt.Errorf("%w: %v is not in version %d, which is what node %d and this broker have in common", ErrUnsupported, m, peer.Version, peer.Node)
	}
	left := callTime
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	if left <= 0 || ctx.Err() != nil {
		return nil, &notSent{cause(ctx)}
	}
	back := make(chan answer, 1)
	c.mu.Lock()
	if c.over != nil {
		defer c.mu.Unlock()
		return nil, &notSent{c.over}
	}
	c.next++
	number := c.next
	c.waiting[number] = back
	c.mu.Unlock()
	if err := c.link.Send(ctx, typeRequest, requestHead{number, m, left}.append(nil), body, nil); err != nil {
		c.forget(number)
		return nil, &notSent{err}
	}
	select {
	case a := <-back:
		if a.lost != nil {
			return nil, &UnknownError{m, fmt.Errorf("the link to node %d was lost: %w", peer.Node, a.lost)}
		}
		return readAnswer(m, peer.Node, a.status, a.body)
	case <-ctx.Done():
		if c.forget(number) {
			_ = c.link.TrySend(typeCancel, appendCancel(nil, number), nil, nil)
		}
		return nil, &UnknownError{m, fmt.Errorf("node %d has not answered: %w", peer.Node, cause(ctx))}
	}
}

// cause is why a context has ended, or is just about to.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return context.DeadlineExceeded
}

// forget gives up a call, and tells whether it was still going on.
func (c *caller) forget(number uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.waiting[number]
	delete(c.waiting, number)
	return ok && c.over == nil
}

// Frame implements link.Session. An answer that nobody waits for any more is no fault.
func (c *caller) Frame(kind byte, body []byte, _ *mem.Buf) error {
	if kind != typeAnswer {
		return fmt.Errorf("%w: type %d is no answer", link.ErrDamaged, kind)
	}
	number, status, rest, err := parseAnswer(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	back := c.waiting[number]
	delete(c.waiting, number)
	made := number <= c.next
	c.mu.Unlock()
	switch {
	case !made:
		return fmt.Errorf("%w: an answer to call %d, which was not made", link.ErrDamaged, number)
	case back != nil:
		back <- answer{status: status, body: append([]byte(nil), rest...)}
	}
	return nil
}

// Drained implements link.Session.
func (c *caller) Drained() {}

// Fill implements link.Session: callers queue their own frames.
func (c *caller) Fill(*link.Batch) bool { return false }

// Closed implements link.Session.
func (c *caller) Closed(reason error) {
	if reason == nil {
		reason = errors.New("no reason was given")
	}
	c.mu.Lock()
	waiting := c.waiting
	c.waiting, c.over = nil, reason
	c.mu.Unlock()
	for _, back := range waiting {
		back <- answer{lost: reason}
	}
}

var _ link.Session = (*caller)(nil)
