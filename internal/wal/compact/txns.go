package compact

import (
	"cmp"
	"slices"

	"chronik/internal/model"
	"chronik/internal/record"
)

// Aborted is an aborted transaction of one producer: from the offset of its first record to that of its marker.
type Aborted struct {
	Producer      model.ProducerID
	First, Marker model.Offset
}

// txns follows transactions through a log, batch by batch in offset order.
type txns struct {
	aborted []Aborted // by first offset; those before next are open or over
	next    int
	open    map[model.ProducerID]Aborted
	seen    map[model.ProducerID]bool // there is a batch of its transaction that has not ended
}

func newTxns(aborted []Aborted) txns {
	aborted = slices.Clone(aborted)
	slices.SortFunc(aborted, func(a, b Aborted) int { return cmp.Compare(a.First, b.First) })
	return txns{aborted: aborted, open: make(map[model.ProducerID]Aborted), seen: make(map[model.ProducerID]bool)}
}

// data notes a batch that is not a control batch, and tells whether its transaction was aborted. Both ends of a transaction count:
// its marker may be gone.
func (t *txns) data(b record.Batch) bool {
	if !b.IsTransactional() || !b.HasProducer() {
		return false
	}
	for t.next < len(t.aborted) && t.aborted[t.next].First <= b.LastOffset() {
		a := t.aborted[t.next]
		t.open[a.Producer] = a
		t.next++
	}
	t.seen[b.ProducerID()] = true
	a, ok := t.open[b.ProducerID()]
	return ok && a.First <= b.BaseOffset() && b.LastOffset() < a.Marker
}

// marker notes the end of a producer's transaction, and tells whether nothing of it is left.
func (t *txns) marker(p model.ProducerID) (empty bool) {
	empty = !t.seen[p]
	delete(t.seen, p)
	return empty
}
