package sim

import "time"

// readRequest asks for the metadata as it is now, not as it was.
type readRequest struct{}

type readAnswer struct{ index uint64 }

// read is a linearizable read that waits.
type read struct {
	index uint64 // that must be applied first; 0: not known yet
	reply func(any)
}

// read asks what must be applied before the answer (M2). Where it cannot be known nobody answers.
func (v *voter) read(reply func(any)) {
	v.reads++
	id := v.reads
	v.reading[id] = &read{reply: reply}
	v.n.after(time.Second, func() { delete(v.reading, id) })
	v.member.ReadIndex(v.reads)
	v.took()
}

// answerReads answers those that have seen enough.
func (v *voter) answerReads() {
	at := v.member.Image().Index()
	for _, id := range sortedKeys(v.reading) {
		if r := v.reading[id]; r.index > 0 && at >= r.index {
			delete(v.reading, id)
			r.reply(readAnswer{at})
		}
	}
}

// audit reads the metadata now and then: what had been committed before must be in it (M2, R6).
func (w *world) audit() {
	known := w.truth.Index()
	w.call(firstClient, w.someNode(), readRequest{}, time.Second, func(answer any) {
		if a, ok := answer.(readAnswer); ok {
			w.stats[linearReads]++
			if a.index < known {
				w.fail("M2", "a linearizable read saw index %d of the metadata, %d was applied before it began", a.index, known)
			}
		}
		w.after(w.between(20*time.Millisecond, 500*time.Millisecond), w.audit)
	})
}
