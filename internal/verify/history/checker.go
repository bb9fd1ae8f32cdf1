package history

import (
	"cmp"
	"fmt"
	"time"
)

// Options of a Checker. The zero value keeps everything in memory.
type Options struct {
	Spill       Spill // where pages go that are not used; nil: nowhere
	MemoryPages int   // pages of 32 KiB in memory if there is a Spill; 0: 2,048
}

// Checker takes a history event by event.
type Checker struct {
	pages      *pages
	now        time.Duration // of the event being taken
	producers  map[int32]*producer
	partitions map[int32]*partition
	positions  map[reader]*position
	found      map[Kind]*Findings
	gaps       map[int32]*gaps
	counts     Counts
}

// Counts is how much a history holds.
type Counts struct {
	Invoked int64 `json:"invoked"`
	Acked   int64 `json:"acknowledged"`
	Failed  int64 `json:"failed"`
	Unknown int64 `json:"unknown"`
	Polled  int64 `json:"polled"` // records shown to consumers
	Read    int64 `json:"read"`   // records of the final read
	Foreign int64 `json:"foreign"`
}

type producer struct {
	rules Producer
	last  int64 // sequence that was invoked last
}

// partition is what is known of one, beside its places.
type partition struct {
	number     int32
	base       int64 // offsets below it were there before
	top        int64 // one past the highest offset that is known
	start, end int64 // of the final read
	complete   bool
	leader     int32 // last seen, -1: none was ever
	epoch      int64 // the newest that was seen, with a leader or without
	moved      bool  // to another node, or perhaps and back
	movedAt    time.Duration
	skips      []skip // at most maxKept
}

type skip struct {
	client   int32
	from, to int64 // offsets, to is exclusive
	at       time.Duration
}

type reader struct{ client, partition int32 }

type position struct {
	next      int64
	set       bool
	watermark int64
	listed    int64
}

// NewChecker begins a history.
func NewChecker(o Options) *Checker {
	return &Checker{
		pages: newPages(cmp.Or(o.MemoryPages, 2048), o.Spill), producers: map[int32]*producer{}, partitions: map[int32]*partition{},
		positions: map[reader]*position{}, found: map[Kind]*Findings{}, gaps: map[int32]*gaps{},
	}
}

// Add takes the next event. An error is about the history, which cannot have happened, or about the spill; not about what was tested.
func (c *Checker) Add(e *Event) error {
	if c.pages.err != nil {
		return c.pages.err
	}
	c.now = e.Time
	if e.Partition < 0 || e.Offset < -1 {
		return fmt.Errorf("%s: partition %d, offset %d: neither may be negative", e.Kind, e.Partition, e.Offset)
	}
	for _, r := range e.Runs {
		if r.Offset < 0 {
			return fmt.Errorf("%s: records at offset %d", e.Kind, r.Offset)
		}
	}
	p := c.partition(e.Partition)
	var err error
	switch e.Kind {
	case Opened:
		p.base, p.top = e.End, e.End
	case Producing:
		err = c.producing(e)
	case Invoked, Acked, Failed, Unknown:
		err = c.settle(p, e)
	case Positioned:
		*c.position(e) = position{next: e.Offset, set: true, watermark: c.position(e).watermark, listed: c.position(e).listed}
	case Polled:
		c.polled(p, e)
	case OutOfRange, Truncated, Listed:
		c.bounds(p, e)
	case Led:
		p.led(e)
	case FinalRead:
		for _, r := range e.Runs {
			c.see(p, e, r, byFinal)
		}
	case FinalBounds:
		p.start, p.end, p.complete = e.Start, e.End, true
	default:
		err = fmt.Errorf("%q is no kind of event", e.Kind)
	}
	return cmp.Or(err, c.pages.err)
}

func (c *Checker) partition(number int32) *partition {
	p := c.partitions[number]
	if p == nil {
		p = &partition{number: number, leader: -1}
		c.partitions[number] = p
		c.gaps[number] = new(gaps)
	}
	return p
}

func (c *Checker) position(e *Event) *position {
	k := reader{e.Client, e.Partition}
	if c.positions[k] == nil {
		c.positions[k] = &position{watermark: -1, listed: -1}
	}
	return c.positions[k]
}

func (c *Checker) rules(v Value) Producer {
	if p := c.producers[v.Producer]; p != nil {
		return p.rules
	}
	return Producer{}
}

