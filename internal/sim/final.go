package sim

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/model"
)

// missing says what a healed cluster lacks; empty if nothing.
func (w *world) missing(since time.Duration) string {
	if w.now < since {
		return "time"
	}
	if w.retiring {
		return "a node that is to be removed is still there"
	}
	if w.raising > 0 {
		return "a topic of the node that was alone has one replica"
	}
	for _, n := range w.nodes[1:] {
		if !n.up {
			return fmt.Sprintf("%v is down", n.id)
		}
	}
	for _, name := range slices.Concat(w.topics, w.inner()) {
		t := w.truth.Topic(name)
		if t == nil {
			return "topic " + name
		}
		for _, p := range t.Partitions {
			switch {
			case p.Leader == model.NoBroker:
				return fmt.Sprintf("%s has no leader; ISR %v, ELR %v, cut %v", name, p.ISR, p.ELR, p.Cut)
			case len(p.ISR) < len(p.Replicas) || p.Reassigning():
				return fmt.Sprintf("%s has an ISR of %v; replicas %v, adding %v, removing %v, leader %d", name, p.ISR, p.Replicas, p.Adding, p.Removing, p.Leader)
			}
		}
	}
	for _, p := range w.producers {
		if p.acks != 0 && p.answeredAt < since {
			return fmt.Sprintf("%v, acks %d, was last answered at %v, its leader is %v", p.id, p.acks, p.answeredAt, p.leader)
		}
	}
	if w.coordinated() {
		if lacks := w.groups.missing(since); lacks != "" {
			return lacks
		}
	}
	return w.trades.missing(w, since)
}

// compare reads every replica to its watermark: all must hold what is committed (D2, R2).
func (w *world) compare() {
	for _, p := range w.producers {
		p.stopped = true
	}
	w.groups.stop()
	w.trades.conclude(w)
	settled := func() bool {
		for _, r := range w.assigned() {
			if r == nil || r.log == nil || r.log.DurableEnd() != r.book.end() || r.log.End() != r.book.end() {
				return false
			}
		}
		return true
	}
	if !w.until(10*time.Second, settled) {
		if w.failed == nil {
			w.fail("progress", "the replicas do not come to the same end")
		}
		return
	}
	for _, r := range w.assigned() {
		content, err := r.readAll()
		if err != nil {
			w.fail("L1", "%v: reading all of it: %v", r, err)
			return
		}
		w.compareTo(r, content)
		if w.transacted {
			r.book.sameAborted(r)
		}
	}
	w.compareSeats()
}

// assigned lists the replicas that there should be, nil for one that a node does not have.
func (w *world) assigned() (all []*replica) {
	for _, t := range sortedTopics(w.truth) {
		for num, p := range t.Partitions {
			for _, id := range p.Replicas {
				all = append(all, w.nodes[id].find(t.ID, int32(num)))
			}
		}
	}
	return all
}

func (w *world) compareTo(r *replica, content []stored) {
	k := r.book.index(r.log.Start())
	for _, b := range content {
		if k >= len(r.book.committed) || r.book.committed[k] != b {
			w.fail("D2", "%v holds %v at the end, which is not what was committed", r, b)
			return
		}
		k++
	}
	if k != len(r.book.committed) {
		w.fail("D2", "%v ends at %d, committed is up to %d", r, r.log.End(), r.book.end())
	}
}
