package sim

import (
	"slices"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs/crashfs"
)

// adminEvery is how often an operator who wants something asks again.
const adminEvery = 100 * time.Millisecond

// What operators ask the active controller for.
type (
	topicRequest struct {
		create []controller.NewTopic
		delete []model.TopicID
	}
	reassignRequest struct{ items []controller.Reassignment }
	forgetRequest   struct{ id model.BrokerID }
)

// administer answers an operator.
func (a *authority) administer(req any, reply func(controlAnswer)) {
	var decide controller.Decision
	switch m := req.(type) {
	case topicRequest:
		decide = func(in controller.Inputs) ([]*command.Command, error) { return decideTopics(in, m) }
	case reassignRequest:
		decide = func(in controller.Inputs) ([]*command.Command, error) {
			commands, errs := controller.AlterPartitionReassignments(in, m.items, true)
			return commands, errs[0]
		}
	case forgetRequest:
		decide = func(in controller.Inputs) ([]*command.Command, error) { return controller.UnregisterBroker(in, m.id) }
	default:
		return
	}
	a.ask(decide, func(err error) { a.reply(&controlAnswer{}, err, reply) })
}

func decideTopics(in controller.Inputs, m topicRequest) ([]*command.Command, error) {
	commands, answers := controller.CreateTopics(in, m.create, false)
	for _, id := range m.delete {
		if in.Image.TopicByID(id) != nil {
			commands = append(commands, command.Delete(id))
		}
	}
	if len(answers) > 0 && answers[0].Err != nil {
		return nil, answers[0].Err
	}
	return commands, nil
}

// insist asks for something again and again until it is so.
func (w *world) insist(done func() bool, request func() any) {
	if done() {
		return
	}
	again := func(any) { w.after(adminEvery, func() { w.insist(done, request) }) }
	req := request()
	if req == nil {
		again(nil)
		return
	}
	to := office
	if w.quorate {
		to = w.someNode()
	}
	w.call(firstClient, to, req, callPatience, again)
}

// createTopic asks for a topic until it is there.
func (w *world) createTopic(name string) {
	w.insist(func() bool { return w.truth.Topic(name) != nil }, func() any {
		active := 0
		for _, n := range w.truth.Nodes() {
			if n.Active() {
				active++
			}
		}
		if active < w.factor() {
			return nil
		}
		return topicRequest{create: []controller.NewTopic{{Name: name, Partitions: w.partitionsOf(name), ReplicationFactor: int16(w.factor()), Configs: w.topicConfigs(name)}}}
	})
}

// factor is how many replicas topics have.
func (w *world) factor() int {
	if w.alone {
		return 1
	}
	return min(3, len(w.nodes)-1)
}

// recreate deletes a topic, and creates another one of the same name (L5).
func (w *world) recreate() {
	t := w.someTopic()
	if t != nil && (t.Name == stockTopic || !slices.Contains(w.inner(), t.Name)) {
		w.renew(t)
	}
}

func (w *world) renew(t *image.Topic) {
	id, name := t.ID, t.Name
	w.stats[recreations]++
	w.insist(func() bool {
		gone := w.truth.TopicByID(id) == nil
		if gone {
			w.createTopic(name)
		}
		return gone
	}, func() any { return topicRequest{delete: []model.TopicID{id}} })
}

// someTopic draws one that exists, nil if there is none.
func (w *world) someTopic() *image.Topic {
	all := sortedTopics(w.truth)
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.IntN(len(all))]
}

// someTopicID draws the ID of one, zero if there is none.
func (w *world) someTopicID() model.TopicID {
	if t := w.someTopic(); t != nil {
		return t.ID
	}
	return model.TopicID{}
}

// somePartition draws one of a topic.
func (w *world) somePartition(t *image.Topic) int32 {
	if len(t.Partitions) == 1 {
		return 0
	}
	return int32(w.rng.IntN(len(t.Partitions)))
}

