package sim

import "time"

// event is something that happens at a moment. Two of the same moment happen in the order in which they were put there.
type event struct {
	at  time.Duration // since the start of the run
	seq uint64
	run func()
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// heap is the future: a binary heap of events by (time, sequence).
type heap struct {
	events []event
	seq    uint64
}

func (h *heap) len() int { return len(h.events) }

func (h *heap) push(at time.Duration, run func()) {
	h.seq++
	h.events = append(h.events, event{at: at, seq: h.seq, run: run})
	for i := len(h.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.events[i].before(&h.events[parent]) {
			break
		}
		h.events[i], h.events[parent] = h.events[parent], h.events[i]
		i = parent
	}
}

// pop takes the next event out; there must be one.
func (h *heap) pop() event {
	next := h.events[0]
	n := len(h.events) - 1
	h.events[0] = h.events[n]
	h.events[n] = event{}
	h.events = h.events[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			break
		}
		if right := child + 1; right < n && h.events[right].before(&h.events[child]) {
			child = right
		}
		if !h.events[child].before(&h.events[i]) {
			break
		}
		h.events[i], h.events[child] = h.events[child], h.events[i]
		i = child
	}
	return next
}
