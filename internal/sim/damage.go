package sim

import (
	"slices"
	"time"

	"chronik/internal/vfs/crashfs"
)

// wipeOne replaces a broker by an empty one: the same node ID, another disk (R7).
func (w *world) wipeOne() {
	n := w.spareable()
	if n == nil {
		return
	}
	w.stats[wipes]++
	n.crash(crashfs.Lose)
	n.disk.wipe()
	w.note(n.id, "has an empty disk now")
	w.after(w.between(time.Millisecond, time.Second), n.start)
}

// flipOne turns a bit over in a log, and starts the process again, so that nothing of it is remembered (L2).
func (w *world) flipOne() {
	n := w.spareable()
	if n == nil || !n.disk.flip() {
		return
	}
	w.stats[flips]++
	w.note(n.id, "has a flipped bit on its disk")
	w.down(n, w.crashMode())
}

// spareable draws a node whose disk may be damaged, nil if there is none; a plain world does not look for it.
func (w *world) spareable() *node {
	switch n := w.draw(); {
	case w.spared(n):
		return n
	case w.plain:
		return nil
	}
	for _, i := range w.rng.Perm(len(w.nodes) - 1) {
		if n := w.nodes[i+1]; w.spared(n) {
			return n
		}
	}
	return nil
}

// spared tells whether a node's disk may be damaged: of every partition somebody else who may be elected must hold all, and
// min.insync.replicas must be more than one: else the others may leave the ISR before it is known that the last member has nothing.
// A quorum that loses a voter needs the others.
func (w *world) spared(n *node) bool {
	if w.replication.MinISR < 2 || len(w.flush) > 0 { // a relaxed topic's ISR may shrink to one by restarts alone
		return false
	}
	for _, o := range w.nodes[1:] {
		if o != n && (!o.up || o.disk.limited || !o.clean && !o.known) { // who has crashed leaves ISRs when the controller hears of it
			return false
		}
	}
	for _, l := range w.order {
		t := w.truth.TopicByID(l.key.id)
		if t == nil {
			continue
		}
		p, other := t.Partitions[l.key.num], false
		if p.EffectiveMinISR(int32(w.replication.MinISR)) < 2 { // it has one replica, until it is reassigned
			return false
		}
		for _, id := range slices.Concat(p.ISR, p.ELR) {
			o := w.nodes[id]
			if o == n {
				continue
			}
			if l.excused(id) {
				return false // another loss that is not known yet
			}
			s := o.disk.shadow(l.key.id, l.key.num)
			other = other || !s.flipped && l.holds(s) && !slices.Contains(p.Adding, id) // it would go with the reassignment
		}
		if !other {
			return false
		}
	}
	return w.quorumOK(n)
}
