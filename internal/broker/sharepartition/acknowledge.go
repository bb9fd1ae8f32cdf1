package sharepartition

import (
	"fmt"
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

// AckType is what a member says of a record. The numbers are the wire's.
type AckType int8

const (
	Gap     AckType = 0 // there is no record at the offset
	Accept  AckType = 1
	Release AckType = 2
	Reject  AckType = 3
	Renew   AckType = 4 // the member needs more time (KIP-1222)
)

// AckBatch is what a member says of the records from First to Last: one type for all, or one for each.
type AckBatch struct {
	First, Last model.Offset
	Types       []AckType
}

// Acknowledge does what a member says of records that it has acquired, all of it or nothing. Records below Start are done
// with, whatever is said of them. reply is called once all of that is written, or with the reason why it is not.
func (p *Partition) Acknowledge(now time.Time, member string, batches []AckBatch, reply func(error)) {
	if err := p.judge(member, batches); err != nil {
		reply(err)
		return
	}
	moved := false
	for _, b := range batches {
		moved = moved || b.First < p.start && p.saved < p.start
		b.each(func(first, last model.Offset, t AckType) {
			moved = p.acknowledge(now, max(first, p.start), last, t) || moved
		})
	}
	p.tidy()
	if !moved {
		reply(nil)
		return
	}
	p.urgent = true
	p.queued = append(p.queued, reply)
}

// acknowledge does what a member says of some records, and tells whether there is something to write.
func (p *Partition) acknowledge(now time.Time, first, last model.Offset, t AckType) bool {
	if first > last {
		return false
	}
	runs := p.between(first, last)
	for i := range runs {
		r := &runs[i]
		switch t {
		case Renew:
			r.deadline = now.Add(p.Config.LockDuration)
			continue
		case Accept:
			r.to = share.Acknowledged
		case Release:
			r.to = released(r.deliveries, p.Config.MaxDeliveries)
		default:
			r.to = share.Archived
		}
		r.moving, r.unsaved, r.saving = true, true, false
	}
	return t != Renew
}

// each calls f with neighbours of which one thing is said.
func (b AckBatch) each(f func(first, last model.Offset, t AckType)) {
	if len(b.Types) == 1 {
		f(b.First, b.Last, b.Types[0])
		return
	}
	from := 0
	for i := range b.Types {
		if i+1 == len(b.Types) || b.Types[i+1] != b.Types[from] {
			f(b.First+model.Offset(from), b.First+model.Offset(i), b.Types[from])
			from = i + 1
		}
	}
}

// judge refuses what a member cannot say.
func (p *Partition) judge(member string, batches []AckBatch) error {
	if p.closed != nil {
		return p.closed
	}
	before := model.NoOffset
	for _, b := range batches {
		n := len(b.Types)
		if b.First <= before || b.First > b.Last || n == 0 || n > 1 && int64(n) != int64(b.Last-b.First+1) {
			return fmt.Errorf("%w: records %d to %d with %d types, after %d", ErrInvalidRequest, b.First, b.Last, n, before)
		}
		before = b.Last
		for _, t := range b.Types {
			switch {
			case t < Gap || t > Renew:
				return fmt.Errorf("%w: type %d", ErrInvalidRequest, t)
			case t == Renew && !p.Config.Renew:
				return fmt.Errorf("%w: share.renew.acknowledge.enable of the group is false", ErrInvalidRecordState)
			}
		}
		if b.Last >= p.start && b.Last >= p.next {
			return fmt.Errorf("%w: record %d was never acquired", ErrInvalidRequest, b.Last)
		}
		for i := p.find(max(b.First, p.start)); i < len(p.runs) && p.runs[i].first <= b.Last; i++ {
			if r := &p.runs[i]; r.state != share.Acquired || r.moving || r.member != member {
				return fmt.Errorf("%w: records from %d on", ErrInvalidRecordState, max(r.first, b.First))
			}
		}
	}
	return nil
}

// Leave releases what a member has acquired and not acknowledged: its session is gone.
func (p *Partition) Leave(member string) {
	any := false
	for i := range p.runs {
		if r := &p.runs[i]; r.state == share.Acquired && !r.moving && r.member == member {
			r.release(p.Config.MaxDeliveries)
			any = true
		}
	}
	if any {
		p.urgent = true
		p.tidy()
	}
}

// Expire releases what is locked no longer, and tells whether there was any. What is acknowledged and not written yet stays.
func (p *Partition) Expire(now time.Time) bool {
	if p.earliest.IsZero() || p.earliest.After(now) {
		return false
	}
	any := false
	p.earliest = time.Time{}
	for i := range p.runs {
		r := &p.runs[i]
		if r.state != share.Acquired || r.moving {
			continue
		}
		if !r.deadline.After(now) {
			r.release(p.Config.MaxDeliveries)
			any = true
		} else {
			p.expireBy(r.deadline)
		}
	}
	if any {
		p.urgent = true
		p.tidy()
	}
	return any
}

// expireBy notes when a lock expires.
func (p *Partition) expireBy(t time.Time) {
	if p.earliest.IsZero() || t.Before(p.earliest) {
		p.earliest = t
	}
}
