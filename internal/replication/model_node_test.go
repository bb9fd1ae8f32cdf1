package replication

import (
	"chronik/internal/model"
)

// node is a broker of the model: what its shell would do around the cores.
type node struct {
	w    *world
	id   model.BrokerID
	up   bool
	slow bool // its disk stands still
	log  toyLog
	kept model.Offset // the watermark that it wrote down, or still knows

	epoch    model.BrokerEpoch
	seen     int // versions of the metadata that were applied
	numbers  Subscription
	leader   *Leader
	follower *Follower
	cutting  *Truncate
	waiters  []waiter
	hw       model.Offset // of the leader, at the last check
	settled  bool
}

// waiter is a producer that waits with acks=-1.
type waiter struct {
	by      model.BrokerID
	off     model.Offset
	payload uint32
}

// boot starts the process: it registers, and acts on nothing older than its registration (R1).
func (n *node) boot(registered model.BrokerEpoch) {
	n.up, n.epoch, n.seen, n.numbers = true, registered, len(n.w.ctl.versions)-1, 0
	n.follow()
	n.learn()
}

func (n *node) follow() {
	n.follower = NewFollower(FollowerOptions{
		Broker: n.id, BrokerEpoch: n.epoch, History: &n.log, Watermark: n.kept,
		Number: func() Subscription { n.numbers++; return n.numbers },
		Window: 6 * entryBytes, Retry: retry, Patience: patience,
	})
	n.follower.broken = n.w.broken
}

// learn applies the next version of the metadata.
func (n *node) learn() {
	v := &n.w.ctl.versions[n.seen]
	n.seen++
	if n.leader != nil {
		n.leader.BrokersChanged(v.live, n.w.now)
		n.leader.PartitionChanged(v.state, n.w.now)
		if v.state.LeaderEpoch == n.leader.Epoch() {
			return
		}
		n.w.checkLeader(n) // once more: this was its last word
		n.kept = max(n.kept, n.leader.HighWatermark())
		n.leader, n.waiters = nil, nil // NOT_LEADER_OR_FOLLOWER (D5)
		n.log.led = 0
		n.follow()
	}
	if v.state.Leader != n.id {
		n.follower.Follow(v.state.Leader, v.state.LeaderEpoch, n.log.own(), n.w.now)
		return
	}
	if n.cutting != nil { // a leader begins with a log that holds still
		n.cut()
	}
	n.lead(v)
}

func (n *node) lead(v *version) {
	w := n.w
	if w.led[v.state.LeaderEpoch] && !w.ctl.reuse {
		w.fail("R1: a second leader in epoch %d", v.state.LeaderEpoch)
	}
	w.led[v.state.LeaderEpoch] = true
	n.kept = max(n.kept, n.follower.Watermark())
	n.log.led = v.state.LeaderEpoch
	l := NewLeader(LeaderOptions{
		Broker: n.id, BrokerEpoch: n.epoch, State: v.state, Own: n.log.own(), Watermark: n.follower.Watermark(), History: &n.log,
		Config: Config{MinISR: w.ctl.minISR, LagTime: lagTime, LagEntries: w.lagEntries, Retry: retry}, Live: v.live, Now: w.now,
	})
	l.broken = w.broken
	n.leader, n.follower = l, nil
	n.hw, n.settled = l.HighWatermark(), false
	w.starts = append(w.starts, epochStart{v.state.LeaderEpoch, n.log.end()})
}

// crash loses some of what was not synced. What is left is synced when the log is opened again (L1).
func (n *node) crash() {
	lost := int(n.log.end() - n.log.synced)
	keep := n.w.rng.IntN(lost + 1)
	if keep < lost {
		n.w.count.torn++
	}
	n.log.cut(n.log.synced + model.Offset(keep))
	n.log.synced = n.log.end()
	if n.follower != nil {
		n.kept = n.follower.Watermark()
	} else if n.leader != nil {
		n.kept = n.leader.HighWatermark()
	}
	if n.w.rng.IntN(2) == 0 {
		n.kept = 0
	}
	n.up, n.leader, n.follower, n.cutting, n.waiters = false, nil, nil, nil, nil
	n.log.led = 0
}

// moved tells the core of the log.
func (n *node) moved() {
	if n.leader != nil {
		n.leader.OwnMoved(n.log.own(), n.w.now)
	} else {
		n.follower.OwnMoved(n.log.own(), n.w.now)
	}
}

