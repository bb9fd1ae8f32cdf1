package sharepartition

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/invariant"
	"chronik/internal/model"
)

// What acknowledgements are refused with, besides what closed the partition or failed a write.
var (
	// ErrInvalidRequest is Kafka's INVALID_REQUEST: offsets that cannot have been acquired, or acknowledgements that make no sense.
	ErrInvalidRequest = errors.New("the acknowledgement makes no sense")
	// ErrInvalidRecordState is Kafka's INVALID_RECORD_STATE: the records are not the member's, or not any more.
	ErrInvalidRecordState = errors.New("the member has not acquired the records, or not any more")
)

// Config is the group's configuration. It may change at any time, for what is decided from then on.
type Config struct {
	LockDuration  time.Duration // share.record.lock.duration.ms
	MaxDeliveries int16         // share.delivery.count.limit
	MaxInFlight   int           // share.partition.max.record.locks: most that lies between Start and Next
	Renew         bool          // share.renew.acknowledge.enable
}

// Partition is one partition as one share group reads it.
type Partition struct {
	Config      Config
	stateEpoch  int32
	leaderEpoch int32

	start, next model.Offset
	saved       model.Offset // the start that is written
	runs        []run        // from start to next, without holes
	earliest    time.Time    // no lock expires before; zero: there is none

	founded bool         // the first start is written
	urgent  bool         // there is something that somebody waits for to be written
	sent    bool         // a write is on its way
	saving  model.Offset // its start
	queued  []waiter
	asked   []waiter // for whom the write on its way answers
	closed  error
}

// waiter is an acknowledgement that is answered when it is written.
type waiter func(error)

// New returns a partition whose state the coordinator has returned to this leader's Read. Where Start is not known there, the group
// begins at reset, which is what Reset.Resolve says.
func New(c Config, leaderEpoch int32, s share.State, reset model.Offset) (*Partition, error) {
	p := &Partition{Config: c, leaderEpoch: leaderEpoch, stateEpoch: s.StateEpoch, start: s.Start, founded: true}
	if s.Start == model.NoOffset {
		p.start, p.founded, p.urgent = reset, false, true
	}
	p.next, p.saved = p.start, s.Start
	for _, b := range s.Batches {
		if b.Last < p.start {
			continue
		}
		b.First = max(b.First, p.start)
		if b.First < p.next || b.First > b.Last {
			return nil, fmt.Errorf("the state of the share partition has records %d to %d after %d: its batches are not in order", b.First, b.Last, p.next-1)
		}
		p.extend(b.First-1, share.Available) // given to somebody, and nothing was heard of them since
		state := b.State
		if !state.Final() {
			state = share.Available
		}
		p.runs = append(p.runs, run{first: b.First, last: b.Last, state: state, deliveries: max(0, b.Deliveries)})
		p.next = b.Last + 1
	}
	p.tidy()
	return p, nil
}

// Start is the first record that is not done with.
func (p *Partition) Start() model.Offset { return p.start }

// Next is the first record that was never in flight.
func (p *Partition) Next() model.Offset { return p.next }

// InFlight is how many records lie between Start and Next.
func (p *Partition) InFlight() int { return int(p.next - p.start) }

// Complete is how many of the records in flight are acknowledged or archived, so that the group's lag can be told.
func (p *Partition) Complete() int32 {
	n := int64(0)
	for i := range p.runs {
		if r := &p.runs[i]; r.state.Final() {
			n += r.len()
		}
	}
	return int32(n)
}

// Closed is why nothing is decided any more, nil while it is.
func (p *Partition) Closed() error { return p.closed }

// NextFetch is from where the log is to be read for the next member; false: there is nothing to give, until a write is answered, a
// lock expires or something is acknowledged.
func (p *Partition) NextFetch() (model.Offset, bool) {
	if p.closed != nil || !p.founded {
		return model.NoOffset, false
	}
	for i := range p.runs {
		if p.runs[i].free() {
			return p.runs[i].first, true
		}
	}
	return p.next, p.InFlight() < p.Config.MaxInFlight
}

// NextExpiry is when Expire is to be called; false: not before something else happens.
func (p *Partition) NextExpiry() (time.Time, bool) { return p.earliest, !p.earliest.IsZero() }

// LogStart says where the log begins: what is before is gone. It is to be called before the first NextFetch, and when the
// log refuses to be read at an offset that is too small.
func (p *Partition) LogStart(off model.Offset) {
	if off <= p.start || p.closed != nil {
		return
	}
	if off >= p.next {
		p.runs, p.next = p.runs[:0], off
	} else {
		p.runs = append(p.runs[:0], p.runs[p.split(off):]...)
	}
	p.start = off
	p.tidy()
}

// Close ends the partition: it is led in another epoch, or elsewhere. Who waits is told why.
func (p *Partition) Close(err error) {
	if p.closed != nil {
		return
	}
	p.closed = err
	all := append(p.asked, p.queued...)
	p.runs, p.asked, p.queued, p.earliest, p.sent, p.urgent = nil, nil, nil, time.Time{}, false, false
	for _, w := range all {
		w(err)
	}
}

// check verifies what must always be so.
func (p *Partition) check() {
	at := p.start
	for i := range p.runs {
		r := &p.runs[i]
		if r.first != at || r.last < r.first {
			invariant.Failf("a run from %d to %d follows %d in the share partition from %d to %d", r.first, r.last, at, p.start, p.next)
		}
		at = r.last + 1
	}
	if at != p.next {
		invariant.Failf("the share partition from %d to %d has runs up to %d", p.start, p.next, at)
	}
}
