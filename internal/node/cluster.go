package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/broker/api"
	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/node/active"
	"chronik/internal/peer"
	"chronik/internal/peer/raftlink"
	"chronik/internal/quorum"
	"chronik/internal/replica"
	"chronik/internal/replication/stream"
)

// cluster is what a node has beside a standalone one: links to the other nodes, its replica of the metadata log, the part of the active
// controller, and its session with whoever plays that.
type cluster struct {
	node *Node
	auth link.Auth
	dial dialer
	book *addresses
	log  *complaints
	run  context.Context // of what ends with the node
	stop context.CancelFunc

	control, replication net.Listener
	found                bool // this node founds the cluster

	raft      atomic.Pointer[quorum.Raft] // nil before it is known which cluster this is
	transport *raftlink.Transport
	calls     atomic.Pointer[peer.Server]
	broker    atomic.Pointer[api.Broker]
	pool      *peer.Pool
	client    *peer.Client
	active    *active.Controller
	senders   atomic.Pointer[stream.Senders]
	proposals *proposals
	receivers *receivers

	losses       *replica.Losses
	registration controller.Registration
	cutsTold     func() // the registration was answered
	epoch        atomic.Int64
	session      *peer.Session
	standing     standing
	service      chan struct{} // closed when the node has been in service for the first time
	served       bool

	running sync.WaitGroup // until run ends

	mu    sync.Mutex
	early []*link.Link // control links from before this node knew its cluster
}

func newCluster(n *Node) *cluster {
	c := &cluster{node: n, book: newAddresses(n.settings.Peers), log: newComplaints(n.env.Log), service: make(chan struct{})}
	c.run, c.stop = context.WithCancel(context.Background())
	c.epoch.Store(int64(model.NoBrokerEpoch))
	c.standing.log, c.standing.stalled, c.standing.told = n.env.Log, c.stalled, c.stands
	return c
}

// listen opens the ports for the other nodes. They are asked what this node has before it knows itself.
func (c *cluster) listen(context.Context) error {
	n := c.node
	if err := c.credentials(); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(n.settings.RaftAddr)
	if err != nil {
		return err
	}
	if c.control, err = n.env.Listen("tcp", n.settings.RaftAddr); err != nil {
		return fmt.Errorf("%w; choose another with --raft-addr, or stop what uses it", err)
	}
	if c.replication, err = n.env.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n.settings.ReplicationPort))); err != nil {
		return fmt.Errorf("%w; choose another with --replication-port, or stop what uses it", err)
	}
	c.calls.Store(peer.NewServer(peer.Handlers{Informant: c}, n.env.Log)) // who asks what is here needs no more
	for _, ln := range []net.Listener{c.control, c.replication} {
		s := &link.Server{Config: c.linkConfig, Open: c.open, Refused: c.log.refused}
		c.running.Go(func() {
			if err := s.Serve(c.run, ln); err != nil {
				n.fail(err)
			}
		})
	}
	return nil
}

// linkConfig is what this node says of itself.
func (c *cluster) linkConfig() link.Config {
	cfg := link.Config{Node: c.node.settings.NodeID, Auth: c.auth, Epoch: c.brokerEpoch}
	if c.quorum() != nil {
		cfg.ClusterID = c.node.identity.ClusterID
	}
	return cfg
}

func (c *cluster) brokerEpoch() model.BrokerEpoch { return model.BrokerEpoch(c.epoch.Load()) }

func (c *cluster) quorum() *quorum.Raft { return c.raft.Load() }

func (c *cluster) replica() quorum.Replica {
	return quorum.Replica{Node: c.node.settings.NodeID, Directory: c.node.identity.Directory}
}

// open gives a link that was accepted to what uses it.
func (c *cluster) open(l *link.Link) link.Session {
	switch l.Peer().Role {
	case link.Control:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.quorum() == nil {
			c.early = append(c.early, l)
		}
		return c.calls.Load().Open(l)
	case link.Raft:
		if c.quorum() != nil {
			return c.transport.Open(l)
		}
	case link.Replication:
		if s := c.senders.Load(); s != nil {
			return s.Open(l)
		}
	}
	l.Close(errors.New("this node is only starting"))
	return noSession{}
}

// noSession uses a link that was closed at once.
type noSession struct{}

func (noSession) Frame(byte, []byte, *mem.Buf) error { return nil }
func (noSession) Drained()                           {}
func (noSession) Fill(*link.Batch) bool              { return false }
func (noSession) Closed(error)                       {}

