package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"chronik/internal/config"
	"chronik/internal/link"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/quorum"
	"chronik/internal/wait"
)

const (
	// askEvery is how often peers are asked what they have, until it is clear how to begin.
	askEvery = 200 * time.Millisecond
	askTime  = 2 * time.Second
	// remindEvery is how often a node that waits says what it waits for.
	remindEvery = 10 * time.Second
	// raftStateName is there as soon as a directory is that of a member of a quorum.
	raftStateName = "raft_state"
)

// begin finds out which cluster this node belongs to, and whether it is to found it (M5).
func (c *cluster) begin(ctx context.Context) error {
	n := c.node
	known, err := n.hasFile(quorum.PropertiesName)
	if err != nil {
		return err
	}
	fresh := func() quorum.Identity { return newIdentity(model.NewTopicID().String(), n.settings.NodeID) }
	var own quorum.Identity
	if known {
		if own, err = quorum.OpenIdentity(n.env.FS, n.settings.DataDir, n.settings.NodeID, fresh); err != nil {
			return err
		}
		data, err := c.hasMetadata(own)
		if err != nil {
			return err
		}
		if data {
			n.identity = own
			return nil
		}
	}
	c.declareEmpty()
	d, err := c.await(ctx)
	if err != nil {
		return err
	}
	c.found = d.Action == quorum.Create
	cluster := d.ClusterID
	if c.found {
		if cluster = own.ClusterID; cluster == "" {
			cluster = model.NewTopicID().String()
		}
	}
	if known && own.ClusterID != cluster {
		return fmt.Errorf("%s belongs to cluster %s, which never began, and the other nodes to cluster %s: empty the directory, or correct --peers",
			n.settings.DataDir, own.ClusterID, cluster)
	}
	n.identity, err = quorum.OpenIdentity(n.env.FS, n.settings.DataDir, n.settings.NodeID,
		func() quorum.Identity { return newIdentity(cluster, n.settings.NodeID) })
	return err
}

func newIdentity(cluster string, node model.BrokerID) quorum.Identity {
	return quorum.Identity{ClusterID: cluster, NodeID: node, Directory: image.UUID(model.NewTopicID())}
}

func (n *Node) hasFile(name ...string) (bool, error) {
	_, err := n.env.FS.Stat(path.Join(append([]string{n.settings.DataDir}, name...)...))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// hasMetadata tells whether the directory holds metadata: a member's, or those of a node that was alone. A first start that came to its end
// before there were any is made again.
func (c *cluster) hasMetadata(own quorum.Identity) (bool, error) {
	n := c.node
	if member, err := n.hasFile("wal", "__meta", raftStateName); member || err != nil {
		return member, err
	}
	if begun, err := n.hasFile("wal", "__meta"); !begun || err != nil {
		return false, err
	}
	o := n.metadataOptions()
	o.ClusterID = own.ClusterID
	local, err := quorum.OpenLocal(o)
	if err != nil {
		return false, err
	}
	index := local.Images().Load().Index()
	return index > 0, local.Close()
}

// await asks the peers until they say what to do. It says what it waits for: when that changes, and now and then.
func (c *cluster) await(ctx context.Context) (quorum.Decision, error) {
	log := c.node.env.Log
	var told string
	var at time.Time
	for {
		answers, silence := c.ask(ctx)
		d := quorum.Bootstrap(c.self(), answers)
		switch d.Action {
		case quorum.Create, quorum.Join:
			return d, nil
		case quorum.Refuse:
			return d, errors.New(d.Reason)
		}
		if now := time.Now(); d.Reason != told || now.Sub(at) >= remindEvery {
			args := []any{"reason", d.Reason}
			for _, id := range d.Silent {
				args = append(args, fmt.Sprintf("node_%d", id), silence[id])
			}
			log.Info("waiting for the other nodes", args...)
			told, at = d.Reason, now
		}
		if err := wait.For(ctx, askEvery); err != nil {
			return quorum.Decision{}, err
		}
	}
}

// self is what this node, which is empty, says of itself.
func (c *cluster) self() quorum.Peer {
	p := quorum.Peer{Node: c.node.settings.NodeID}
	for _, o := range c.node.settings.Peers {
		p.Peers = append(p.Peers, o.ID)
	}
	return p
}

// ask asks all peers at once. Who does not answer is left out, and said why: nobody knows what it has.
func (c *cluster) ask(ctx context.Context) (answers []quorum.Peer, silence map[model.BrokerID]string) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	peers := c.node.settings.Peers
	all, errs := make([]quorum.Peer, len(peers)), make([]error, len(peers))
	var asked sync.WaitGroup
	for i, p := range peers {
		asked.Go(func() { all[i], errs[i] = c.askOne(ctx, p) })
	}
	asked.Wait()
	silence = make(map[model.BrokerID]string)
	for i, p := range peers {
		if errs[i] == nil {
			answers = append(answers, all[i])
		} else {
			silence[p.ID] = whySilent(p, errs[i])
		}
	}
	return answers, silence
}

