package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"chronik/internal/model"
)

// Owner is told of what a Dialer does. Its methods are called one after the other, and must not block for long.
type Owner interface {
	// Up: there is a link. Its generation is one above that of the link before. What is returned uses the link; its Closed comes before Down.
	Up(l *Link, generation uint64) Session
	// Down: the link of that generation has ended.
	Down(generation uint64, reason error)
	// Failed: an attempt to make a link failed, the next one follows after that time.
	Failed(err error, again time.Duration)
}

// DialerOptions says whom to dial, and how.
type DialerOptions struct {
	Config  Config
	Role    Role
	Node    model.BrokerID // that must answer; model.NoBroker: anybody
	Address string
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Owner   Owner
	// Patience is how long one call of Dial may take: a network that swallows the first packets is tried anew rather than waited for. 0: 1 s.
	Patience time.Duration
	// The time between attempts doubles from First to Most. Each wait is a random part of it, at least half, so that brokers who lost the same
	// peer do not come back all at once. A peer that refuses the link is asked each Most. Zero values: 20 ms, 1 s.
	First, Most time.Duration
	Seed        uint64 // of that chance
}

// Dialer keeps a link to one node: it dials, and dials again when the link has ended.
type Dialer struct {
	opts DialerOptions
	rng  *rand.Rand // of Run's goroutine
	kick chan struct{}

	mu      sync.Mutex
	address string
	link    *Link // the present one, nil if there is none
}

// NewDialer makes a Dialer. Nothing happens before Run.
func NewDialer(o DialerOptions) *Dialer {
	if o.Patience <= 0 {
		o.Patience = time.Second
	}
	if o.First <= 0 {
		o.First = 20 * time.Millisecond
	}
	if o.Most <= 0 {
		o.Most = time.Second
	}
	return &Dialer{
		opts: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(o.Node))), kick: make(chan struct{}, 1), address: o.Address,
	}
}

// Run keeps the link until ctx ends, then closes it and returns. It is the link's reader too, so a Dialer with a link is two
// goroutines.
func (d *Dialer) Run(ctx context.Context) {
	var generation uint64
	wait := d.opts.First
	for ctx.Err() == nil {
		l, err := d.attempt(ctx)
		if ctx.Err() != nil {
			if l != nil {
				l.Close(context.Cause(ctx))
			}
			return
		}
		if err != nil {
			var refused *HandshakeError
			if errors.As(err, &refused) {
				wait = d.opts.Most
			}
			pause := d.jitter(wait)
			wait = min(2*wait, d.opts.Most)
			d.opts.Owner.Failed(err, pause)
			d.sleep(ctx, pause)
			continue
		}
		generation++
		began := time.Now()
		reason := d.use(ctx, l, generation)
		d.opts.Owner.Down(generation, reason)
		if time.Since(began) >= d.opts.Most { // else it may come up and break for ever: the wait goes on growing
			wait = d.opts.First
		}
		d.sleep(ctx, d.jitter(wait))
		wait = min(2*wait, d.opts.Most)
	}
}

// attempt makes one link.
func (d *Dialer) attempt(ctx context.Context) (*Link, error) {
	d.mu.Lock()
	address := d.address
	d.mu.Unlock()
	short, cancel := context.WithTimeout(ctx, d.opts.Patience)
	conn, err := d.opts.Dial(short, address)
	cancel()
	if err != nil {
		return nil, err
	}
	return Dial(ctx, conn, d.opts.Config, d.opts.Role, d.opts.Node)
}

// use runs a link to its end.
func (d *Dialer) use(ctx context.Context, l *Link, generation uint64) error {
	d.mu.Lock()
	d.link = l
	d.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { l.Close(context.Cause(ctx)) })
	defer stop()
	reason := l.Run(d.opts.Owner.Up(l, generation))
	d.mu.Lock()
	d.link = nil
	d.mu.Unlock()
	return reason
}

// jitter is a random time between half of t and t.
func (d *Dialer) jitter(t time.Duration) time.Duration {
	return t/2 + time.Duration(d.rng.Int64N(int64(t/2)+1))
}

func (d *Dialer) sleep(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.kick:
	case <-ctx.Done():
	}
}

// Kick cuts a wait short: there is reason to believe that the node is back.
func (d *Dialer) Kick() {
	select {
	case d.kick <- struct{}{}:
	default:
	}
}

// Retarget changes the node's address. A link to another one is closed.
func (d *Dialer) Retarget(address string) {
	d.mu.Lock()
	changed := d.address != address
	d.address = address
	l := d.link
	d.mu.Unlock()
	if !changed {
		return
	}
	if l != nil {
		l.Close(errors.New("the node has another address now"))
	}
	d.Kick()
}
