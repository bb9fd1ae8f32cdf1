package memnet

import (
	"context"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultBufferBytes = 256 << 10
	backlog            = 128
	firstEphemeral     = 40000
)

// Network is a set of hosts that can reach each other. Hosts exist by being named. Make one with New.
type Network struct {
	bufferBytes int
	delay       atomic.Int64 // nanoseconds

	mu        sync.Mutex
	listeners map[Addr]*Listener
	conns     map[*Conn]struct{}
	apart     map[[2]string]bool // pairs of hosts that do not reach each other, smaller name first
	nextPort  int
}

// New makes an empty network.
func New() *Network {
	return &Network{
		bufferBytes: defaultBufferBytes,
		listeners:   make(map[Addr]*Listener),
		conns:       make(map[*Conn]struct{}),
		apart:       make(map[[2]string]bool),
		nextPort:    firstEphemeral,
	}
}

// Listen opens a listener at host:port. Port 0 picks a free one.
func (n *Network) Listen(address string) (*Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, opError("listen", Addr(address), "%w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == "0" {
		port = strconv.Itoa(n.portLocked())
	}
	a := Addr(net.JoinHostPort(host, port))
	if n.listeners[a] != nil {
		return nil, opError("listen", a, "address already in use")
	}
	l := &Listener{network: n, addr: a, queue: make(chan *Conn, backlog), done: make(chan struct{})}
	n.listeners[a] = l
	return l, nil
}

func (n *Network) portLocked() int {
	n.nextPort++
	return n.nextPort - 1
}

// Dial connects from a host to a listener's address. It fails at once if nobody listens there, and waits for ctx if
// the backlog is full or the hosts are apart, as TCP does.
func (n *Network) Dial(ctx context.Context, fromHost, address string) (net.Conn, error) {
	to := Addr(address)
	n.mu.Lock()
	l := n.listeners[to]
	apart := n.apart[pair(fromHost, to.host())]
	client, server := connect(n, Addr(net.JoinHostPort(fromHost, strconv.Itoa(n.portLocked()))), to)
	if !apart && l != nil { // in the same step as the look at apart, so that a Partition sees it or forbids it
		n.conns[client], n.conns[server] = struct{}{}, struct{}{}
	}
	n.mu.Unlock()
	if apart {
		<-ctx.Done()
		return nil, opError("dial", to, "%w", context.Cause(ctx))
	}
	if l == nil {
		return nil, opError("dial", to, "connection refused")
	}
	select {
	case l.queue <- server:
		if !isClosed(l.done) {
			return client, nil
		}
		abandon(client)
		return nil, opError("dial", to, "connection refused")
	case <-l.done:
		abandon(client)
		return nil, opError("dial", to, "connection refused")
	case <-ctx.Done():
		abandon(client)
		return nil, opError("dial", to, "%w", context.Cause(ctx))
	}
}

// Dialer returns a dial function for one host, in the form that clients take.
func (n *Network) Dialer(fromHost string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, address string) (net.Conn, error) { return n.Dial(ctx, fromHost, address) }
}

// Partition cuts all connections between two hosts and lets no new ones come up until Heal.
func (n *Network) Partition(a, b string) {
	p := pair(a, b)
	var cut []*Conn
	n.mu.Lock()
	n.apart[p] = true
	for c := range n.conns {
		if pair(c.local.host(), c.remote.host()) == p {
			cut = append(cut, c)
		}
	}
	n.mu.Unlock()
	for _, c := range cut {
		c.Cut()
	}
}

// Heal ends a Partition.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.apart, pair(a, b))
}

// SetDelay makes all bytes written from now on arrive so much later. Order is kept.
func (n *Network) SetDelay(d time.Duration) { n.delay.Store(int64(d)) }

func (n *Network) delayOf() time.Duration { return time.Duration(n.delay.Load()) }

func pair(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

func abandon(client *Conn) {
	_ = client.Close()
	_ = client.peer.Close()
}

func (n *Network) forget(c *Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// Listener accepts the connections of one address.
type Listener struct {
	network *Network
	addr    Addr
	queue   chan *Conn
	once    sync.Once
	done    chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "mem", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close frees the address and closes the connections that nobody accepted.
func (l *Listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, l.addr)
		l.network.mu.Unlock()
		close(l.done)
	drain:
		for {
			select {
			case c := <-l.queue:
				_ = c.Close()
			default:
				break drain
			}
		}
	})
	return nil
}

// Addr is the listener's address.
func (l *Listener) Addr() net.Addr { return l.addr }
