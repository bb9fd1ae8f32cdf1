package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chronik/internal/link"
	"chronik/internal/model"
)

// connectWait is how long a call waits for a link that is not there. It has not left by then, so whoever made it can ask another broker.
const connectWait = 200 * time.Millisecond

// conn is the link to one node in one lane, which comes back when it is lost. It owns the link's Dialer.
type conn struct {
	node   model.BrokerID
	dialer *link.Dialer
	stop   context.CancelFunc

	mu     sync.Mutex
	caller *caller
	failed error         // why there is no link; nil while the first attempt goes on
	event  chan struct{} // closed at the next change of these
	used   time.Time
	calls  int
}

func newConn(node model.BrokerID, now time.Time) *conn {
	return &conn{node: node, event: make(chan struct{}), used: now}
}

// run keeps the link until the context ends.
func (c *conn) run(ctx context.Context) {
	c.dialer.Run(ctx)
	c.change(nil, ErrClosed)
}

func (c *conn) change(to *caller, failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.caller, c.failed = to, failed
	close(c.event)
	c.event = make(chan struct{})
}

// Up implements link.Owner.
func (c *conn) Up(l *link.Link, _ uint64) link.Session {
	to := newCaller(l)
	c.change(to, nil)
	return to
}

// Down implements link.Owner.
func (c *conn) Down(_ uint64, reason error) { c.change(nil, reason) }

// Failed implements link.Owner.
func (c *conn) Failed(err error, _ time.Duration) { c.change(nil, err) }

// call makes a call. If there is no link it waits for one, but not beyond an attempt that fails, nor for long.
func (c *conn) call(ctx context.Context, m Method, body []byte) ([]byte, error) {
	to, err := c.wait(ctx)
	defer c.leave()
	if err != nil {
		return nil, err
	}
	return to.call(ctx, m, body)
}

func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls--
	c.used = time.Now()
}

func (c *conn) wait(ctx context.Context) (*caller, error) {
	timer := time.NewTimer(connectWait)
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	for c.caller == nil && c.failed == nil {
		event := c.event
		c.mu.Unlock()
		var err error
		select {
		case <-event:
		case <-timer.C:
			err = fmt.Errorf("there was no link within %v", connectWait)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		c.mu.Lock()
		if err != nil && c.caller == nil {
			return nil, &notSent{fmt.Errorf("node %d: %w", c.node, errors.Join(err, c.failed))}
		}
	}
	if c.caller == nil {
		return nil, &notSent{fmt.Errorf("node %d: %w", c.node, c.failed)}
	}
	return c.caller, nil
}

// touch notes that a call is about to be made.
func (c *conn) touch(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = now
}

// idle tells whether nobody has made a call since then.
func (c *conn) idle(since time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls == 0 && c.used.Before(since)
}

var _ link.Owner = (*conn)(nil)
