package node

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"chronik/internal/config"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// The listeners by which brokers reach each other. Clients are not told of them.
const (
	controlListener     = "CONTROLLER"
	replicationListener = "REPLICATION"
	brokerProtocol      = "CHRONIK"
)

// maxSaid bounds the replicas whose words are remembered. All have proved to be nodes of the cluster.
const maxSaid = 512

// addresses knows where other nodes may listen for brokers. A node that comes back under another address has to be reached there before it can
// register with it: what it has said itself since it registered last counts first, then what it registered with, then what --peers says. All
// are tried in turn, as each may be out of date; a link proves who is at its other end.
type addresses struct {
	images func() *image.Image // nil before there is one

	mu    sync.Mutex
	given map[model.BrokerID]string
	said  map[quorum.Replica]statement
	count uint64
}

// statement is what a replica said of where it listens.
type statement struct {
	address string
	since   int64  // the node's broker epoch then, as far as was known here
	number  uint64 // the later, the higher
}

func newAddresses(peers []config.Peer) *addresses {
	a := &addresses{given: make(map[model.BrokerID]string), said: make(map[quorum.Replica]statement)}
	for _, p := range peers {
		a.given[p.ID] = p.Addr
	}
	return a
}

// learn notes what a replica said.
func (a *addresses) learn(who quorum.Replica, address string) {
	if address == "" {
		return
	}
	since := int64(model.NoBrokerEpoch)
	if n := a.node(who.Node); n != nil {
		since = n.Epoch
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.said[who]; known || len(a.said) < maxSaid {
		a.count++
		a.said[who] = statement{address: address, since: since, number: a.count}
	}
}

// follow has the metadata looked into.
func (a *addresses) follow(images func() *image.Image) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.images = images
}

// node is a registered node; nil if it is not known.
func (a *addresses) node(id model.BrokerID) *image.Node {
	a.mu.Lock()
	images := a.images
	a.mu.Unlock()
	if images == nil {
		return nil
	}
	return images().Node(id)
}

// of is where a replica of the metadata may listen for others, the likeliest first.
func (a *addresses) of(r quorum.Replica) []string {
	return a.list(r.Node, func(other quorum.Replica) bool { return other == r })
}

// control is the same for a node, whichever directory it has. While it is in service nobody with another directory speaks for it (R7).
func (a *addresses) control(id model.BrokerID) []string {
	n := a.node(id)
	return a.list(id, func(r quorum.Replica) bool {
		return r.Node == id && (n == nil || n.Fenced || r.Directory == n.Directory)
	})
}

// likeliest is the first of a list of addresses; empty if there is none.
func likeliest(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (a *addresses) list(id model.BrokerID, speaks func(quorum.Replica) bool) []string {
	n := a.node(id)
	var said []statement
	a.mu.Lock()
	for r, s := range a.said {
		if speaks(r) {
			said = append(said, s)
		}
	}
	given := a.given[id]
	a.mu.Unlock()
	slices.SortFunc(said, func(x, y statement) int { return cmp.Compare(y.number, x.number) })
	var out []string
	add := func(address string) {
		if address != "" && !slices.Contains(out, address) {
			out = append(out, address)
		}
	}
	for _, s := range said {
		if n == nil || s.since >= n.Epoch {
			add(s.address)
		}
	}
	add(endpoint(n, controlListener))
	for _, s := range said {
		add(s.address)
	}
	add(given)
	return out
}

// endpoint is one of those that a node registered with; empty if it has none of that name.
func endpoint(n *image.Node, listener string) string {
	if n == nil {
		return ""
	}
	for _, e := range n.Endpoints {
		if e.Listener == listener {
			return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
		}
	}
	return ""
}

// dialReplication connects to where a node lets others fetch. It leads nothing before it has registered where that is.
func (a *addresses) dialReplication(dial func(context.Context, string) (net.Conn, error)) func(context.Context, model.BrokerID) (net.Conn, error) {
	return func(ctx context.Context, id model.BrokerID) (net.Conn, error) {
		address := endpoint(a.node(id), replicationListener)
		if address == "" {
			return nil, fmt.Errorf("node %d is not registered with an address for replication", id)
		}
		return dial(ctx, address)
	}
}
