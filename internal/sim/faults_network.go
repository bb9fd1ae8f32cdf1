package sim

import "time"

// others are all that a node talks to.
func (w *world) others(id nodeID) (out []nodeID) {
	for _, n := range w.nodes[1:] {
		if n.id != id {
			out = append(out, n.id)
		}
	}
	out = append(out, office)
	for _, p := range w.producers {
		out = append(out, p.id)
	}
	return out
}

// isolate cuts a node off: from all, from the other nodes, or from the controller alone.
func (w *world) isolate() {
	n := w.draw()
	who := w.others(n.id)
	switch w.rng.IntN(3) {
	case 0:
		who = []nodeID{office}
	case 1:
		who = who[:len(w.nodes)-2]
	}
	for _, o := range who {
		w.net.set(direction{n.id, o}, weather{cut: true})
		w.net.set(direction{o, n.id}, weather{cut: true})
	}
}

func (w *world) oneWay() {
	n := w.draw()
	who := w.others(n.id)
	o := who[w.rng.IntN(len(who))]
	d := direction{n.id, o}
	if w.one(2) {
		d = direction{o, n.id}
	}
	w.net.set(d, weather{cut: true})
}

// partLeader cuts a leader off from one follower, then from all nodes, but not from its clients, and for a while only: others lead meanwhile, and do
// not have all that it had; nor has it what they had, when it comes to lead again.
func (w *world) partLeader() {
	n, id := w.draw(), w.someTopicID()
	for _, o := range w.nodes[1:] {
		if r := o.find(id, 0); r != nil && r.leader != nil {
			n = o
		}
	}
	who := w.others(n.id)[:len(w.nodes)-2]
	w.net.set(direction{n.id, who[w.rng.IntN(len(who))]}, weather{cut: true})
	w.after(w.between(10*time.Millisecond, 200*time.Millisecond), func() {
		if w.calm {
			return
		}
		for _, o := range append(who, office) {
			w.net.set(direction{n.id, o}, weather{cut: true})
			w.net.set(direction{o, n.id}, weather{cut: true})
		}
	})
	w.after(w.between(900*time.Millisecond, 1500*time.Millisecond), func() {
		for _, o := range append(who, office) {
			w.net.unset(direction{n.id, o})
			w.net.unset(direction{o, n.id})
		}
	})
}

// rain makes one direction bad.
func (w *world) rain() {
	n := w.draw()
	who := w.others(n.id)
	o := who[w.rng.IntN(len(who))]
	wt := weather{delay: w.between(0, 20*time.Millisecond), jitter: w.between(0, 50*time.Millisecond), drop: w.rng.Float64() / 3, duplicate: w.rng.Float64() / 3}
	w.net.set(direction{n.id, o}, wt)
	if w.one(2) {
		w.net.set(direction{o, n.id}, wt)
	}
}
