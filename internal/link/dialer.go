package link

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"slices"
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
	// Patience is how long one call of Dial may take: a network that swallows the first packets is tried anew rather than waited for, as the kernel
	// would send them again after a whole second only. 0: 400 ms.
	Patience time.Duration
	// The time from one attempt to the next doubles from First to Most. Each wait is a random part of it, at least half, so that brokers who lost the same
	// peer do not come back all at once. A peer that refuses the link is asked each Most. After an attempt that took longer than that by itself the
	// next one follows after about First. Zero values: 20 ms, 250 ms.
	First, Most time.Duration
	Seed        uint64 // of that chance
}

const (
	defaultPatience = 400 * time.Millisecond
	defaultFirst    = 20 * time.Millisecond
	defaultMost     = 250 * time.Millisecond
	// firstHandshake is how long a handshake may take. Where that is too little, because many are made or the peer is busy, it doubles up to Timing.Handshake.
	firstHandshake = time.Second
)

// Dialer keeps a link to one node: it dials, and dials again when the link has ended.
type Dialer struct {
	opts DialerOptions
	rng  *rand.Rand    // of Run's goroutine
	hand time.Duration // Run's too: that the next handshake may take
	kick chan struct{}

	mu        sync.Mutex
	addresses []string // where the node may listen, never none
	next      int      // which is dialled next, or was dialled for the present link
	link      *Link    // the present one, nil if there is none
}

// NewDialer makes a Dialer. Nothing happens before Run.
func NewDialer(o DialerOptions) *Dialer {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.First <= 0 {
		o.First = defaultFirst
	}
	if o.Most <= 0 {
		o.Most = max(o.First, defaultMost)
	}
	o.Config.Timing = o.Config.Timing.withDefaults()
	return &Dialer{
		opts: o, rng: rand.New(rand.NewPCG(o.Seed, uint64(o.Node))), kick: make(chan struct{}, 1), addresses: []string{o.Address},
		hand: min(firstHandshake, o.Config.Timing.Handshake),
	}
}

// Run keeps the link until ctx ends, then closes it and returns. It is the link's reader too, so a Dialer with a link is two
// goroutines.
func (d *Dialer) Run(ctx context.Context) {
	var generation uint64
	wait := d.opts.First
	for ctx.Err() == nil {
		began := time.Now()
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
			pause := max(d.jitter(wait)-time.Since(began), d.jitter(d.opts.First))
			wait = min(2*wait, d.opts.Most)
			d.opts.Owner.Failed(err, pause)
			d.sleep(ctx, pause)
			continue
		}
		generation++
		began = time.Now()
		reason := d.use(ctx, l, generation)
		d.opts.Owner.Down(generation, reason)
		if time.Since(began) >= d.opts.Most { // else it may come up and break for ever: the wait goes on growing
			wait = d.opts.First
		}
		d.sleep(ctx, d.jitter(wait))
		wait = min(2*wait, d.opts.Most)
	}
}

// attempt makes one link. If that fails it is another address's turn.
func (d *Dialer) attempt(ctx context.Context) (*Link, error) {
	d.mu.Lock()
	address := d.addresses[d.next]
	d.mu.Unlock()
	l, err := d.connect(ctx, address)
	if err == nil {
		return l, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addresses[d.next] == address { // else there are others meanwhile
		d.next = (d.next + 1) % len(d.addresses)
	}
	return nil, err
}

func (d *Dialer) connect(ctx context.Context, address string) (*Link, error) {
	short, cancel := context.WithTimeout(ctx, d.opts.Patience)
	conn, err := d.opts.Dial(short, address)
	cancel()
	if err != nil {
		return nil, err
	}
	cfg := d.opts.Config
	cfg.Timing.Handshake = d.hand
	l, err := Dial(ctx, conn, cfg, d.opts.Role, d.opts.Node)
	switch {
	case err == nil:
		d.hand = min(firstHandshake, d.opts.Config.Timing.Handshake)
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.hand = min(2*d.hand, d.opts.Config.Timing.Handshake)
	}
	return l, err
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

// Retarget says where the node listens: at one of these, perhaps, the likeliest first. They are tried in turn; who answers has to prove to be the node. A link that was
// made to another address is closed. Without any, nothing changes.
func (d *Dialer) Retarget(addresses ...string) {
	d.mu.Lock()
	if len(addresses) == 0 || slices.Equal(d.addresses, addresses) {
		d.mu.Unlock()
		return
	}
	l, at := d.link, 0
	if l != nil {
		at = slices.Index(addresses, d.addresses[d.next])
	}
	d.addresses, d.next = slices.Clone(addresses), max(at, 0)
	d.mu.Unlock()
	if l != nil && at >= 0 {
		return
	}
	if l != nil {
		l.Close(errors.New("the node has another address now"))
	}
	d.Kick()
}
