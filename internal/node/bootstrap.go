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

// await asks the peers until they say what to do.
func (c *cluster) await(ctx context.Context) (quorum.Decision, error) {
	log := c.node.env.Log
	var told string
	var at time.Time
	for {
		d := quorum.Bootstrap(c.self(), c.ask(ctx))
		switch d.Action {
		case quorum.Create, quorum.Join:
			return d, nil
		case quorum.Refuse:
			return d, errors.New(d.Reason)
		}
		if now := time.Now(); d.Reason != told || now.Sub(at) >= remindEvery {
			log.Info("waiting for the other nodes", "reason", d.Reason)
			told, at = d.Reason, now
		}
		timer := time.NewTimer(askEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return quorum.Decision{}, context.Cause(ctx)
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

// ask asks all peers at once. Who does not answer is left out: nobody knows what it has.
func (c *cluster) ask(ctx context.Context) []quorum.Peer {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	peers := c.node.settings.Peers
	answers := make([]*quorum.Peer, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() { answers[i] = c.askOne(ctx, p) })
	}
	all.Wait()
	out := make([]quorum.Peer, 0, len(peers))
	for _, a := range answers {
		if a != nil {
			out = append(out, *a)
		}
	}
	return out
}

func (c *cluster) askOne(ctx context.Context, p config.Peer) *quorum.Peer {
	a, err := peer.Ask(ctx, peer.AskOptions{Config: c.linkConfig(), Dial: c.node.env.Dial, Address: p.Addr, Node: p.ID})
	if err != nil {
		var refused *link.HandshakeError
		if errors.As(err, &refused) {
			c.node.env.Log.Warn("a peer does not answer", "node", int32(p.ID), "address", p.Addr, "error", err)
		}
		return nil
	}
	out := &quorum.Peer{Node: a.Node, ClusterID: a.ClusterID}
	for _, v := range a.Voters {
		out.Peers = append(out.Peers, v.Node)
	}
	return out
}

// Possession implements peer.Informant. An empty node names the nodes that it was given.
func (c *cluster) Possession() peer.Possession {
	p := peer.Possession{Node: c.node.settings.NodeID}
	r := c.quorum()
	if r == nil {
		for _, o := range c.node.settings.Peers {
			p.Voters = append(p.Voters, peer.Member{Replica: quorum.Replica{Node: o.ID}, Address: o.Addr})
		}
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
		address, _ := c.book.control(v.Node)
		p.Voters = append(p.Voters, peer.Member{Replica: v.Replica, Address: address})
	}
	return p
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
		out.Address, _ = c.book.control(leader.Node)
	}
	return out
}
