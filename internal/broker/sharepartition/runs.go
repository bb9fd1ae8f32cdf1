package sharepartition

import (
	"slices"
	"sort"
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

// run is records in flight that are neighbours and have one fate.
type run struct {
	first, last model.Offset
	state       share.DeliveryState
	deliveries  int16
	member      string    // of what is acquired
	deadline    time.Time // of what is acquired
	// moving: an acknowledgement says that the records are to become to, and is not written yet.
	moving bool
	to     share.DeliveryState
	// What the coordinator does not know yet, and what the write on its way tells it.
	unsaved, saving bool
}

func (r *run) len() int64 { return int64(r.last - r.first + 1) }

// free tells that the records may be acquired.
func (r *run) free() bool { return r.state == share.Available }

// alike tells whether two runs have one fate.
func (r run) alike(o run) bool {
	r.first, r.last = o.first, o.last
	return r == o
}

// set gives the records another state than acquired.
func (r *run) set(s share.DeliveryState) {
	r.state, r.member, r.deadline, r.moving, r.unsaved, r.saving = s, "", time.Time{}, false, true, false
}

// release makes acquired records available again, or archives them if they were delivered as often as they may be.
func (r *run) release(most int16) { r.set(released(r.deliveries, most)) }

func released(deliveries, most int16) share.DeliveryState {
	if deliveries >= most {
		return share.Archived
	}
	return share.Available
}

// find returns the run that holds an offset, len(runs) if it is at or above next.
func (p *Partition) find(off model.Offset) int {
	return sort.Search(len(p.runs), func(i int) bool { return p.runs[i].last >= off })
}

// split makes a run begin at an offset and returns which; len(runs) if the offset is at or above next.
func (p *Partition) split(at model.Offset) int {
	i := p.find(at)
	if i == len(p.runs) || p.runs[i].first >= at {
		return i
	}
	tail := p.runs[i]
	tail.first = at
	p.runs[i].last = at - 1
	p.runs = slices.Insert(p.runs, i+1, tail)
	return i + 1
}

// between returns the runs of exactly the offsets from first to last, as far as they are in flight. It is valid until the next split.
func (p *Partition) between(first, last model.Offset) []run {
	i := p.split(first)
	j := p.split(last + 1)
	return p.runs[i:j]
}

// extend puts what lies between next and an offset, included, in flight.
func (p *Partition) extend(last model.Offset, s share.DeliveryState) {
	if last < p.next {
		return
	}
	p.runs = append(p.runs, run{first: p.next, last: last, state: s, unsaved: s.Final()})
	p.next = last + 1
}

// tidy joins runs that are alike, and moves the start past what is done with.
func (p *Partition) tidy() {
	n := 0
	for i := range p.runs {
		r := p.runs[i]
		switch {
		case n == 0 && r.state.Final():
			p.start = r.last + 1
			continue
		case n > 0 && p.runs[n-1].alike(r):
			p.runs[n-1].last = r.last
			continue
		}
		p.runs[n] = r
		n++
	}
	clear(p.runs[n:])
	p.runs = p.runs[:n]
	p.check()
}
