package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"chronik/internal/broker/api"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/quorum"
	"chronik/internal/wait"
)

const (
	// joinTime is what one attempt to be taken into the quorum may take.
	joinTime  = 30 * time.Second
	joinPause = 500 * time.Millisecond
	// handOverTime is how long a stopping node waits for others to take over what it leads.
	handOverTime = 10 * time.Second
	// leaderlessTime is how long it waits while nobody leads the metadata quorum.
	leaderlessTime = 1500 * time.Millisecond
	farewellTime   = 2 * time.Second
)

func compact(ids []model.BrokerID) []model.BrokerID {
	slices.Sort(ids)
	return slices.Compact(ids)
}

// join has this node's replica taken into the metadata quorum. It does not give up: others may have to start first.
func (c *cluster) join(ctx context.Context) {
	log := c.node.env.Log
	for ctx.Err() == nil {
		s, err := c.quorum().Status(ctx)
		if err != nil || c.takesPart(&s) && !c.learning(&s) {
			return
		}
		attempt, cancel := context.WithTimeout(ctx, joinTime)
		err = c.client.Join(attempt, peer.JoinRequest{Directory: c.node.identity.Directory, Address: c.reach(), Vote: true})
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			log.Warn("this node is not part of the metadata quorum yet; it asks again", "error", err)
		}
		_ = wait.For(ctx, joinPause)
	}
}

// learning tells whether this replica has no vote.
func (c *cluster) learning(s *quorum.Status) bool {
	return slices.ContainsFunc(s.Observers, func(r quorum.ReplicaStatus) bool { return r.Replica == c.replica() })
}

// Registration implements peer.SessionOwner. Another process of this node, though it is gone, may have registered since the attempt before.
func (c *cluster) Registration() controller.Registration {
	r := c.registration
	r.Follows = c.quorum().Images().Load().BrokerEpoch(r.ID)
	return r
}

// Applied implements peer.SessionOwner.
func (c *cluster) Applied() uint64 { return c.quorum().Images().Load().Index() }

// Follow implements peer.SessionOwner. Replicas and coordinators have followed when the image is there.
func (c *cluster) Follow(ctx context.Context, index uint64) error {
	_, err := c.quorum().Images().Wait(ctx, index)
	return err
}

// Registered implements peer.SessionOwner. What the registration grants begins when this node has applied it; see follower.nodesChanged.
func (c *cluster) Registered(epoch model.BrokerEpoch) {
	c.epoch.Store(int64(epoch))
	c.running.Go(c.cutsTold) // the session does not wait for the disk (R8)
	c.node.env.Log.Info("registered with the active controller", "broker_epoch", int64(epoch))
}

// Back implements peer.SessionOwner.
func (c *cluster) Back() { c.standing.session(true) }

// Lost implements peer.SessionOwner (R6).
func (c *cluster) Lost(why error) {
	c.node.env.Log.Warn("no active controller was heard of within a session: nothing is acknowledged for replicas until one is", "error", why)
	c.standing.session(false)
}

// holds tells, by the clock, whether an active controller was heard of within the session, and is followed here.
func (c *cluster) holds() bool { return c.session != nil && c.session.Holds() && c.standing.follows() }

// stalled is for how long the disk of the metadata has stood still.
func (c *cluster) stalled() time.Duration {
	if r := c.quorum(); r != nil {
		return r.Stalled()
	}
	return 0
}

// stands follows this node's standing.
func (c *cluster) stands(alive, withdrawn bool) {
	c.node.replicas.SessionChanged(alive)
	c.node.replicas.Withdraw(withdrawn)
}

// Changed implements peer.SessionOwner.
func (c *cluster) Changed(r controller.HeartbeatReply) {
	if r.CaughtUp && !r.Fenced && !c.served {
		c.served = true
		close(c.service)
	}
	if c.served && r.Fenced && !r.Stopping {
		c.node.env.Log.Warn("the active controller has taken this node out of service; it comes back with its next heartbeat")
	}
}

// Refused implements peer.SessionOwner.
func (c *cluster) Refused(err error) {
	var r *controller.Refusal
	if errors.As(err, &r) && r.Reason == controller.Settling {
		c.node.env.Log.Info("waiting to be registered", "reason", err)
		return
	}
	c.node.env.Log.Warn("the active controller does not register this node; it is tried again", "error", err)
}

// Removed implements peer.SessionOwner.
func (c *cluster) Removed(err error) {
	c.node.fail(errors.Join(errors.New("this node was removed from the cluster; empty its data directory to let it join again"), err))
}

// keepSession registers this node, keeps it alive, and returns when it is in service.
func (c *cluster) keepSession(ctx context.Context) error {
	cfg := c.node.follower.broker()
	c.standing.limit = time.Duration(cfg.SessionTimeoutMs) * time.Millisecond
	c.standing.session(false)
	c.session = peer.NewSession(peer.SessionOptions{
		Interval: time.Duration(cfg.HeartbeatMs) * time.Millisecond, Timeout: c.standing.limit,
		Controller: registrar{c.client, &c.standing}, Owner: c,
	})
	c.running.Go(func() { _ = c.session.Run(c.run) }) // Removed tells of the one end that is news
	return c.wait(ctx, c.service)
}

