package replication

import "chronik/internal/model"

// window is the credit that a follower has given its leader. It is given back as batches become durable, so that what a slow
// disk holds up in memory is bounded.
type window struct {
	size  int
	taken []taken // accepted and not yet durable, in offset order
	free  int     // durable, and the leader does not know it
}

type taken struct {
	end   model.Offset
	bytes int
}

func (w *window) take(end model.Offset, bytes int) { w.taken = append(w.taken, taken{end, bytes}) }

func (w *window) release(synced model.Offset) {
	n := 0
	for n < len(w.taken) && w.taken[n].end <= synced {
		w.free += w.taken[n].bytes
		n++
	}
	w.taken = w.taken[:copy(w.taken, w.taken[n:])]
}

// due tells whether it is worth a message: a quarter of the window is free. If less is, the leader still has some of
// the window, or more will be free when what it sent is durable.
func (w *window) due() bool { return w.free > 0 && w.free >= w.size/4 }
