package sim

import "time"

// endpoint is who can be called.
type endpoint interface {
	// serve answers a request, now, later or never. reply may be called after the node's process has ended: then nobody hears it.
	serve(from nodeID, req any, reply func(any))
}

// call sends a request to a node and waits for the answer at most for a time. done runs once, with nil if there was none.
// Request and answer are datagrams: a request can arrive twice, or after its caller has given up.
func (w *world) call(from, to nodeID, req any, patience time.Duration, done func(answer any)) {
	over := false
	finish := func(answer any) {
		if !over {
			over = true
			done(answer)
		}
	}
	w.after(patience, func() { finish(nil) })
	ask := func() {
		if e := w.endpoint(to); e != nil {
			e.serve(from, req, func(answer any) {
				w.net.send(to, from, func() { finish(answer) })
			})
		}
	}
	w.net.send(from, to, ask)
	if w.net.echo > 0 && w.chance(w.net.echo) { // it lay about somewhere, and is heard when its time is over
		w.after(w.between(0, 3*time.Second), func() { w.net.send(from, to, ask) })
	}
}
