package replication

import (
	"slices"
	"time"

	"chronik/internal/model"
)

// check looks at the whole world after each step.
func (w *world) check() {
	for _, n := range w.nodes {
		if n.up && n.leader != nil {
			w.checkLeader(n)
		} else if n.up && n.follower != nil {
			w.checkWatermark(n, n.follower.Watermark())
		}
	}
	// D1, D2, R4: whoever may be elected holds, durably, all that was ever below a watermark, also if all lose power now.
	v := w.ctl.last()
	for _, id := range slices.Concat(v.state.ISR, v.elr) {
		n, all := w.nodes[id], model.Offset(len(w.truth))
		if n.log.synced < all {
			w.fail("D2: broker %d may be elected (ISR %v, ELR %v) and has synced %d of %d committed entries", id, v.state.ISR, v.elr, n.log.synced, all)
			return
		}
		w.compare(n, all)
	}
}

func (w *world) checkLeader(n *node) {
	hw, epoch := n.leader.HighWatermark(), n.leader.Epoch()
	if hw < n.hw {
		w.fail("R5: the watermark of epoch %d fell from %d to %d", epoch, n.hw, hw)
	}
	w.checkWatermark(n, min(hw, model.Offset(len(w.truth))))
	for model.Offset(len(w.truth)) < hw {
		off := model.Offset(len(w.truth))
		if off < n.log.start || off >= n.log.end() {
			w.fail("D1: the watermark %d of broker %d is outside of its log %+v", hw, n.id, n.log.own())
			return
		}
		w.truth = append(w.truth, n.log.at(off))
		w.count.committed++
	}
	if hw == n.hw && n.settled == n.leader.Settled() {
		return
	}
	n.hw, n.settled = hw, n.leader.Settled()
	w.highest[epoch] = max(w.highest[epoch], hw)
	for _, s := range w.starts {
		// A leader that is not replaced in its own eyes must not have committed what the next one does not begin with.
		if s.epoch > epoch && hw > s.start {
			w.fail("R5: epoch %d has the watermark %d, epoch %d began at %d", epoch, hw, s.epoch, s.start)
		}
		if n.settled && s.epoch < epoch && hw < w.highest[s.epoch] {
			w.fail("R5: epoch %d is settled at %d, below the watermark %d of epoch %d", epoch, hw, w.highest[s.epoch], s.epoch)
		}
	}
}

// checkWatermark: below its watermark a replica holds what is committed (R2).
func (w *world) checkWatermark(n *node, hw model.Offset) {
	if hw > model.Offset(len(w.truth)) {
		w.fail("R2: broker %d knows a watermark %d, no leader had more than %d", n.id, hw, len(w.truth))
		return
	}
	w.compare(n, hw)
}

// compare holds a log against what is committed, from where it was compared before.
func (w *world) compare(n *node, to model.Offset) {
	for off := max(n.log.same, n.log.start); off < min(to, n.log.end()); off++ {
		if n.log.at(off) != w.truth[off] {
			w.fail("R2: broker %d has %+v at offset %d, committed is %+v", n.id, n.log.at(off), off, w.truth[off])
			return
		}
		n.log.same = off + 1
	}
}

// sent: an offset and an epoch name the same bytes for ever, once they have left the leader.
func (w *world) sent(from model.Offset, list []entry) {
	for i, e := range list {
		at := place{from + model.Offset(i), e.epoch}
		if old, ok := w.bytes[at]; ok && old != e.payload {
			w.fail("R2: %+v is %d and was %d", at, e.payload, old)
		}
		w.bytes[at] = e.payload
	}
}

// acknowledged: a producer was promised that its record survives (D2).
func (w *world) acknowledged(p waiter) {
	w.checkLeader(w.node(p.by)) // what is committed now, too
	w.count.acked++
	if p.off >= model.Offset(len(w.truth)) || w.truth[p.off].payload != p.payload {
		w.fail("D2: payload %d was acknowledged at offset %d, where it is not committed", p.payload, p.off)
		return
	}
	holders := 0
	for _, n := range w.nodes {
		if n.log.synced > p.off && (n.log.start > p.off || n.log.at(p.off).payload == p.payload) {
			holders++
		}
	}
	// A disk that was wiped held it when it said so: its broker has left the ISR, and the leader has not heard yet.
	if holders < w.ctl.minISR && w.count.wiped == 0 {
		w.fail("D2: payload %d was acknowledged and is durable on %d of %d", p.payload, holders, w.ctl.minISR)
	}
}

