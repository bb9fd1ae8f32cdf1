package quorum

import (
	"context"
	"math/rand/v2"

	"chronik/internal/metadata/image"
)

// reads are the linearizable reads that wait for the leader to show that it still is one. Those that come while a
// round is under way share the next one. They belong to the goroutine that owns the member.
type reads struct {
	last  uint64 // the newest round
	round uint64 // under way; 0: none
	age   int    // ticks since it began
	asked []reader
	queue []reader
}

// newReads begins its rounds at a number that no process of this replica had before, as good as certainly: a late answer to one of
// those would else be taken for one of ours, and tell too low an index (M2).
func newReads() reads { return reads{last: rand.Uint64() >> 1} }

// reader waits for the index that a read must see.
type reader struct {
	lead   bool // only this node's own leadership will do
	answer chan<- readable
}

// readable says that a read may be made once index is applied.
type readable struct {
	index uint64
	err   error
}

// begin asks for the next round if somebody waits for one. It reports whether it did.
func (r *reads) begin(m *Member) bool {
	if r.round != 0 || len(r.queue) == 0 {
		return false
	}
	r.asked, r.queue = r.queue, nil
	r.ask(m)
	return true
}

func (r *reads) ask(m *Member) {
	r.last++
	r.round, r.age = r.last, 0
	m.ReadIndex(r.round)
}

// tick asks again when the answer was lost, or nobody led.
func (r *reads) tick(m *Member) {
	if r.round == 0 {
		return
	}
	if r.age++; r.age >= electionTicks/2 {
		r.ask(m)
	}
}

// answer ends the round.
func (r *reads) answer(a Read) {
	if a.ID != r.round {
		return // it was asked again
	}
	for _, w := range r.asked {
		w.answer <- readable{index: a.Index}
	}
	r.asked, r.round = nil, 0
}

// depose ends the waiting of those who need this node to lead.
func (r *reads) depose(why error) {
	drop := func(list []reader) (kept []reader) {
		for _, w := range list {
			if w.lead {
				w.answer <- readable{err: why}
			} else {
				kept = append(kept, w)
			}
		}
		return kept
	}
	r.asked, r.queue = drop(r.asked), drop(r.queue)
	if len(r.asked) == 0 {
		r.round = 0
	}
}

func (r *reads) fail(why error) {
	for _, w := range append(r.asked, r.queue...) {
		w.answer <- readable{err: why}
	}
	r.asked, r.queue, r.round = nil, nil, 0
}

// Linearizable returns an image that has all that was acknowledged anywhere before the call. It waits until a leader
// answers.
func (r *Raft) Linearizable(ctx context.Context) (*image.Image, error) {
	index, err := r.readIndex(ctx, false)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-r.done:
			cancel(r.stopped())
		case <-waiting.Done():
		}
	}()
	return r.store.Wait(waiting, index)
}

// confirm makes sure that this node is still the leader.
func (r *Raft) confirm() error {
	_, err := r.readIndex(context.Background(), true)
	return err
}

func (r *Raft) readIndex(ctx context.Context, lead bool) (uint64, error) {
	answer := make(chan readable, 1)
	err := r.do(ctx, func() { r.reads.queue = append(r.reads.queue, reader{lead: lead, answer: answer}) })
	if err != nil {
		return 0, err
	}
	select {
	case a := <-answer:
		return a.index, a.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	case <-r.done:
		return 0, r.stopped()
	}
}
