package powercut

import (
	"net"
	"sync"

	"chronik/internal/memnet"
)

// networkCard is one life's access to the network. Cut, its connections break for both ends and nobody gets a new one.
type networkCard struct {
	network *memnet.Network

	mu        sync.Mutex
	dead      bool
	listeners []net.Listener
	conns     []*memnet.Conn
}

func (c *networkCard) listen(_, address string) (net.Listener, error) {
	l, err := c.network.Listen(address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.listeners = append(c.listeners, l)
	c.mu.Unlock()
	return cardListener{l, c}, nil
}

func (c *networkCard) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, l := range c.listeners {
		_ = l.Close()
	}
	for _, conn := range c.conns {
		conn.Cut()
	}
}

type cardListener struct {
	net.Listener
	card *networkCard
}

// Accept keeps what it accepts, to be cut.
func (l cardListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.card.mu.Lock()
	defer l.card.mu.Unlock()
	accepted := conn.(*memnet.Conn)
	l.card.conns = append(l.card.conns, accepted)
	if l.card.dead {
		accepted.Cut()
	}
	return conn, nil
}
