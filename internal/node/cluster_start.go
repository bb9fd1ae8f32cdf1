package node

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/replication/stream"
	"chronik/internal/vfs"
)

// cleanName is there while a node that closed all its logs is stopped.
const cleanName = "clean_stop"

// coldReads is how many followers' reads from the disk are under way at a time.
const coldReads = 4

// steps are those of the start of a node of a cluster. Others have to start too before it comes to an end.
func (c *cluster) steps() []step {
	n := c.node
	return []step{
		{"data directory", n.openDirectory},
		{"disk", n.openLane},
		{"listeners for other nodes", c.listen},
		{"cluster", c.begin},
		{"disk", n.openDisk},
		{"listener", n.listen},
		{"metadata log", c.openMetadata},
		{"metadata", c.follow},
		{"partitions", c.openPartitions},
		{"broker", n.serve},
		{"registration", c.keepSession},
		{"HTTP", n.serveHTTP},
	}
}

// follow waits until the metadata here are not older than anything that was acknowledged, and follows them from there: nothing may be
// deleted because an older image lacks it.
func (c *cluster) follow(ctx context.Context) error {
	n := c.node
	clean, err := c.takeCleanMark()
	if err != nil {
		return err
	}
	cfg := n.follower.broker()
	err = n.openReplicas(replica.Env{
		Controller: c.proposals, Leaders: c.receivers, Losses: c.losses, Session: c.holds,
		Replication: replica.Replication{LagTime: time.Duration(cfg.ReplicaLagMs) * time.Millisecond, LagEntries: cfg.ReplicaLagMessages},
	})
	if err != nil {
		return err
	}
	cold := stream.NewColdReads(coldReads)
	c.senders.Store(stream.NewSenders(n.replicas, cold))
	c.running.Go(func() { c.join(ctx) })
	if err := c.awaitQuorum(ctx); err != nil {
		return err
	}
	failed := make(chan error, 1)
	if err := c.quorum().Follow(ctx, func(im *image.Image) { failed <- n.follower.start(im) }, n.follower.apply); err != nil {
		return err
	}
	if err := <-failed; err != nil {
		return err
	}
	n.replicas.OpenAll(ctx) // what recovery cut off is part of the registration (L2)
	c.registration = n.registration()
	c.registration.Incarnation, c.registration.CleanStop = n.follower.incarnation, clean
	c.registration.Endpoints = c.endpoints(c.registration.Endpoints[0])
	c.registration.Features = c.active.Inputs(nil).Supported()
	cuts, told := n.replicas.Cuts()
	for _, cut := range cuts {
		c.registration.Cuts = append(c.registration.Cuts, controller.Cut(cut))
	}
	if len(cuts) > 0 {
		c.registration.CleanStop = false
		n.env.Log.Warn("logs of this node lost records: it leads none of them before their other replicas were heard", "logs", len(cuts))
	}
	c.cutsTold = sync.OnceFunc(func() {
		if err := told(); err != nil {
			n.env.Log.Warn("what the active controller knows of cut logs could not be crossed out; it is told again at the next start", "error", err)
		}
	})
	return nil
}

// awaitQuorum waits until the metadata here are as new as anybody's. It says what it waits for, and goes on saying so.
func (c *cluster) awaitQuorum(ctx context.Context) error {
	log := c.node.env.Log
	log.Info("waiting for the metadata quorum")
	for {
		attempt, cancel := context.WithTimeoutCause(ctx, remindEvery, errNoQuorum)
		_, err := c.quorum().Linearizable(attempt)
		cancel()
		if !errors.Is(err, errNoQuorum) || ctx.Err() != nil {
			return err
		}
		s, err := c.quorum().Status(ctx)
		if err != nil {
			return err
		}
		var voters []string
		for _, v := range s.Voters {
			voters = append(voters, fmt.Sprintf("%d at %s", v.Node, strings.Join(c.book.of(v.Replica), " or ")))
		}
		if !c.takesPart(&s) { // it knows nothing yet; who takes it in says so, see join
			voters = nil
		}
		log.Warn("still waiting for the metadata quorum: more than half of its voters have to run and to reach each other; start them, or see whether a firewall is between",
			"leader", c.leaderName(), "voters", voters)
	}
}

var errNoQuorum = errors.New("nobody leads the metadata quorum, or its leader does not reach this node")

// leaderName is who leads the metadata quorum, for the log.
func (c *cluster) leaderName() any {
	if id, ok := c.leader(); ok {
		return id
	}
	return "none"
}

// openPartitions clears away what deleted topics left, and builds the broker.
func (c *cluster) openPartitions(context.Context) error {
	if err := c.node.replicas.RemoveStrays(); err != nil {
		return err
	}
	if err := c.node.openBroker(c.deps()); err != nil {
		return err
	}
	c.broker.Store(c.node.broker)
	return nil
}

// nodesChanged follows registrations, fencings and removals.
func (c *cluster) nodesChanged(im *image.Image, d *image.Delta) {
	for _, id := range d.NodesChanged {
		switch n := im.Node(id); {
		case id == c.node.settings.NodeID:
		case n == nil:
			c.receivers.forget(id)
			c.pool.Forget(id)
		case !n.Fenced:
			c.receivers.kick(id)
		}
	}
}

// takeCleanMark tells whether the node was stopped in order, and removes the mark before anything is written.
func (c *cluster) takeCleanMark() (clean bool, err error) {
	return vfs.TakeMark(c.node.env.FS, c.node.cleanMark())
}

// markClean leaves the mark. Without it the next start takes logs for suspicious that are not, and no harm is done. If the start before this stop followed
// an unclean one, and no controller was told, then the mark would hide that: members of relaxed topics could lead with records missing (D2).
func (c *cluster) markClean() error {
	n := c.node
	told := c.registration.CleanStop || c.brokerEpoch() != model.NoBrokerEpoch
	if c.broker.Load() == nil || n.Err() != nil || !told {
		return nil // it never came so far, or ended otherwise
	}
	return vfs.PutMark(n.env.FS, n.cleanMark())
}

func (n *Node) cleanMark() string { return path.Join(n.settings.DataDir, cleanName) }
