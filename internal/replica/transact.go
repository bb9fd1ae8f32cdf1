package replica

import (
	"errors"
	"sync"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// Transaction is a transactional batch that is to be appended.
type Transaction struct {
	Append
	// Verify asks the transaction's coordinator whether the partition is part of it (KIP-890). It is called only if the batch
	// begins a transaction on the partition, must not block, and calls done once, on another goroutine. It may be called again if a marker has come
	// meanwhile.
	Verify func(done func(error))
	// Placed is called once, perhaps before Transact returns: where the batch stands, or why it was not appended. It must not
	// block.
	Placed func(wal.Appended, error)
}

// transactions are those that are about to begin on a partition: their first batches wait for the coordinator, and what their producers send after those
// waits behind them, so that sequences stay in order. Producers without transactions never come here.
type transactions struct {
	mu    sync.Mutex // also of appending, so that no marker comes between a producer's look here and its append
	begin map[model.ProducerID]*beginning
}

// beginning is a producer that waits for its coordinator.
type beginning struct {
	parked []Transaction
	lead   *leadership // in which it was asked
	void   bool        // a marker was written since: what the coordinator says may be of the transaction that it ended
}

// Transact appends a transactional batch. One that begins a transaction on the partition is verified first; the others go straight.
func (r *Replica) Transact(t Transaction) {
	ts := &r.transactions
	id := t.Batch.ProducerID()
	ts.mu.Lock()
	if b := ts.begin[id]; b != nil {
		b.parked = append(b.parked, t)
		ts.mu.Unlock()
		return
	}
	lead := r.lead.Load()
	out, err := r.Append(t.Append)
	if !errors.Is(err, producer.ErrUnverified) {
		ts.mu.Unlock()
		t.Placed(out, err)
		return
	}
	b := &beginning{parked: []Transaction{t}, lead: lead}
	if ts.begin == nil {
		ts.begin = make(map[model.ProducerID]*beginning)
	}
	ts.begin[id] = b
	ts.mu.Unlock()
	t.Verify(func(err error) { r.verified(id, b, err) })
}

// placed is what has become of a batch, to be told without the mutex.
type placed struct {
	t   Transaction
	out wal.Appended
	err error
}

// verified goes on with those who wait, now that the coordinator has answered for the first of them.
func (r *Replica) verified(id model.ProducerID, b *beginning, refusal error) {
	ts := &r.transactions
	ts.mu.Lock()
	if b.void && refusal == nil {
		b.void = false
		ts.mu.Unlock()
		b.parked[0].Verify(func(err error) { r.verified(id, b, err) })
		return
	}
	if lead := r.lead.Load(); lead != b.lead { // another leader may have written markers meanwhile
		refusal = r.notLeader(ErrNotLeader)
	}
	epoch, done := b.parked[0].Batch.ProducerEpoch(), []placed(nil)
	for i, t := range b.parked {
		t.Verified = i == 0
		var out wal.Appended
		err := refusal
		if refusal == nil || t.Batch.ProducerEpoch() != epoch {
			out, err = r.Append(t.Append)
		}
		if errors.Is(err, producer.ErrUnverified) && i > 0 { // the producer's next transaction
			next := &beginning{parked: b.parked[i:], lead: r.lead.Load()}
			ts.begin[id] = next
			b = nil
			defer t.Verify(func(err error) { r.verified(id, next, err) })
			break
		}
		done = append(done, placed{t, out, err})
	}
	if b != nil {
		delete(ts.begin, id)
	}
	ts.mu.Unlock()
	for _, p := range done {
		p.t.Placed(p.out, p.err)
	}
}

// AppendMarker ends a producer's transaction on the partition, as its coordinator says, and tells the waiter when that is below the watermark (acks=-1).
// With an error nothing was appended; producer.ErrCoordinatorFenced says that a later coordinator has written before (T3). tv2 tells that the epoch was raised for
// the marker. Such a marker does not touch a question about that epoch: it ends a transaction of the epoch before, and the coordinator includes nothing in one of
// this epoch before all its markers are written.
func (r *Replica) AppendMarker(m record.Marker, tv2 bool, w wal.Waiter) error {
	ts := &r.transactions
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if b := ts.begin[m.Producer]; b != nil && !(tv2 && m.ProducerEpoch == b.parked[0].Batch.ProducerEpoch()) {
		b.void = true
	}
	_, err := r.Append(Append{Batch: record.EndTxn(m), Acks: -1, Waiter: w, TV2: tv2})
	return err
}
