package active

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
)

// Quorum is the metadata log of several nodes.
type Quorum interface {
	quorum.Log
	// Leader is who leads, if that is known, and the term; active says that it is this node, and that it may decide.
	Leader() (leader quorum.Replica, known bool, term uint64, active bool)
	// Predecessor is who led before this node became active, and how long it had been silent then.
	Predecessor() (who quorum.Replica, silence time.Duration, known bool)
	// Linearizable returns an image with all that was acknowledged anywhere before the call.
	Linearizable(context.Context) (*image.Image, error)
	// Status describes the quorum.
	Status(context.Context) (quorum.Status, error)
	// Supersede removes the replica that a node had before its directory was replaced, if the quorum can do without it.
	Supersede(ctx context.Context, by quorum.Replica) error
	// Learn takes a replica in without a vote, Admit as a voter once it has caught up.
	Learn(context.Context, quorum.Replica) error
	Admit(context.Context, quorum.Replica) error
}

var _ Quorum = (*quorum.Raft)(nil)

// Options says for which node to act, and on what.
type Options struct {
	Node   model.BrokerID
	Log    Quorum
	Static map[string]string     // the node's static broker keys
	Config func() *config.Broker // in effect now
	// Reached hears where a replica listens that is to be taken in, before anything is sent to it.
	Reached func(who quorum.Replica, address string)
	Logger  *slog.Logger
}

const (
	tick = 50 * time.Millisecond
	// retryElections is how often leaders are looked for again where there is none.
	retryElections = time.Second
	// balanceAtOnce bounds how many partitions go back to their preferred leader in one entry.
	balanceAtOnce = 1000
	// maxVoters is how many replicas of the metadata have a vote. More would make every entry slower and survive no more failures
	// than anybody has at a time.
	maxVoters = 5
)

// Controller acts for one node. Make one with New.
type Controller struct {
	opts Options

	mu       sync.Mutex
	term     uint64 // that the rest belongs to; 0: none
	formed   bool   // the metadata are a cluster's
	sessions *controller.Sessions
	elected  time.Time // when leaders were last looked for
	balanced time.Time // when leadership was last evened out
	busy     map[string]bool

	jobs sync.WaitGroup
}

// New makes a Controller. It answers at once, and acts by itself while Run runs.
func New(o Options) *Controller {
	return &Controller{opts: o, busy: make(map[string]bool)}
}

// Run does what is to be done in time, until ctx ends.
func (c *Controller) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	defer c.jobs.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			c.tick(ctx)
		}
	}
}

// begin returns the term in which this node decides, or who does instead.
func (c *Controller) begin() (term uint64, err error) {
	term, formed, err := c.lead()
	if err == nil && !formed {
		// It will in a moment: the caller asks again.
		err = &quorum.NotControllerError{Leader: model.NoBroker, Term: term}
	}
	return term, err
}

// lead notices a new term.
func (c *Controller) lead() (term uint64, formed bool, err error) {
	leader, known, term, active := c.opts.Log.Leader()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !active {
		if c.term != 0 {
			c.opts.Logger.Info("this node is no longer the active controller", "term", c.term)
			c.term, c.sessions = 0, nil
		}
		e := &quorum.NotControllerError{Leader: model.NoBroker, Term: term}
		if known && leader.Node != c.opts.Node {
			e.Leader = leader.Node
		}
		return term, false, e
	}
	if c.term != term {
		c.opts.Logger.Info("this node is the active controller", "term", term)
		now := time.Now()
		timeout := time.Duration(c.opts.Config().SessionTimeoutMs) * time.Millisecond
		c.term, c.formed, c.sessions = term, false, controller.NewSessions(timeout, tick)
		c.elected, c.balanced = now, now
		c.inherit()
	}
	c.formed = c.formed || c.opts.Log.Images().Load().Clustered()
	return term, c.formed, nil
}

// inherit has the session of the controller before begin when it was heard last: its partitions have waited for an election already. The caller
// holds the mutex.
func (c *Controller) inherit() {
	who, silence, known := c.opts.Log.Predecessor()
	if !known || who.Node == c.opts.Node {
		return
	}
	if n := c.opts.Log.Images().Load().Node(who.Node); n != nil && n.Directory == who.Directory {
		c.sessions.Unheard(n.ID, n.Epoch, silence)
	}
}

// still makes sure that nothing has changed since begin.
func (c *Controller) still(term uint64) error {
	now, err := c.begin()
	if err == nil && now != term {
		err = &quorum.NotControllerError{Leader: model.NoBroker, Term: now}
	}
	return err
}

// Live tells whether the present registration of a node has an unexpired session here.
func (c *Controller) Live(id model.BrokerID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions != nil && c.sessions.Live(id, time.Now())
}

// Inputs are what decisions on an image depend on.
func (c *Controller) Inputs(im *image.Image) controller.Inputs {
	return controller.Inputs{Image: im, Static: c.opts.Static, NodeID: c.opts.Node, NewTopicID: model.NewTopicID, Live: c.Live}
}

type decision func(controller.Inputs) ([]*command.Command, error)

// propose decides on the newest image and returns the one that follows.
func (c *Controller) propose(ctx context.Context, decide decision) (*image.Image, error) {
	return c.opts.Log.Propose(ctx, func(im *image.Image) ([]*command.Command, error) { return decide(c.Inputs(im)) })
}