// led takes who leads in an epoch. In one that nobody has seen another node may have led, also where the same one leads before and after.
func (p *partition) led(e *Event) {
	if e.Offset < p.epoch { // told by somebody who has not heard of the newest yet
		return
	}
	unseen := e.Offset > p.epoch+1
	p.epoch = e.Offset
	if p.leader >= 0 && (unseen || e.Client >= 0 && e.Client != p.leader) {
		p.moved, p.movedAt = true, e.Time
	}
	if e.Client >= 0 {
		p.leader = e.Client
	}
}

func (c *Checker) producing(e *Event) error {
	if e.Producer == nil || e.Client < 0 || e.Client >= maxProducers || c.producers[e.Client] != nil {
		return fmt.Errorf("producer %d: given without its settings, twice, or not from 0 to %d", e.Client, maxProducers-1)
	}
	if a := e.Producer.Acks; a != 1 && a != -1 {
		return fmt.Errorf("producer %d: acks=%d promises nothing that could be checked: use 1 or -1", e.Client, a)
	}
	c.producers[e.Client] = &producer{rules: *e.Producer}
	return nil
}

// settle takes a write's invocation or outcome.
func (c *Checker) settle(p *partition, e *Event) error {
	pr := c.producers[e.Value.Producer]
	if pr == nil || !e.Value.known() {
		return fmt.Errorf("%s: record %s is of no producer of this history", e.Kind, e.Value)
	}
	w := c.write(e.Value)
	if want := map[bool]outcome{true: never, false: open}[e.Kind == Invoked]; w.outcome != want {
		return fmt.Errorf("%s: record %s is already %s", e.Kind, e.Value, w.outcome)
	}
	if e.Kind != Invoked && w.partition != e.Partition {
		return fmt.Errorf("%s: record %s was for partition %d, not %d", e.Kind, e.Value, w.partition, e.Partition)
	}
	w.done = e.Time
	switch e.Kind {
	case Invoked:
		w = write{outcome: open, partition: e.Partition, invoked: e.Time}
		pr.last = max(pr.last, e.Value.Seq)
		c.counts.Invoked++
		c.gaps[p.number].begin(e.Time)
	case Acked:
		w.outcome, w.offset = acked, e.Offset
		c.counts.Acked++
		c.gaps[p.number].ack(p.number, e.Time)
	case Failed:
		w.outcome = failed
		c.counts.Failed++
	case Unknown:
		w.outcome = unknown
		c.counts.Unknown++
	}
	c.setWrite(e.Value, w)
	switch {
	case e.Kind == Acked:
		c.acknowledged(p, e.Value, w)
	case e.Kind == Failed && w.seen > 0:
		c.report(Ghost, p.number, w.seen-1, []Value{e.Value}, "record %s is at offset %d, and its producer was then told that it is not written (%s)", e.Value, w.seen-1, e.Reason)
	}
	return nil
}

// acknowledged holds the place of an acknowledgement against what is known of that offset.
func (c *Checker) acknowledged(p *partition, v Value, w write) {
	if w.offset < p.base {
		c.report(Inconsistent, p.number, w.offset, []Value{v}, "record %s was acknowledged at offset %d, where another record had been before it was sent", v, w.offset)
		return
	}
	p.top = max(p.top, w.offset+1)
	was := c.place(p, w.offset)
	switch {
	case !was.has(occupied):
		c.setPlace(p, w.offset, placeOf(v, byAck))
	case was.value() == v:
		c.setPlace(p, w.offset, was|byAck)
	case c.rules(v).Acks == 1: // the loss of one of the two may be allowed: judged at the end
	case was.has(byPoll|byFinal) || c.rules(was.value()).Acks != 1:
		c.report(Inconsistent, p.number, w.offset, []Value{was.value(), v}, "offset %d was acknowledged for record %s, and %s record %s", w.offset, v, was.how(), was.value())
	default:
		c.setPlace(p, w.offset, placeOf(v, byAck))
	}
}

// how says what is known about a place.
func (p place) how() string {
	switch {
	case p.has(byPoll):
		return "a consumer was shown there"
	case p.has(byFinal):
		return "the final read found there"
	}
	return "it was also acknowledged for"
}

// Counts returns how much the history holds so far.
func (c *Checker) Counts() Counts { return c.counts }
