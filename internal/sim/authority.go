package sim

import (
	"bytes"
	"slices"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// clusterID is the identity of every simulated cluster.
const clusterID = "simulated"

// office is where the controller sits in worlds that have no quorum.
const office nodeID = 90

// authority is the active controller's loop: requests become decisions, decisions become commands, commands become the next
// image. How commands are committed is left to propose.
type authority struct {
	w        *world
	self     nodeID
	static   map[string]string
	sessions *controller.Sessions
	image    func() *image.Image
	// propose commits the commands, and then runs done; never, if they are lost.
	propose func(commands []*command.Command, done func(index uint64))
	now     func() time.Time
}

func (a *authority) inputs() controller.Inputs {
	return controller.Inputs{
		Image: a.image(), Static: a.static, NodeID: model.BrokerID(a.self),
		NewTopicID: func() model.TopicID { return model.TopicID(a.w.uuid()) },
		Live:       func(id model.BrokerID) bool { return a.sessions.Live(id, a.now()) },
	}
}

// tick fences those who were not heard of for a session.
func (a *authority) tick() {
	gone := a.sessions.Expired(a.image(), a.now())
	if len(gone) == 0 {
		return
	}
	commands, err := controller.FenceNodes(a.inputs(), gone...)
	a.decided(commands, err, func(uint64, error) {})
}

// decided commits what was decided, if anything, and runs then.
func (a *authority) decided(commands []*command.Command, err error, then func(index uint64, err error)) {
	if err != nil || len(commands) == 0 {
		then(a.image().Index(), err)
		return
	}
	a.propose(commands, func(index uint64) { then(index, nil) })
}

// serve answers one request.
func (a *authority) serve(req any, reply func(controlAnswer)) {
	switch m := req.(type) {
	case registerRequest:
		a.register(m.registration, reply)
	case heartbeatRequest:
		a.heartbeat(m.heartbeat, reply)
	case alterRequest:
		commands, answers, err := controller.AlterPartition(a.inputs(), m.leader, m.epoch, []controller.ISRChange{m.change})
		a.decided(commands, err, func(_ uint64, err error) {
			out := controlAnswer{err: err}
			if err == nil {
				out.altered = answers[0]
			}
			reply(out)
		})
	case resignRequest:
		commands, _, err := controller.Resign(a.inputs(), m.leader, m.epoch, []controller.Resignation{m.item})
		a.decided(commands, err, func(_ uint64, err error) { reply(controlAnswer{err: err}) })
	case topicRequest:
		a.topics(m, reply)
	}
}

func (a *authority) register(r controller.Registration, reply func(controlAnswer)) {
	commands, err := controller.RegisterNode(a.inputs(), r)
	a.decided(commands, err, func(_ uint64, err error) {
		out := controlAnswer{err: err}
		if n := a.image().Node(r.ID); err == nil && n != nil && n.Incarnation == r.Incarnation {
			out.epoch = model.BrokerEpoch(n.Epoch)
			a.sessions.Touch(r.ID, n.Epoch, a.now())
		} else if err == nil {
			out.inactive = true
		}
		reply(out)
	})
}

func (a *authority) heartbeat(h controller.Heartbeat, reply func(controlAnswer)) {
	commands, beat, err := controller.HandleHeartbeat(a.inputs(), h)
	if err == nil {
		a.sessions.Touch(h.ID, h.Epoch, a.now())
	}
	a.decided(commands, err, func(_ uint64, err error) {
		out := controlAnswer{err: err, beat: beat}
		if h.Applied < a.image().Index() {
			out.image = a.image()
		}
		reply(out)
	})
}

// topicRequest creates and deletes topics.
type topicRequest struct {
	create []controller.NewTopic
	delete []model.TopicID
}

func (a *authority) topics(m topicRequest, reply func(controlAnswer)) {
	commands, answers := controller.CreateTopics(a.inputs(), m.create, false)
	for _, id := range m.delete {
		if a.image().TopicByID(id) != nil {
			commands = append(commands, command.Delete(id))
		}
	}
	var err error
	if len(answers) > 0 {
		err = answers[0].Err
	}
	a.decided(commands, err, func(_ uint64, err error) { reply(controlAnswer{err: err}) })
}

// sortedTopics lists the topics of an image in the order of their IDs.
func sortedTopics(im *image.Image) []*image.Topic {
	all := slices.Collect(im.Topics())
	slices.SortFunc(all, func(a, b *image.Topic) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

func holdsReplica(p *image.Partition, id model.BrokerID) bool { return slices.Contains(p.Replicas, id) }
