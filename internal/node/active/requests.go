package active

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/peer"
	"chronik/internal/quorum"
)

var _ peer.Controller = (*Controller)(nil)

// Register implements peer.Controller.
func (c *Controller) Register(ctx context.Context, from peer.Caller, r controller.Registration) (model.BrokerEpoch, error) {
	if _, err := c.begin(); err != nil {
		return model.NoBrokerEpoch, err
	}
	im, err := c.propose(ctx, func(in controller.Inputs) ([]*command.Command, error) { return controller.RegisterNode(in, r) })
	if err != nil {
		return model.NoBrokerEpoch, err
	}
	n := im.Node(from.Node)
	if n == nil || n.Incarnation != r.Incarnation {
		return model.NoBrokerEpoch, &controller.Refusal{Reason: controller.StaleBrokerEpoch,
			Message: fmt.Sprintf("Node %d has been registered by another process in the meantime.", from.Node)}
	}
	return model.BrokerEpoch(n.Epoch), nil
}

// Heartbeat implements peer.Controller.
func (c *Controller) Heartbeat(ctx context.Context, _ peer.Caller, h controller.Heartbeat) (controller.HeartbeatReply, error) {
	none := controller.HeartbeatReply{}
	term, err := c.begin()
	if err != nil {
		return none, err
	}
	im, err := c.opts.Log.Linearizable(ctx) // a majority takes this node for the leader (R6)
	if err == nil {
		err = c.still(term)
	}
	if err != nil {
		return none, err
	}
	commands, reply, err := controller.HandleHeartbeat(c.Inputs(im), h)
	if err != nil {
		return none, err
	}
	if !h.Stopped {
		c.touch(term, h)
	}
	if len(commands) == 0 {
		reply.AsOf = im.Index()
		return reply, nil
	}
	var decided controller.HeartbeatReply
	im, err = c.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, decided, err = controller.HandleHeartbeat(in, h)
		return commands, err
	})
	if err != nil { // the decision may be yet to come, for nobody
		return none, err
	}
	decided.AsOf = im.Index()
	return decided, nil
}

func (c *Controller) touch(term uint64, h controller.Heartbeat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.term == term {
		c.sessions.Touch(h.ID, h.Epoch, time.Now())
	}
}

// AlterPartitions implements peer.Controller.
func (c *Controller) AlterPartitions(ctx context.Context, from peer.Caller, epoch model.BrokerEpoch, changes []controller.ISRChange) ([]controller.AlteredPartition, error) {
	return answered(ctx, c, func(in controller.Inputs) ([]*command.Command, []controller.AlteredPartition, error) {
		return controller.AlterPartition(in, from.Node, int64(epoch), changes)
	})
}

// Resign implements peer.Controller.
func (c *Controller) Resign(ctx context.Context, from peer.Caller, epoch model.BrokerEpoch, items []controller.Resignation) ([]error, error) {
	return answered(ctx, c, func(in controller.Inputs) ([]*command.Command, []error, error) {
		return controller.Resign(in, from.Node, int64(epoch), items)
	})
}

// AllocateProducerIDs implements peer.Controller.
func (c *Controller) AllocateProducerIDs(ctx context.Context, from peer.Caller, epoch model.BrokerEpoch) (controller.ProducerIDBlock, error) {
	return answered(ctx, c, func(in controller.Inputs) ([]*command.Command, controller.ProducerIDBlock, error) {
		return controller.AllocateProducerIDs(in, from.Node, int64(epoch))
	})
}

// answered proposes what a decision wants done, and returns its answer when that is committed. With an error there is none.
func answered[A any](ctx context.Context, c *Controller, decide func(controller.Inputs) ([]*command.Command, A, error)) (A, error) {
	var answer, none A
	if _, err := c.begin(); err != nil {
		return none, err
	}
	_, err := c.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, answer, err = decide(in)
		return commands, err
	})
	if err != nil {
		return none, err
	}
	return answer, nil
}

// Join implements peer.Controller. A replica that is to vote does so if there are not yet enough that do. The one that the node had before it lost its
// directory makes room first.
func (c *Controller) Join(ctx context.Context, from peer.Caller, j peer.JoinRequest) error {
	if _, err := c.begin(); err != nil {
		return err
	}
	who := quorum.Replica{Node: from.Node, Directory: j.Directory}
	c.opts.Reached(who, j.Address)
	if err := c.supersede(ctx, who); err != nil {
		return refusal(err)
	}
	s, err := c.opts.Log.Status(ctx)
	if err != nil {
		return err
	}
	if j.Vote && len(s.Voters) < maxVoters {
		err = c.opts.Log.Admit(ctx, who)
	} else {
		err = c.opts.Log.Learn(ctx, who)
	}
	return refusal(err)
}

// refusal is the answer to what has changed nothing, and may need a person to see to it.
func refusal(err error) error {
	if errors.Is(err, quorum.ErrMembership) {
		return &controller.Refusal{Reason: controller.InvalidRequest, Message: err.Error()}
	}
	return err
}

// supersede removes the replica that a node had before, if it has come with another directory. A node that is heard of, or was a moment ago, has not lost
// its directory: two processes have its ID (R7).
func (c *Controller) supersede(ctx context.Context, who quorum.Replica) error {
	s, err := c.opts.Log.Status(ctx)
	if err != nil {
		return err
	}
	other := func(r quorum.ReplicaStatus) bool { return r.Node == who.Node && r.Directory != who.Directory }
	if !slices.ContainsFunc(s.Voters, other) && !slices.ContainsFunc(s.Observers, other) {
		return nil
	}
	n := c.opts.Log.Images().Load().Node(who.Node)
	if c.Live(who.Node) || n != nil && !n.Fenced && n.Directory != who.Directory {
		return &controller.Refusal{Reason: controller.DuplicateBroker, Message: fmt.Sprintf(
			"Node %d is in service with another data directory than %s: stop the other process, or give this one another ID with --node-id. If it has stopped, its session of "+
				"broker.session.timeout.ms ends in a moment: retry.", who.Node, who.Directory)}
	}
	return c.opts.Log.Supersede(ctx, who)
}
