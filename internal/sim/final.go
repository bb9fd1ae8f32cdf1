package sim

import (
	"fmt"
	"time"

	"chronik/internal/model"
)

// missing says what a healed cluster lacks; empty if nothing.
func (w *world) missing(since time.Duration) string {
	if w.now < since {
		return "time"
	}
	t := w.truth.Topic(topicName)
	if t == nil {
		return "the topic"
	}
	for _, n := range w.nodes[1:] {
		if !n.up {
			return fmt.Sprintf("%v is down", n.id)
		}
	}
	for num, p := range t.Partitions {
		switch {
		case p.Leader == model.NoBroker:
			return fmt.Sprintf("partition %d has no leader; ISR %v, ELR %v, cut %v", num, p.ISR, p.ELR, p.Cut)
		case len(p.ISR) < len(p.Replicas):
			return fmt.Sprintf("partition %d has an ISR of %v; replicas %v, leader %d", num, p.ISR, p.Replicas, p.Leader)
		}
	}
	for _, p := range w.producers {
		if p.acks != 0 && p.answeredAt < since {
			return fmt.Sprintf("%v, acks %d, was last answered at %v, its leader is %v", p.id, p.acks, p.answeredAt, p.leader)
		}
	}
	return ""
}

// compare reads every replica to its watermark: all must hold what is committed (D2, R2).
func (w *world) compare() {
	for _, p := range w.producers {
		p.stopped = true
	}
	settled := func() bool {
		for _, l := range w.order {
			if w.truth.TopicByID(l.key.id) == nil {
				continue
			}
			for _, n := range w.nodes[1:] {
				r := n.find(l.key.id, l.key.num)
				if r != nil && (r.log.DurableEnd() != l.end() || r.log.End() != l.end()) {
					return false
				}
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
	for _, n := range w.nodes[1:] {
		for _, r := range n.replicas {
			content, err := r.readAll()
			if err != nil {
				w.fail("L1", "%v: reading all of it: %v", r, err)
				return
			}
			w.compareTo(r, content)
		}
	}
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