func (c *cluster) wait(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
		return nil
	case <-c.node.failed:
		return c.node.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave hands over what this node leads, and has it fenced at once. Without an active controller it just goes.
func (c *cluster) leave(ctx context.Context) {
	if c.session == nil || c.node.Err() != nil {
		return
	}
	log := c.node.env.Log
	handOver, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	handOver, cancel = c.whileLed(handOver)
	defer cancel()
	if err := c.session.HandOver(handOver); err != nil {
		log.Warn("not everything that this node leads was handed over; the others take over when they miss it", "error", err)
	}
}

// farewell has this node fenced, and another voter lead the quorum. Logs are closed by now.
func (c *cluster) farewell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	ctx, cancel = c.whileLed(ctx)
	defer cancel()
	if c.node.Err() != nil {
		return
	}
	if c.session != nil {
		if err := c.session.Leave(ctx); err != nil {
			c.node.env.Log.Info("the active controller was not told that this node stops", "error", err)
		}
	}
	r := c.quorum()
	if r == nil {
		return
	}
	if _, _, _, leading := r.Leader(); !leading {
		return
	}
	s, err := r.Status(ctx)
	if err != nil {
		return
	}
	var best quorum.ReplicaStatus
	for _, v := range s.Voters {
		if v.Replica != c.replica() && v.LogEnd > best.LogEnd {
			best = v
		}
	}
	if best.LogEnd == 0 {
		return // nobody else
	}
	if err := r.TransferTo(ctx, best.Node); err != nil {
		c.node.env.Log.Info("the metadata quorum was not handed over", "error", err)
	}
}

// errLeaderless is why a stopping node waits no longer.
var errLeaderless = errors.New("the metadata quorum has no leader: perhaps its other voters stop as well")

// whileLed returns a context that ends when the metadata quorum has had no leader for longer than an election takes: when all nodes
// stop at the same time, nobody is left who could take anything over.
func (c *cluster) whileLed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := c.quorum()
	if r == nil {
		return ctx, func() { cancel(nil) }
	}
	go func() {
		tick := time.NewTicker(leaderlessTime / 10)
		defer tick.Stop()
		led := time.Now()
		for time.Since(led) < leaderlessTime {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, known, _, _ := r.Leader(); known {
				led = time.Now()
			}
		}
		cancel(errLeaderless)
	}()
	return ctx, func() { cancel(nil) }
}

// Forward implements peer.Forwarder: it answers what another broker, or this one, was asked by a client.
func (c *cluster) Forward(ctx context.Context, _ peer.Caller, q peer.ClientRequest) ([]byte, error) {
	b := c.broker.Load()
	if b == nil {
		return nil, &quorum.NotControllerError{Leader: model.NoBroker}
	}
	return b.Answer(ctx, received(q))
}

// Transact implements peer.Transactor.
func (c *cluster) Transact(ctx context.Context, _ peer.Caller, q peer.ClientRequest) ([]byte, error) {
	if err := c.node.awaitBroker(ctx); err != nil {
		return nil, err
	}
	return c.node.broker.Transact(ctx, received(q))
}

// received is a client's request as it came over the broker protocol, and passedOn as it leaves by it: nothing of it is lost on the way.
func received(q peer.ClientRequest) api.Forwarded {
	f := api.Forwarded{Key: q.APIKey, Version: q.APIVersion, Body: q.Body, Origin: api.Origin{
		Principal: api.Principal(q.Origin.Principal), Address: q.Origin.Address, Listener: q.Origin.Listener}}
	if q.ClientID != nil {
		f.ClientID = *q.ClientID
	}
	return f
}

func passedOn(q api.Forwarded) peer.ClientRequest {
	return peer.ClientRequest{APIKey: q.Key, APIVersion: q.Version, ClientID: &q.ClientID, Body: q.Body, Origin: peer.Origin{
		Principal: peer.Principal(q.Origin.Principal), Address: q.Origin.Address, Listener: q.Origin.Listener}}
}

// forwarder passes clients' requests on to the active controller.
type forwarder struct{ client *peer.Client }

// Forward implements api.Forwarder.
func (f forwarder) Forward(ctx context.Context, q api.Forwarded) ([]byte, error) {
	body, err := f.client.Forward(ctx, passedOn(q))
	if errors.Is(err, peer.ErrUnavailable) {
		err = errors.Join(&quorum.NotControllerError{Leader: model.NoBroker}, err)
	}
	return body, err
}

// deps is what the APIs need of a cluster.
func (c *cluster) deps() *api.Cluster {
	return &api.Cluster{
		Forwarder: forwarder{c.client}, Controller: c.controllerID, Quorum: c.quorum(),
		ProducerIDs: func(ctx context.Context) (controller.ProducerIDBlock, error) {
			return c.client.AllocateProducerIDs(ctx, c.brokerEpoch())
		},
		Transact: func(ctx context.Context, to model.BrokerID, q api.Forwarded) ([]byte, error) {
			return c.pool.Transact(ctx, to, passedOn(q))
		},
		Inputs: c.active.Inputs, Withdrawn: c.standing.withdrawn.Load,
	}
}
