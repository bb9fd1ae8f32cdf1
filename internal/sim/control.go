package sim

import (
	"errors"
	"slices"
	"time"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// The times of a cluster, as Chronik sets them.
const (
	sessionTimeout = 600 * time.Millisecond
	heartbeatEvery = 100 * time.Millisecond
	controlTick    = 50 * time.Millisecond
	tickEvery      = 50 * time.Millisecond
	retryEvery     = 100 * time.Millisecond
	lagTime        = 2 * time.Second
	callPatience   = 300 * time.Millisecond
)

// What brokers ask the active controller for. Each is answered by a controlAnswer.
type (
	registerRequest  struct{ registration controller.Registration }
	heartbeatRequest struct{ heartbeat controller.Heartbeat }
	alterRequest     struct {
		leader model.BrokerID
		epoch  int64
		change controller.ISRChange
	}
	resignRequest struct {
		leader model.BrokerID
		epoch  int64
		item   controller.Resignation
	}
)

// controlAnswer is what the active controller says.
type controlAnswer struct {
	inactive bool // somebody else is
	err      error
	epoch    model.BrokerEpoch // of a registration
	beat     controller.HeartbeatReply
	altered  controller.AlteredPartition
	image    *image.Image // the newest, for who has fallen behind and has no other way to it
}

// control keeps a node in touch with the active controller.
func (n *node) control() {
	if n.epoch == 0 {
		n.register()
	} else {
		n.heartbeat()
	}
	n.after(heartbeatEvery, n.control)
}

// ask sends a request to the active controller, as far as the node knows which that is. then runs in this process, with nil if
// no answer came.
func (n *node) ask(req any, then func(*controlAnswer)) {
	birth := n.birth
	n.w.call(n.id, n.controllerNode(), req, callPatience, func(answer any) {
		if n.birth != birth {
			return
		}
		n.guard(func() {
			if a, ok := answer.(controlAnswer); ok && !a.inactive {
				then(&a)
				return
			}
			then(nil)
		})()
	})
}

func (n *node) register() {
	if n.registering {
		return
	}
	n.registering = true
	r := controller.Registration{
		ClusterID: clusterID, ID: n.broker(), Incarnation: n.incarnation, Directory: n.disk.id,
		Features: controller.Inputs{}.Supported(), CleanStop: n.clean || n.w.bugs.claimsClean, Follows: n.lastRegistration(),
	}
	for _, l := range n.w.order {
		if end, ok := n.disk.untold[l.key]; ok {
			r.Cuts = append(r.Cuts, controller.Cut{Topic: l.key.id, Partition: l.key.num, End: end})
		}
	}
	n.ask(registerRequest{r}, func(a *controlAnswer) {
		n.registering = false
		if a == nil || n.epoch != 0 {
			return
		}
		if a.err != nil {
			if a.image != nil {
				n.adopt(a.image)
			}
			return
		}
		n.epoch, n.known = a.epoch, true
		for _, c := range r.Cuts { // they are known now
			delete(n.disk.untold, partitionKey{c.Topic, c.Partition})
		}
		n.w.note(n.id, "is registered with epoch %d", int64(n.epoch))
		for _, r := range n.replicas {
			if r.follower != nil {
				r.follower.Registered(n.epoch, n.now())
			}
		}
		n.heartbeat()
	})
}

// lastRegistration is the epoch of this node's newest registration that it knows of.
func (n *node) lastRegistration() int64 {
	im := n.image
	if im == nil {
		im = n.disk.image
	}
	if im == nil {
		return 0
	}
	return im.BrokerEpoch(n.broker())
}

func (n *node) heartbeat() {
	h := controller.Heartbeat{ID: n.broker(), Epoch: int64(n.epoch), WantStop: n.stopping}
	if n.image != nil {
		h.Applied = n.image.Index()
	}
	sent := n.w.now
	n.ask(heartbeatRequest{h}, func(a *controlAnswer) {
		if a == nil {
			return
		}
		if a.err != nil {
			n.refused(a.err, model.BrokerEpoch(h.Epoch))
			return
		}
		if a.image != nil && !n.w.quorate {
			n.adopt(a.image)
		}
		n.hears(sent, a.beat.AsOf)
		if a.beat.MayStop && n.stopping {
			n.close()
		}
	})
}

// hears takes an answer of the active controller to what was sent at a time, as of an entry of the metadata. Who has no session may have been fenced, and others
// lead: it has one again when it knows of that (R6).
func (n *node) hears(sent time.Duration, asOf uint64) {
	knows := n.image != nil && n.image.Index() >= asOf || n.w.bugs.blindSession
	n.sessionNow()
	switch {
	case knows:
		n.session = true
	case !n.session:
		return
	default:
		n.told = append(n.told, told{sent, asOf})
	}
	n.heard = max(n.heard, sent)
	n.sessionNow()
}

// told is a controller's word that the metadata have come to an index.
type told struct {
	at    time.Duration
	index uint64
}

// sessionNow ends the session if no controller was heard of within it, or what was decided longer ago is not known.
func (n *node) sessionNow() {
	n.told = slices.DeleteFunc(n.told, func(t told) bool { return n.image != nil && t.index <= n.image.Index() })
	oldest := n.heard
	if len(n.told) > 0 {
		oldest = min(oldest, n.told[0].at)
	}
	if n.alone == nil && n.w.now-oldest >= sessionTimeout {
		n.session, n.told = false, nil
	}
}

// refused follows a heartbeat that was: another registration may be in force, so this process registers again.
func (n *node) refused(err error, epoch model.BrokerEpoch) {
	var refusal *controller.Refusal
	if n.epoch != epoch || !errors.As(err, &refusal) {
		return
	}
	switch refusal.Reason {
	case controller.UnknownBroker:
		n.removed()
	case controller.StaleBrokerEpoch:
		n.w.note(n.id, "is not registered any more")
		n.epoch, n.session, n.told = 0, false, nil
		n.register()
	}
}

// propose takes a leader's proposal to the active controller.
func (n *node) propose(r *replica, p replication.Proposal) {
	leader := r.leader
	c := controller.ISRChange{Topic: r.id, Partition: r.num, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	for _, m := range p.ISR {
		c.ISR = append(c.ISR, controller.Member{ID: m.Broker, Epoch: int64(m.Epoch)})
	}
	n.w.note(n.id, "proposes an ISR of %d in epoch %d, partition epoch %d", int64(len(p.ISR)), int64(p.LeaderEpoch), int64(p.PartitionEpoch))
	n.ask(alterRequest{n.broker(), int64(n.epoch), c}, func(a *controlAnswer) {
		switch {
		case r.leader != leader:
		case a == nil:
			leader.ProposalAnswered(p.Number, replication.Unanswered, replication.State{}, n.now())
		case a.err != nil || a.altered.Err != nil:
			leader.ProposalAnswered(p.Number, replication.Declined, replication.State{}, n.now())
		default:
			leader.ProposalAnswered(p.Number, replication.Committed, stateOf(&a.altered.State), n.now())
		}
	})
}

func stateOf(p *image.Partition) replication.State {
	return replication.State{Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR}
}

func (n *node) resign(r *replica, epoch model.LeaderEpoch) {
	item := controller.Resignation{Topic: r.id, Partition: r.num, LeaderEpoch: epoch, Failed: r.failed != nil}
	n.ask(resignRequest{n.broker(), int64(n.epoch), item}, func(*controlAnswer) {})
}

// adopt takes a newer image: roles follow it once it knows the present incarnation (R1).
func (n *node) adopt(im *image.Image) {
	if n.image != nil && im.Index() < n.image.Index() {
		return
	}
	n.image = im
	if n.disk.image == nil || n.disk.image.Index() < im.Index() {
		n.disk.image = im
	}
	me := im.Node(n.broker())
	if me == nil || n.epoch == 0 || model.BrokerEpoch(me.Epoch) != n.epoch {
		return
	}
	n.dropGone(im)
	for _, t := range sortedTopics(im) {
		for num, p := range t.Partitions {
			if holdsReplica(p, n.broker()) {
				if r := n.open(t, int32(num)); r != nil && r.log != nil {
					r.take(p)
				}
			}
		}
	}
	for _, r := range n.replicas {
		if r.leader != nil {
			r.leader.BrokersChanged(liveIn(im), n.now())
		}
	}
	n.followSoon()
}
