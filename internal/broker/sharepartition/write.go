package sharepartition

import (
	"errors"
	"time"

	"chronik/internal/coordinator/share"
)

// NextWrite returns what is to be written to the coordinator, but for the key; false: nothing, or a write is on its way. It is to
// be sent until it is answered, with pauses that grow, and Written is to be called with the answer. After one that failed, what did not wait for it
// is written with the next; only the first start is due again at once. A write says what is so once it is written: Start is
// past what is acknowledged with it.
func (p *Partition) NextWrite() (share.WriteRequest, bool) {
	if !p.urgent || p.sent || p.closed != nil {
		return share.WriteRequest{}, false
	}
	w := share.WriteRequest{StateEpoch: p.stateEpoch, LeaderEpoch: p.leaderEpoch, Start: p.start}
	for i := range p.runs {
		r := &p.runs[i]
		state, deliveries := r.saved()
		if r.saving = r.unsaved; r.unsaved && (deliveries > 0 || state.Final()) {
			w.Batches = append(w.Batches, share.Batch{First: r.first, Last: r.last, State: state, Deliveries: deliveries})
		}
		switch {
		case state.Final() && r.first == w.Start:
			w.Start = r.last + 1
		case state.Final():
			w.Complete += int32(r.len())
		}
	}
	for len(w.Batches) > 0 && w.Batches[0].Last < w.Start {
		w.Batches = w.Batches[1:]
	}
	p.asked, p.queued = p.queued, nil
	p.sent, p.saving, p.urgent = true, w.Start, false
	return w, true
}

// saved is what whoever leads next is to know of the records: what is acquired is available to it, and that delivery does not count.
func (r *run) saved() (share.DeliveryState, int16) {
	switch {
	case r.moving:
		return r.to, r.deliveries
	case r.state == share.Acquired:
		return share.Available, r.deliveries - 1
	}
	return r.state, r.deliveries
}

// lost tells of an answer that ends the partition: somebody else leads, or the group reads from elsewhere.
func lost(err error) bool {
	for _, e := range []error{share.ErrFencedLeaderEpoch, share.ErrFencedStateEpoch, share.ErrUninitialized, share.ErrUnknownPartition} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Written is the answer to the write: nil, or why it is not known to be written. In that case who acknowledged is told so, and has
// the records still, until their locks expire. It closes the partition if it is not this leader's any more.
func (p *Partition) Written(now time.Time, err error) {
	switch {
	case !p.sent || p.closed != nil:
		return
	case lost(err):
		p.Close(err)
		return
	}
	p.sent = false
	for i := range p.runs {
		r := &p.runs[i]
		if !r.saving {
			continue
		}
		r.saving = false
		switch {
		case err == nil && r.moving:
			r.set(r.to)
			r.unsaved = false
		case err == nil:
			r.unsaved = false
		case r.moving:
			p.giveBack(now, r)
		}
	}
	if err == nil {
		p.founded, p.saved = true, p.saving
	}
	p.urgent = p.urgent || len(p.queued) > 0 || !p.founded
	p.tidy()
	asked := p.asked
	p.asked = nil
	for _, w := range asked {
		w(err)
	}
}

// giveBack undoes an acknowledgement that could not be written.
func (p *Partition) giveBack(now time.Time, r *run) {
	r.moving = false
	if !r.deadline.After(now) {
		r.release(p.Config.MaxDeliveries)
		return
	}
	p.expireBy(r.deadline)
}
