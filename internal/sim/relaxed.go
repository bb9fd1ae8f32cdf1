package sim

import (
	"slices"
	"strconv"

	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/wal"
)

// relax has some topics complete their appends before they are synced. What their replicas lose with the power is theirs to lose, as long as
// one that has not lost anything leads where there is one (D2).
func (w *world) relax() {
	for _, name := range w.topics {
		if w.loose || !w.plain && w.one(4) {
			w.flush[name] = int64(2 + w.rng.IntN(300))
			w.stats[relaxedTopics]++
		}
	}
}

// configOf is the configuration of a topic's logs.
func (w *world) configOf(topic string) wal.Config {
	c := w.logConfig
	if most := w.flush[topic]; most > 0 {
		c.FlushMessages = most
	}
	if slices.Contains(w.inner(), topic) && topic != shopTopic {
		c.RetentionBytes = -1
	}
	return c
}

// topicConfigs is the same for the controller.
func (w *world) topicConfigs(topic string) []controller.NewConfig {
	if w.flush[topic] == 0 {
		return nil
	}
	most := strconv.FormatInt(w.flush[topic], 10)
	return []controller.NewConfig{{Name: "flush.messages", Value: &most}}
}

// registered tells whether the process that runs is the one that the metadata knows.
func (n *node) registered() bool {
	known := n.w.truth.Node(n.broker())
	return n.up && known != nil && known.Incarnation == n.incarnation
}

// left looks whether a node that was not stopped cleanly is a candidate no more where a topic is relaxed: with a leader it is in neither ISR nor
// ELR, without one it is marked (D2).
func (l *ledger) left(q, p *image.Partition, old, im *image.Image) {
	if !l.relaxed {
		return
	}
	for _, id := range slices.Concat(p.ISR, p.ELR) {
		was, is := old.Node(id), im.Node(id)
		member := slices.Contains(q.ISR, id) || slices.Contains(q.ELR, id)
		if was == nil || is == nil || was.Epoch == is.Epoch || l.w.clean[is.Incarnation] || !member || marked(p, id) || p.Leader == id {
			continue
		}
		l.w.fail("D2", "%s: node %d has stopped uncleanly, and is still in ISR %v or ELR %v; the leader is %d", l.name, id, p.ISR, p.ELR, p.Leader)
	}
}

// elected is told of a partition's next state. A new leader of a relaxed topic may lack what was committed only if no candidate has it that has been
// running all the time (D2, R4).
func (l *ledger) elected(q, p *image.Partition, old, im *image.Image) {
	if !l.relaxed || p.Leader < 0 || p.LeaderEpoch == q.LeaderEpoch {
		return
	}
	leader := l.w.nodes[p.Leader]
	s := leader.disk.shadow(l.key.id, l.key.num)
	if l.holds(s) {
		return
	}
	if !leader.registered() { // who is not there leads no more when it comes; but if nobody has it all, that is lost already
		held := func(id model.BrokerID) bool { return l.holds(l.w.nodes[id].disk.shadow(l.key.id, l.key.num)) }
		if !slices.ContainsFunc(slices.Concat(q.ISR, q.ELR), held) {
			l.lose(s, p)
		}
		return
	}
	for _, id := range slices.Concat(q.ISR, q.ELR) {
		n, was, is := l.w.nodes[id], old.Node(id), im.Node(id)
		steady := n.registered() && was != nil && was.Epoch == is.Epoch && !marked(q, id)
		if steady && l.holds(n.disk.shadow(l.key.id, l.key.num)) {
			l.w.fail("D2", "%s: node %d is elected, and has lost records that node %d has; ISR %v, ELR %v before", l.name, p.Leader, id, q.ISR, q.ELR)
			return
		}
	}
	l.lose(s, p)
}

// lose takes out of what is committed all that a new leader does not have. What clients were told before is not held against anybody any more.
func (l *ledger) lose(s *shadow, p *image.Partition) {
	k, _ := l.parts(s)
	l.w.note(0, "records of a relaxed topic are lost: %d batches of %d are left", int64(k), int64(len(l.committed)))
	l.w.stats[relaxedLosses]++
	l.committed = l.committed[:k]
	l.lossy, l.forgets, l.lostIn = true, true, p.LeaderEpoch
	for _, n := range l.w.nodes[1:] {
		r := n.disk.shadow(l.key.id, l.key.num)
		r.agreed = min(r.agreed, l.end())
	}
}
