package sim

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// clusterID is the identity of every simulated cluster.
const clusterID = "simulated"

// authority is the active controller's loop: requests become decisions, what waits becomes one entry, and the next decisions
// are made when that is applied. How commands are committed is left to propose.
type authority struct {
	w        *world
	self     nodeID
	static   map[string]string
	sessions *controller.Sessions
	image    func() *image.Image
	now      func() time.Time
	// propose commits the commands and runs done when they are applied, or when that cannot be known any more.
	propose func(commands []*command.Command, done func(error))
	// confirm runs then when a majority has taken this for the active controller since it was called, if it does (R6).
	confirm func(then func())

	queue []request
	busy  bool
	over  bool // somebody else is active by now

	elected, balanced time.Time // when it was last looked for partitions without leaders, and without their preferred ones
}

// retryElections is how often it is looked whether a partition without a leader can have one.
const retryElections = time.Second

// request is a decision that waits, and what to do when it is applied, or was refused.
type request struct {
	decide controller.Decision
	done   func(error)
}

var errLost = errors.New("it is not known what became of it")

func (a *authority) inputs() controller.Inputs {
	return controller.Inputs{
		Image: a.image(), Static: a.static, NodeID: model.BrokerID(a.self),
		NewTopicID: func() model.TopicID { return model.TopicID(a.w.uuid()) },
		Live:       func(id model.BrokerID) bool { return a.sessions.Live(id, a.now()) },
	}
}

// ask queues a decision.
func (a *authority) ask(decide controller.Decision, done func(error)) {
	a.queue = append(a.queue, request{decide, done})
	a.flush()
}

// flush decides what waits.
func (a *authority) flush() {
	if a.busy || a.over || len(a.queue) == 0 {
		return
	}
	waiting := a.queue
	a.queue = nil
	decisions := make([]controller.Decision, len(waiting))
	for i, r := range waiting {
		decisions[i] = r.decide
	}
	commands, errs := controller.Combine(a.inputs(), decisions...)
	a.busy = true
	done := func(err error) {
		a.busy = false
		for i, r := range waiting {
			r.done(errors.Join(errs[i], err))
		}
		a.flush()
	}
	if len(commands) == 0 {
		done(nil)
		return
	}
	a.propose(a.w.bugs.commands(commands), done)
}

// end is told that somebody else is active.
func (a *authority) end() {
	a.over = true
	for _, r := range a.queue {
		r.done(errLost)
	}
	a.queue = nil
}

// tick fences those who were not heard of for a session.
func (a *authority) tick() {
	if gone := a.sessions.Expired(a.image(), a.now()); len(gone) > 0 && !a.busy {
		a.ask(func(in controller.Inputs) ([]*command.Command, error) { return controller.FenceNodes(in, gone...) }, func(error) {})
	}
	if a.due(&a.elected, retryElections) {
		a.ask(controller.ElectLeaderless, func(error) {})
	}
	if a.w.balance > 0 && a.due(&a.balanced, a.w.balance) {
		a.ask(func(in controller.Inputs) ([]*command.Command, error) {
			commands, _, err := controller.BalanceLeaders(in, 1000)
			return commands, err
		}, func(error) {})
	}
}

// due tells whether a duty is, and notes that it is done; the first time comes when some has passed.
func (a *authority) due(last *time.Time, every time.Duration) bool {
	switch now := a.now(); {
	case a.busy:
		return false
	case last.IsZero():
		*last = now
		return false
	case now.Sub(*last) < every:
		return false
	default:
		*last = now
		return true
	}
}

// form turns the metadata into that of a cluster.
func (a *authority) form() { a.ask(controller.FormCluster, func(error) {}) }

// serve answers one request.
func (a *authority) serve(req any, reply func(controlAnswer)) {
	switch m := req.(type) {
	case registerRequest:
		a.register(m.registration, reply)
	case heartbeatRequest:
		a.heartbeat(m.heartbeat, reply)
	case alterRequest:
		var out controlAnswer
		a.ask(func(in controller.Inputs) ([]*command.Command, error) {
			m := a.w.bugs.change(in.Image, m)
			commands, answers, err := controller.AlterPartition(in, m.leader, m.epoch, []controller.ISRChange{m.change})
			if err == nil {
				out.altered = answers[0]
			}
			return commands, err
		}, func(err error) { a.reply(&out, err, reply) })
	case resignRequest:
		a.ask(func(in controller.Inputs) ([]*command.Command, error) {
			commands, _, err := controller.Resign(in, m.leader, m.epoch, []controller.Resignation{m.item})
			return commands, err
		}, func(err error) { a.reply(&controlAnswer{}, err, reply) })
	default:
		a.administer(req, reply)
	}
}

func (a *authority) reply(out *controlAnswer, err error, reply func(controlAnswer)) {
	out.err, out.inactive = err, errors.Is(err, errLost)
	reply(*out)
}

func (a *authority) register(r controller.Registration, reply func(controlAnswer)) {
	a.ask(func(in controller.Inputs) ([]*command.Command, error) { return controller.RegisterNode(in, r) }, func(err error) {
		var out controlAnswer
		if n := a.image().Node(r.ID); err == nil && n != nil && n.Incarnation == r.Incarnation {
			out.epoch = model.BrokerEpoch(n.Epoch)
			a.sessions.Touch(r.ID, n.Epoch, a.now())
		} else if err == nil {
			err = errLost
		}
		if err != nil { // a node's own metadata are read when it starts; here they come with the refusal
			out.image = a.image()
		}
		a.reply(&out, err, reply)
	})
}

// heartbeat is answered only by who is confirmed to be active: who was deposed and does not know must keep no broker's session (R6).
func (a *authority) heartbeat(h controller.Heartbeat, reply func(controlAnswer)) {
	a.confirm(func() {
		if !a.over {
			a.heard(h, reply)
		}
	})
}

func (a *authority) heard(h controller.Heartbeat, reply func(controlAnswer)) {
	var out controlAnswer
	a.ask(func(in controller.Inputs) (commands []*command.Command, err error) {
		commands, out.beat, err = controller.HandleHeartbeat(in, h)
		if err == nil {
			a.sessions.Touch(h.ID, h.Epoch, a.now())
		}
		return commands, err
	}, func(err error) {
		out.beat.AsOf = a.image().Index()
		if h.Applied < out.beat.AsOf {
			out.image = a.image()
		}
		a.reply(&out, err, reply)
	})
}

// sortedTopics lists the topics of an image in the order of their IDs.
func sortedTopics(im *image.Image) []*image.Topic {
	all := slices.Collect(im.Topics())
	slices.SortFunc(all, func(a, b *image.Topic) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

func holdsReplica(p *image.Partition, id model.BrokerID) bool { return slices.Contains(p.Replicas, id) }
