package sharepartition

import (
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

// Request is what a member wants of what was read for it.
type Request struct {
	Member string
	// RecordLimit: MaxRecords is not exceeded. Otherwise it is, up to the end of the record batch in which it is reached, as
	// members are sent whole batches anyway (KIP-1206).
	RecordLimit bool
	MaxRecords  int
	BatchSize   int // about how many records one Range is to have, split at record batches
	Had         int // how many records the same answer has of this partition, from what was read before

	From    model.Offset // from where the log was read: what NextFetch had said
	Batches []LogBatch   // what was read, without anything left out
	Aborted []Aborted    // of a group that reads committed records only
}

// Range is records that a member has acquired.
type Range struct {
	First, Last model.Offset
	Deliveries  int16 // this one included
}

// Acquisition is what a member is given.
type Acquisition struct {
	Ranges []Range // in order; of the batches that were read, those are to be sent that have some of these
	Count  int
	// Passed tells that offsets were passed over for good: if there are no Ranges, read again at once.
	Passed bool
	// Full: there is no more for this answer, whatever else is read.
	Full bool
}

// Acquire gives a member records that were read. Records that somebody has, or that are done with, are left out.
func (p *Partition) Acquire(now time.Time, r Request) Acquisition {
	if p.closed != nil || !p.founded || r.MaxRecords <= 0 {
		return Acquisition{}
	}
	a := acquirer{p: p, Request: r, deadline: now.Add(p.Config.LockDuration)}
	before := p.start
	keep := wanted(r.Batches, r.Aborted)
	at := max(r.From, p.start)
	for i, b := range r.Batches {
		if b.Last < at {
			continue
		}
		if at >= p.next && p.InFlight() >= p.Config.MaxInFlight {
			break
		}
		first := max(b.Base, at)
		if p.gone(at, first-1) {
			a.out.Passed = true
		}
		if !keep[i] {
			a.out.Passed = p.gone(first, b.Last) || a.out.Passed
		} else if a.batch(b, first); a.full {
			break
		}
		at = b.Last + 1
	}
	if a.out.Count > 0 {
		p.expireBy(a.deadline)
	}
	a.out.Full = a.full
	p.tidy()
	a.out.Passed = a.out.Passed || p.start > before
	return a.out
}

// acquirer is one Acquire under way.
type acquirer struct {
	p *Partition
	Request
	deadline time.Time
	out      Acquisition
	full     bool // no more
}

// batch acquires what is free of a record batch, from an offset on.
func (a *acquirer) batch(b LogBatch, first model.Offset) {
	p := a.p
	for at := first; at <= b.Last && !a.full; {
		if at >= p.next {
			a.fresh(b, at)
			return
		}
		i := p.find(at)
		last := min(p.runs[i].last, b.Last)
		if p.runs[i].free() {
			a.again(b, at, last)
		}
		at = last + 1
	}
	a.full = a.full || a.out.Count >= a.MaxRecords
}

// again acquires records that were in flight before.
func (a *acquirer) again(b LogBatch, first, last model.Offset) {
	r := &a.p.runs[a.p.find(first)]
	if most, alone := throttled(r.len(), r.deliveries, a.p.Config.MaxDeliveries); alone {
		if a.full = true; a.Had+a.out.Count > 0 {
			return
		}
		last = min(last, first+model.Offset(min(most, int64(a.MaxRecords)))-1)
	}
	last = a.limit(first, last)
	runs := a.p.between(first, last)
	for i := range runs {
		r := &runs[i]
		r.deliveries = max(r.deliveries, r.deliveries+1) // no more than can be counted
		r.state, r.member, r.deadline = share.Acquired, a.Member, a.deadline
		a.add(b, r.first, r.last, r.deliveries)
	}
}

// fresh acquires records that were never in flight.
func (a *acquirer) fresh(b LogBatch, first model.Offset) {
	p := a.p
	room := p.Config.MaxInFlight - p.InFlight()
	if a.full = a.out.Count >= a.MaxRecords || room <= 0; a.full || first > p.next {
		a.full = true
		return
	}
	last := a.limit(first, b.Last)
	if a.RecordLimit {
		last = min(last, first+model.Offset(room)-1)
	}
	p.runs = append(p.runs, run{first: first, last: last, state: share.Acquired, deliveries: 1, member: a.Member, deadline: a.deadline})
	p.next = last + 1
	a.add(b, first, last, 1)
	a.full = a.out.Count >= a.MaxRecords || last < b.Last
}

// limit is how far from first up to last may be acquired at most.
func (a *acquirer) limit(first, last model.Offset) model.Offset {
	if left := a.MaxRecords - a.out.Count; a.RecordLimit {
		if last = min(last, first+model.Offset(left)-1); int(last-first)+1 == left {
			a.full = true
		}
	}
	return last
}

// add is what the member is told. Ranges go on while the deliveries are the same, and end with a record batch once they are long.
func (a *acquirer) add(b LogBatch, first, last model.Offset, deliveries int16) {
	a.out.Count += int(last - first + 1)
	if n := len(a.out.Ranges); n > 0 {
		prev := &a.out.Ranges[n-1]
		long := !a.RecordLimit && int(prev.Last-prev.First)+1 >= a.BatchSize && first == b.Base
		if prev.Last+1 == first && prev.Deliveries == deliveries && !long {
			prev.Last = last
			return
		}
	}
	a.out.Ranges = append(a.out.Ranges, Range{first, last, deliveries})
}
