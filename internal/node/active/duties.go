package active

import (
	"context"
	"errors"
	"slices"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// tick does what is due.
func (c *Controller) tick(ctx context.Context) {
	_, formed, err := c.lead()
	switch {
	case err != nil:
		return
	case !formed:
		c.job(ctx, "making the metadata those of a cluster", controller.FormCluster, nil)
		return
	}
	im := c.opts.Log.Images().Load()
	cfg := c.opts.Config()
	now := time.Now()
	c.mu.Lock()
	if c.sessions == nil {
		c.mu.Unlock()
		return
	}
	expired := c.sessions.Expired(im, now)
	elect := now.Sub(c.elected) >= retryElections
	if elect {
		c.elected = now
	}
	interval := time.Duration(cfg.LeaderImbalanceCheckSeconds) * time.Second
	balance := cfg.AutoLeaderRebalance && now.Sub(c.balanced) >= interval
	if balance {
		c.balanced = now
	}
	c.mu.Unlock()
	if len(expired) > 0 {
		c.fence(ctx, expired)
	}
	if elect {
		c.jobIfAny(ctx, "electing leaders", controller.ElectLeaderless)
	}
	if balance {
		c.jobIfAny(ctx, "moving leadership to preferred replicas", func(in controller.Inputs) ([]*command.Command, error) {
			commands, _, err := controller.BalanceLeaders(in, balanceAtOnce)
			return commands, err
		})
	}
}

// fence takes those out of service who have not been heard since.
func (c *Controller) fence(ctx context.Context, expired []model.BrokerID) {
	var silent []model.BrokerID
	decide := func(in controller.Inputs) ([]*command.Command, error) {
		silent = slices.DeleteFunc(slices.Clone(expired), c.Live)
		return controller.FenceNodes(in, silent...)
	}
	c.job(ctx, "fencing", decide, func() {
		if len(silent) > 0 {
			c.opts.Logger.Warn("nodes were not heard of for a session and are fenced: what they led moves to other replicas", "nodes", silent)
		}
	})
}

// job decides something in the background, and does then when it is in force, if that is not nil. While it is on its way it is not begun again.
func (c *Controller) job(ctx context.Context, what string, decide decision, then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[what] {
		return
	}
	c.busy[what] = true
	c.jobs.Go(func() {
		_, err := c.propose(ctx, decide)
		if err != nil && ctx.Err() == nil && !errors.Is(err, quorum.ErrNotController) && !errors.Is(err, quorum.ErrStopped) {
			c.opts.Logger.Warn("the active controller could not do its duty; it is tried again", "what", what, "error", err)
		}
		if err == nil && then != nil {
			then()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, what)
	})
}

// jobIfAny is job for what mostly changes nothing: a decision without commands still asks a majority whether this node leads.
func (c *Controller) jobIfAny(ctx context.Context, what string, decide decision) {
	commands, err := decide(c.Inputs(c.opts.Log.Images().Load()))
	if len(commands) > 0 || err != nil {
		c.job(ctx, what, decide, nil)
	}
}
