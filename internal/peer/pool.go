package peer

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"chronik/internal/link"
	"chronik/internal/model"
)

const (
	// idleTime is how long a link stays that nobody uses.
	idleTime = time.Minute
	// redialMost is the longest time between two attempts to reach a broker: a good part of a session, no more.
	redialMost = 250 * time.Millisecond
)

// PoolOptions says how other brokers are reached.
type PoolOptions struct {
	Config    link.Config
	Dial      func(ctx context.Context, address string) (net.Conn, error)
	Addresses func(model.BrokerID) []string // where a broker may listen for others, the likeliest first; they may change
	Seed      uint64                        // of the chance in the waits between attempts
}

// Pool keeps links to brokers, made when they are first needed and given up when they are not used. A broker has at most one for each lane.
type Pool struct {
	opts    PoolOptions
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	conns  map[place]*conn
	swept  time.Time
	closed bool
}

// place is what there is one link for.
type place struct {
	node model.BrokerID
	lane lane
}

// NewPool makes an empty Pool. The cluster ID in its configuration is for good: a broker that becomes part of a cluster makes another one.
func NewPool(o PoolOptions) *Pool {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Pool{opts: o, ctx: ctx, cancel: func() { cancel(ErrClosed) }, conns: make(map[place]*conn)}
}

// Close closes all links. Calls that were made end with an UnknownError.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.running.Wait()
}

// Forget closes the links to a broker that has left.
func (p *Pool) Forget(node model.BrokerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range lanes {
		if c := p.conns[place{node, l}]; c != nil {
			p.dropLocked(place{node, l}, c)
		}
	}
}

// call makes one call to one broker.
func (p *Pool) call(ctx context.Context, node model.BrokerID, m Method, body []byte) ([]byte, error) {
	c, err := p.conn(place{node, methods[m].lane})
	if err != nil {
		return nil, &notSent{err}
	}
	return c.call(ctx, m, body)
}

func (p *Pool) conn(at place) (*conn, error) {
	addresses := p.opts.Addresses(at.node)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweepLocked(now)
	c := p.conns[at]
	switch {
	case p.closed:
		return nil, ErrClosed
	case len(addresses) == 0:
		return nil, &noAddress{at.node}
	case c != nil:
		c.dialer.Retarget(addresses...)
		c.touch(now)
		return c, nil
	}
	c = newConn(at.node, now)
	c.dialer = link.NewDialer(link.DialerOptions{
		Config: p.opts.Config, Role: link.Control, Node: at.node, Address: addresses[0], Dial: p.opts.Dial, Owner: c,
		Most: redialMost, Seed: p.opts.Seed + uint64(at.lane),
	})
	c.dialer.Retarget(addresses...)
	var ctx context.Context
	ctx, c.stop = context.WithCancel(p.ctx)
	p.conns[at] = c
	p.running.Go(func() { c.run(ctx) })
	return c, nil
}

// sweepLocked gives up links that nobody has used for long.
func (p *Pool) sweepLocked(now time.Time) {
	if now.Sub(p.swept) < idleTime/2 {
		return
	}
	p.swept = now
	for at, c := range p.conns {
		if c.idle(now.Add(-idleTime)) {
			p.dropLocked(at, c)
		}
	}
}

func (p *Pool) dropLocked(at place, c *conn) {
	delete(p.conns, at)
	c.stop()
}

// noAddress is a broker that nobody can tell how to reach.
type noAddress struct{ node model.BrokerID }

func (e *noAddress) Error() string { return fmt.Sprintf("the address of node %d is not known", e.node) }
