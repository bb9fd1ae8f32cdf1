package replica

import (
	"slices"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// waits are producers that wait at an offset: for the watermark, or for the own sync. They are bound to one leader epoch,
// because they are failed when that ends, and to one generation of the log, because those above a cut are failed with it (D5).
type waits struct {
	queue[waiting] // by offset; what was taken out of it is told
}

// waiting is one of them: whoever wants to hear when everything up to last is safe.
type waiting struct {
	last   model.Offset
	waiter wal.Waiter
}

// verdict is what one of them is to be told.
type verdict struct {
	waiter wal.Waiter
	err    error
}

// add places a waiter by its offset: at the end, but for a retry, which waits at its original's (T1).
func (q *waits) add(last model.Offset, w wal.Waiter) {
	at := len(q.list)
	for at > q.head && q.list[at-1].last > last {
		at--
	}
	q.list = slices.Insert(q.list, at, waiting{last, w})
}

// first is the lowest offset that somebody waits at.
func (q *waits) first() (model.Offset, bool) {
	if q.head == len(q.list) {
		return 0, false
	}
	return q.list[q.head].last, true
}

// pop takes the first one out, to be told err.
func (q *waits) pop(err error) verdict {
	w := q.list[q.head].waiter
	q.dropFirst()
	return verdict{w, err}
}

// remove takes out one that does not wait any more; false: it was told, or is about to be.
func (q *waits) remove(w wal.Waiter) bool {
	for i := q.head; i < len(q.list); i++ {
		if q.list[i].waiter == w {
			q.list = slices.Delete(q.list, i, i+1)
			return true
		}
	}
	return false
}

// failFrom takes out all that wait at or above an offset.
func (q *waits) failFrom(end model.Offset, err error, to []verdict) []verdict {
	at := len(q.list)
	for at > q.head && q.list[at-1].last >= end {
		at--
	}
	for _, w := range q.list[at:] {
		to = append(to, verdict{w.waiter, err})
	}
	clear(q.list[at:])
	if q.list = q.list[:at]; at == q.head {
		q.list, q.head = nil, 0
	}
	return to
}