func (c *cluster) askOne(ctx context.Context, p config.Peer) (quorum.Peer, error) {
	a, err := peer.Ask(ctx, peer.AskOptions{Config: c.linkConfig(), Dial: c.dial, Address: p.Addr, Node: p.ID})
	if err != nil {
		c.log.unanswered(p, err)
		return quorum.Peer{}, err
	}
	out := quorum.Peer{Node: a.Node, ClusterID: a.ClusterID}
	for _, v := range a.Voters {
		out.Peers = append(out.Peers, v.Node)
	}
	return out, nil
}

// whySilent says why a peer has not said what it has, and what to do about that.
func whySilent(p config.Peer, err error) string {
	what := err.Error()
	var refused *link.HandshakeError
	switch {
	case errors.As(err, &refused):
		switch what = refused.Error(); refused.Code {
		case link.NotProved:
			what += "; give all nodes the same --cluster-secret-file"
		case link.WrongNode, link.NotALink:
			what += "; correct --peers"
		}
	case errors.Is(err, peer.ErrInvalid):
		what = "it has data, or does not know yet, and is only starting; it answers in a moment"
	case errors.Is(err, context.DeadlineExceeded):
		what = fmt.Sprintf("no answer within %v; start it, or see whether a firewall is between, or correct --peers", askTime)
	default:
		what += "; start it, or correct --peers"
	}
	return p.Addr + ": " + what
}

// starting is said to be the cluster of a node that is not open, or does not know yet what it has. No link names such a
// cluster, so who hears it takes it for no answer: it must never be taken for an empty node, or a node that has lost its disk
// might begin a second cluster while the others of the first one start (M5).
const starting = "a node that is starting"

// Possession implements peer.Informant.
func (c *cluster) Possession() peer.Possession {
	p := peer.Possession{Node: c.node.settings.NodeID, ClusterID: starting}
	r := c.quorum()
	if r == nil {
		return p
	}
	p.ClusterID, p.Directory = c.node.identity.ClusterID, c.node.identity.Directory
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	s, err := r.Status(ctx)
	if err != nil {
		return p
	}
	p.Member = c.takesPart(&s)
	for _, v := range s.Voters {
		p.Voters = append(p.Voters, peer.Member{Replica: v.Replica, Address: likeliest(c.book.of(v.Replica))})
	}
	return p
}

// empty answers for a node that has made sure that it has no data.
type empty struct{ *cluster }

// Possession implements peer.Informant. An empty node names the nodes that it was given.
func (e empty) Possession() peer.Possession {
	p := peer.Possession{Node: e.node.settings.NodeID}
	for _, o := range e.node.settings.Peers {
		p.Voters = append(p.Voters, peer.Member{Replica: quorum.Replica{Node: o.ID}, Address: o.Addr})
	}
	return p
}

// declareEmpty has this node answer that it has no data, until it belongs to a cluster.
func (c *cluster) declareEmpty() {
	before := c.calls.Swap(peer.NewServer(peer.Handlers{Informant: empty{c}}, c.node.env.Log))
	before.Close()
}

// takesPart tells whether the quorum has this replica among its members.
func (c *cluster) takesPart(s *quorum.Status) bool {
	for _, list := range [][]quorum.ReplicaStatus{s.Voters, s.Observers} {
		for _, r := range list {
			if r.Replica == c.replica() {
				return true
			}
		}
	}
	return false
}

// ActiveController implements peer.Informant.
func (c *cluster) ActiveController() peer.ControllerInfo {
	out := peer.ControllerInfo{Leader: model.NoBroker}
	r := c.quorum()
	if r == nil {
		return out
	}
	leader, known, term, active := r.Leader()
	out.Term, out.Active = term, active
	if known {
		out.Leader = leader.Node
		out.Address = likeliest(c.book.of(leader))
	}
	return out
}
