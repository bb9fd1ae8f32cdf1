package active

import (
	"context"
	"errors"
	"fmt"
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
		return reply, nil
	}
	_, err = c.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, reply, err = controller.HandleHeartbeat(in, h)
		return commands, err
	})
	return reply, err
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
	if _, err := c.begin(); err != nil {
		return nil, err
	}
	var answers []controller.AlteredPartition
	_, err := c.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, answers, err = controller.AlterPartition(in, from.Node, int64(epoch), changes)
		return commands, err
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// Resign implements peer.Controller.
func (c *Controller) Resign(ctx context.Context, from peer.Caller, epoch model.BrokerEpoch, items []controller.Resignation) ([]error, error) {
	if _, err := c.begin(); err != nil {
		return nil, err
	}
	var errs []error
	_, err := c.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, errs, err = controller.Resign(in, from.Node, int64(epoch), items)
		return commands, err
	})
	if err != nil {
		return nil, err
	}
	return errs, nil
}

// AllocateProducerIDs implements peer.Controller.
func (c *Controller) AllocateProducerIDs(ctx context.Context, from peer.Caller, epoch model.BrokerEpoch) (block controller.ProducerIDBlock, err error) {
	if _, err := c.begin(); err != nil {
		return controller.ProducerIDBlock{}, err
	}
	_, err = c.propose(ctx, func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, block, err = controller.AllocateProducerIDs(in, from.Node, int64(epoch))
		return commands, err
	})
	if err != nil {
		return controller.ProducerIDBlock{}, err
	}
	return block, nil
}

// Join implements peer.Controller. A replica that is to vote does so if there are not yet enough that do.
func (c *Controller) Join(ctx context.Context, from peer.Caller, j peer.JoinRequest) error {
	if _, err := c.begin(); err != nil {
		return err
	}
	who := quorum.Replica{Node: from.Node, Directory: j.Directory}
	c.opts.Reached(who, j.Address)
	s, err := c.opts.Log.Status(ctx)
	if err != nil {
		return err
	}
	if j.Vote && len(s.Voters) < maxVoters {
		err = c.opts.Log.Admit(ctx, who)
	} else {
		err = c.opts.Log.Learn(ctx, who)
	}
	if errors.Is(err, quorum.ErrMembership) { // nothing has changed, and a person has to see to it
		return &controller.Refusal{Reason: controller.InvalidRequest, Message: err.Error()}
	}
	return err
}
