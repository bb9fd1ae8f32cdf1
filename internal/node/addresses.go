package node

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"chronik/internal/config"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// The listeners by which brokers reach each other. Clients are not told of them.
const (
	controlListener     = "CONTROLLER"
	replicationListener = "REPLICATION"
	brokerProtocol      = "CHRONIK"
)

// addresses knows where other nodes listen for brokers: as they registered, else as they said when they asked to be taken in, else as --peers says.
type addresses struct {
	images func() *image.Image // nil before there is one

	mu    sync.Mutex
	given map[model.BrokerID]string
	said  map[model.BrokerID]string
}

func newAddresses(peers []config.Peer) *addresses {
	a := &addresses{given: make(map[model.BrokerID]string), said: make(map[model.BrokerID]string)}
	for _, p := range peers {
		a.given[p.ID] = p.Addr
	}
	return a
}

// learn notes what a node said.
func (a *addresses) learn(id model.BrokerID, address string) {
	if address == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said[id] = address
}

// follow has the metadata looked into.
func (a *addresses) follow(images func() *image.Image) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.images = images
}

// control is where a node listens for Raft's messages and for calls.
func (a *addresses) control(id model.BrokerID) (string, bool) {
	if address, ok := a.registered(id, controlListener); ok {
		return address, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if address, ok := a.said[id]; ok {
		return address, true
	}
	address, ok := a.given[id]
	return address, ok
}

// registered is one of the endpoints that a node registered with.
func (a *addresses) registered(id model.BrokerID, listener string) (string, bool) {
	a.mu.Lock()
	images := a.images
	a.mu.Unlock()
	if images == nil {
		return "", false
	}
	n := images().Node(id)
	if n == nil {
		return "", false
	}
	for _, e := range n.Endpoints {
		if e.Listener == listener {
			return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))), true
		}
	}
	return "", false
}

// dialReplication connects to where a node lets others fetch.
func (a *addresses) dialReplication(dial func(context.Context, string) (net.Conn, error)) func(context.Context, model.BrokerID) (net.Conn, error) {
	return func(ctx context.Context, id model.BrokerID) (net.Conn, error) {
		address, ok := a.registered(id, replicationListener)
		if !ok {
			return nil, fmt.Errorf("node %d is not registered with an address for replication", id)
		}
		return dial(ctx, address)
	}
}