// cut does the truncation that was ordered.
func (n *node) cut() {
	t := n.cutting
	n.cutting = nil
	if t.All {
		n.log.restart(t.To)
		n.w.count.restarts++
	} else {
		n.log.cut(t.To)
		n.w.count.truncations++
	}
	n.follower.Truncated(n.log.own(), n.w.now)
}

// produce appends as a leader does for a producer.
func (n *node) produce(acks int16) {
	if n.leader == nil || n.leader.MayAppend(acks) != nil {
		return
	}
	n.w.payload++
	off := n.log.end()
	n.log.entries = append(n.log.entries, entry{n.leader.Epoch(), n.w.payload})
	if acks == -1 {
		n.waiters = append(n.waiters, waiter{n.id, off, n.w.payload})
	}
	n.moved()
}

// settle drains what the core wants done, and answers producers.
func (n *node) settle() {
	if n.leader != nil {
		out := n.leader.Take()
		if out.Proposal != nil {
			n.w.send(n.id, controllerID, *out.Proposal)
		}
		if out.Resign != 0 {
			n.w.count.resigned++
			n.w.send(n.id, controllerID, resign{n.leader.Epoch()})
		}
		n.answerProducers()
		return
	}
	out := n.follower.Take()
	if out.DeleteTo > 0 {
		n.log.trim(out.DeleteTo)
		n.moved()
	}
	if out.Truncate != nil {
		n.cutting = out.Truncate
		if out.Truncate.Committed {
			n.w.fail("D2: broker %d is to cut committed entries: %+v", n.id, *out.Truncate)
		}
	}
	if out.Subscribe != nil {
		to, _ := n.follower.Leader()
		n.w.send(n.id, to, *out.Subscribe)
	}
}

func (n *node) answerProducers() {
	for len(n.waiters) > 0 {
		done, err := n.leader.Acknowledge(n.waiters[0].off)
		if !done && err == nil {
			return
		}
		if err == nil {
			n.w.acknowledged(n.waiters[0])
		}
		n.waiters = n.waiters[1:]
	}
}

// stream sends followers what they lack.
func (n *node) stream(to model.BrokerID, most int) {
	if m, ok := n.leader.Overtaken(to); ok {
		n.w.send(n.id, to, m)
		return
	}
	if from, credit, ok := n.leader.Next(to); ok {
		end := min(n.log.end(), from+model.Offset(max(1, min(most, credit/entryBytes))))
		list := n.log.slice(from, end)
		if m, ok := n.leader.Send(to, from, end, encode(list)); ok {
			n.w.sent(from, list)
			n.w.send(n.id, to, m)
		}
	} else if m, ok := n.leader.Watermark(to); ok {
		n.w.send(n.id, to, m)
	}
}

// acknowledge sends what the follower has to tell.
func (n *node) acknowledge() {
	to, _ := n.follower.Leader()
	if m, ok := n.follower.Ack(); ok {
		n.w.send(n.id, to, m)
	}
	if m, ok := n.follower.Credit(); ok {
		n.w.send(n.id, to, m)
	}
}

// receive takes one message.
func (n *node) receive(from model.BrokerID, body any) {
	now := n.w.now
	if n.leader != nil {
		switch m := body.(type) {
		case Subscribe:
			if a := n.leader.Subscribe(m, now); a != nil {
				n.w.send(n.id, from, a)
			}
		case Ack:
			n.leader.Ack(from, m, now)
		case Credit:
			n.leader.Grant(from, m)
		case outcome:
			n.leader.ProposalAnswered(m.number, m.outcome, m.state, now)
		case linkLost:
			if p := n.leader.peer(from); p != nil {
				n.leader.LinkLost(from, p.stream.number)
			}
		}
		return
	}
	switch m := body.(type) {
	case Subscribe:
		n.w.send(n.id, from, Refused{Reply: Reply{m.Subscription, m.LeaderEpoch, m.BrokerEpoch}, Reason: NotLeading, Current: model.NoEpoch})
	case Answer:
		n.follower.Answer(m, now)
	case Batches:
		if n.follower.Batches(m, now) {
			n.log.entries = append(n.log.entries, decode(m.Bytes)...)
			n.moved()
		}
	case Watermark:
		n.follower.HearWatermark(m)
	case linkLost:
		if l, _ := n.follower.Leader(); l == from {
			n.follower.LinkLost(now)
		}
	}
}