// heal ends all trouble but one: a broker may stay down. Within a bound the partition has to work again: a settled leader, all that are alive in
// sync, equal logs, and a producer that is answered.
func (w *world) heal() {
	w.drop, w.double, w.mix, w.late, w.lagEntries = 0, 0, 0, 0, 0
	w.say("peace")
	w.relink()
	for _, n := range w.nodes {
		n.slow = false
		if n.up {
			w.ctl.unfence(n.id)
		}
		w.restart(n)
	}
	if w.rng.IntN(2) == 0 {
		w.bury(w.any())
	}
	if !w.within(150, w.healthy) {
		w.fail(noProgress+": %s", w.describe())
		return
	}
	acked := w.count.acked
	w.node(w.ctl.last().state.Leader).produce(-1)
	if !w.within(10, func() bool { return w.count.acked > acked }) {
		w.fail(noProgress+": a producer is not answered: %s", w.describe())
	}
}

// bury takes a broker away for good, if the others can do without it.
func (w *world) bury(n *node) {
	v := w.ctl.last()
	left := slices.DeleteFunc(slices.Concat(v.state.ISR, v.elr), func(id model.BrokerID) bool { return id == n.id })
	if len(left) == 0 || len(w.nodes)-1 < w.ctl.minISR {
		return
	}
	w.say("%d dies", n.id)
	n.crash()
	w.ctl.fence(n.id)
}

// within lets rounds of peace pass until something is so.
func (w *world) within(rounds int, so func() bool) bool {
	for i := 0; i < rounds && w.failure == ""; i++ {
		w.peace()
		if so() {
			return true
		}
	}
	return w.failure != "" // which is what will be told
}

// relink makes all connections new. Until here a message may have come over one that was lost already, which safety has to bear; to go on, an
// end that believes in a connection needs another one that does.
func (w *world) relink() {
	w.net, w.held = nil, nil
	for _, n := range w.nodes {
		for _, peer := range w.nodes {
			if n.up {
				n.receive(peer.id, linkLost{})
			}
		}
		if n.up && n.leader != nil {
			n.receive(controllerID, outcome{number: n.leader.asked.number, outcome: Unanswered})
		}
	}
}

// peace is a round in which everything is done that can be.
func (w *world) peace() {
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		for n.seen < len(w.ctl.versions) {
			n.learn()
		}
		if n.cutting != nil {
			n.cut()
		}
		if n.log.synced < n.log.end() {
			n.log.synced = n.log.end()
			n.moved()
		}
		if n.follower != nil {
			n.acknowledge()
		}
		for to := range w.nodes {
			if n.leader != nil {
				n.stream(model.BrokerID(to), 100)
			}
		}
	}
	w.afterStep()
	for i := 0; len(w.net) > 0 && w.failure == ""; i++ {
		if i == 10_000 {
			w.fail(noProgress+": messages lead to messages without end; %s", w.describe())
		}
		w.arrive(0)
		w.afterStep()
	}
	w.tick(50 * time.Millisecond)
	w.afterStep()
}

func (w *world) healthy() bool {
	v := w.ctl.last()
	l := w.node(v.state.Leader)
	if l == nil || l.leader == nil || l.leader.Epoch() != v.state.LeaderEpoch || !l.leader.Settled() || l.leader.HighWatermark() != l.log.end() {
		return false
	}
	for _, n := range w.nodes {
		if !n.up {
			continue
		}
		if !slices.Contains(v.state.ISR, n.id) || n.log.end() != l.log.end() || n != l && n.follower.Watermark() != l.leader.HighWatermark() {
			return false
		}
	}
	return true
}