// openMetadata opens this node's replica of the metadata log, and lets it take part.
func (c *cluster) openMetadata(context.Context) error {
	n := c.node
	cfg := c.linkConfig()
	cfg.ClusterID = n.identity.ClusterID
	c.transport = raftlink.New(raftlink.Options{
		Self: c.replica(), Config: cfg, Reach: c.reach(), Dial: c.dial, Log: n.env.Log, Seed: uint64(n.settings.NodeID),
		Addresses: c.book.of, Heard: c.book.learn,
	})
	r, err := quorum.OpenRaft(quorum.RaftOptions{
		DiskOptions: quorum.DiskOptions{Options: n.metadataOptions(), Self: c.replica(), Found: c.found}, Transport: c.transport,
	})
	if err != nil {
		return err
	}
	c.transport.Bind(r)
	n.quorum = r
	c.book.follow(r.Images().Load)
	n.follower = n.newFollower()
	n.follower.nodes, n.follower.incarnation = c.nodesChanged, image.UUID(model.NewTopicID())
	if err := n.follower.configure(r.Images().Load()); err != nil {
		return err
	}
	c.active = active.New(active.Options{
		Node: n.settings.NodeID, Log: r, Static: n.follower.static, Config: n.follower.broker, Logger: n.env.Log,
		Reached: c.book.learn,
	})
	calls := peer.NewServer(peer.Handlers{Controller: c.active, Forwarder: c, Informant: c, Transactor: c}, n.env.Log)
	c.pool = peer.NewPool(peer.PoolOptions{Config: cfg, Dial: c.dial, Addresses: c.book.control, Seed: uint64(n.settings.NodeID)})
	c.client = peer.NewClient(peer.ClientOptions{
		Self: n.settings.NodeID, ClusterID: n.identity.ClusterID, Local: calls, Pool: c.pool, Log: n.env.Log,
		Candidates: c.candidates, Leader: c.leader, Rand: rand.New(rand.NewPCG(uint64(n.settings.NodeID), uint64(time.Now().UnixNano()))),
	})
	c.proposals = newProposals(c.client, c.brokerEpoch, n.env.Log)
	c.receivers = newReceivers(cfg, c.book.dialReplication(c.dial), n.env.Log)
	c.enter(r, calls)
	c.running.Go(func() { c.active.Run(c.run) })
	c.running.Go(func() { c.proposals.run(c.run) })
	return nil
}

// enter has this node answer as one of its cluster. Links from before are made again: at their other end it is said that this node belongs to none.
func (c *cluster) enter(r *quorum.Raft, calls *peer.Server) {
	c.mu.Lock()
	before := c.calls.Swap(calls)
	c.raft.Store(r)
	links := c.early
	c.early = nil
	c.mu.Unlock()
	for _, l := range links {
		l.Close(errors.New("this node belongs to a cluster now"))
	}
	before.Close()
}

// candidates are the nodes that may be the active controller.
func (c *cluster) candidates() []model.BrokerID {
	out := []model.BrokerID{c.node.settings.NodeID}
	for _, p := range c.node.settings.Peers {
		out = append(out, p.ID)
	}
	for _, n := range c.quorum().Images().Load().Nodes() {
		out = append(out, n.ID)
	}
	return compact(out)
}

// leader is who leads the metadata quorum, as far as this node knows.
func (c *cluster) leader() (model.BrokerID, bool) {
	leader, known, _, _ := c.quorum().Leader()
	return leader.Node, known
}

// controllerID is who this node believes to be the active controller.
func (c *cluster) controllerID() model.BrokerID {
	if id, ok := c.leader(); ok {
		return id
	}
	return model.NoBroker
}

// close takes down what there is of it, after everything that uses it.
func (c *cluster) close() {
	c.stop()
	if c.receivers != nil {
		c.receivers.close()
	}
	if c.pool != nil {
		c.pool.Close()
	}
	if calls := c.calls.Load(); calls != nil {
		calls.Close()
	}
	if c.transport != nil {
		c.transport.Close()
	}
	for _, ln := range []net.Listener{c.control, c.replication} {
		if ln != nil {
			_ = ln.Close() // it is closed already if it was served
		}
	}
	c.running.Wait()
}

// reach is where this node listens for the others' calls and messages.
func (c *cluster) reach() string {
	host, _, _ := net.SplitHostPort(c.node.settings.RaftAddr)
	return net.JoinHostPort(host, strconv.Itoa(int(c.controlPort())))
}

func (c *cluster) controlPort() uint16 {
	_, port, _ := net.SplitHostPort(c.node.settings.RaftAddr)
	asked, _ := strconv.ParseUint(port, 10, 16)
	return portOf(c.control, uint16(asked))
}

// endpoints are where others reach this node.
func (c *cluster) endpoints(clients image.Endpoint) []image.Endpoint {
	host, _, _ := net.SplitHostPort(c.node.settings.RaftAddr)
	return []image.Endpoint{
		clients,
		{Listener: controlListener, Host: host, Port: c.controlPort(), SecurityProtocol: brokerProtocol},
		{Listener: replicationListener, Host: host, Port: portOf(c.replication, uint16(c.node.settings.ReplicationPort)), SecurityProtocol: brokerProtocol},
	}
}

// portOf is the port that is really listened on.
func portOf(ln net.Listener, asked uint16) uint16 {
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return asked
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return asked
	}
	return uint16(n)
}