// reassign asks once for a partition to have other replicas; now and then somebody changes his mind.
func (w *world) reassign() {
	t := w.someTopic()
	if t == nil || w.alone {
		return
	}
	item := controller.Reassignment{TopicPartition: model.TopicPartition{Topic: t.Name, Partition: w.somePartition(t)}}
	for _, i := range w.rng.Perm(len(w.nodes) - 1) {
		item.Replicas = append(item.Replicas, model.BrokerID(i+1))
	}
	if item.Replicas = item.Replicas[:w.factor()]; w.one(4) {
		item.Replicas = item.Replicas[:2]
	}
	w.stats[reassignments]++
	w.once(reassignRequest{[]controller.Reassignment{item}})
	if w.one(4) {
		return
	}
	w.cancel(item.TopicPartition, w.now+time.Second)
}

// cancel takes a reassignment back that is seen to be under way before a time.
func (w *world) cancel(tp model.TopicPartition, deadline time.Duration) {
	w.after(w.between(0, 20*time.Millisecond), func() {
		switch t := w.truth.Topic(tp.Topic); {
		case t == nil || w.now > deadline:
		case t.Partitions[tp.Partition].Reassigning():
			w.stats[cancellations]++
			w.once(reassignRequest{[]controller.Reassignment{{TopicPartition: tp}}})
		default:
			w.cancel(tp, deadline)
		}
	})
}

// once asks for something, and does not care what becomes of it.
func (w *world) once(request any) {
	asked := false
	w.insist(func() bool { was := asked; asked = true; return was }, func() any { return request })
}

// retire drains a node, stops it, has the cluster forget it, and adds an empty one under its number.
func (w *world) retire() {
	n := w.draw()
	if w.alone || len(w.nodes)-1 <= w.factor() || w.retiring || w.truth.Node(n.broker()) == nil {
		return
	}
	w.retiring = true
	id := n.broker()
	registered := w.truth.Node(id).Directory
	w.insist(func() bool {
		at := w.truth.Node(id)
		gone := at == nil || at.Directory != registered
		if gone {
			w.retiring = false
			w.stats[retirements]++
			n.replace()
		}
		return gone
	}, func() any {
		for _, t := range sortedTopics(w.truth) {
			for num, p := range t.Partitions {
				if !slices.Contains(p.Replicas, id) {
					continue
				}
				n.start() // a topic may have come to it while it was stopped
				if p.Reassigning() && !slices.Contains(p.Target(), id) {
					return nil // on its way
				}
				tp := model.TopicPartition{Topic: t.Name, Partition: int32(num)}
				return reassignRequest{[]controller.Reassignment{{TopicPartition: tp, Replicas: w.without(p, id)}}}
			}
		}
		if n.up && !w.dispensable(n) {
			return nil
		}
		n.close()
		return forgetRequest{id}
	})
}

// without is a target for a partition that leaves one node out.
func (w *world) without(p *image.Partition, id model.BrokerID) (target []model.BrokerID) {
	for _, r := range p.Target() {
		if r != id {
			target = append(target, r)
		}
	}
	for _, n := range w.nodes[1:] {
		if len(target) < len(p.Target()) && n.broker() != id && !slices.Contains(target, n.broker()) {
			target = append(target, n.broker())
		}
	}
	return target
}

// removed is told that the controller does not know this node any more: it was retired while it stood still.
func (n *node) removed() {
	n.w.note(n.id, "was removed, and stops")
	n.crash(crashfs.Keep)
	n.replace()
}

// replace puts an empty node in the place of one that was removed, when the metadata's quorum can spare its disk; unless somebody starts that again.
func (n *node) replace() {
	w := n.w
	switch {
	case n.up:
		return
	case !w.quorumOK(n):
		w.after(adminEvery, n.replace)
		return
	}
	w.note(n.id, "was removed; an empty node takes its place")
	n.disk.wipe()
	w.after(w.between(time.Millisecond, time.Second), n.start)
}
