package stream

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/link"
	"chronik/internal/mem"
	"chronik/internal/replication"
)

// Receiver is all that this broker follows of one leader broker, over one link after the other. It is the Owner of the link.Dialer that
// keeps the link.
type Receiver struct {
	// Observe, if not nil, hears that the link is up (nil), was lost, or could not be made.
	Observe func(err error)

	mu     sync.Mutex
	link   *link.Link // nil if there is none
	routes map[*Route]struct{}
	byNum  map[replication.Subscription]*Route // of what was sent over the present link
	ready  []*Route
}

var _ link.Owner = (*Receiver)(nil)

// NewReceiver makes a Receiver that follows nothing.
func NewReceiver() *Receiver {
	return &Receiver{routes: make(map[*Route]struct{}), byNum: make(map[replication.Subscription]*Route)}
}

// Route is one followed partition on a Receiver.
type Route struct {
	receiver  *Receiver
	partition Following
	queued    atomic.Bool // it is among the receiver's ready routes, or about to be

	// Guarded by the receiver's mutex.
	ask    replication.Subscribe
	asking bool // ask is to be sent
	number replication.Subscription
	over   bool // number was sent over the present link
	closed bool
}

// Follow adds a partition. Close ends it.
func (r *Receiver) Follow(p Following) *Route {
	route := &Route{receiver: r, partition: p}
	r.mu.Lock()
	r.routes[route] = struct{}{}
	r.mu.Unlock()
	return route
}

// Subscribe sends the question to the leader, when there is a link. One that was not sent yet is forgotten for it.
func (o *Route) Subscribe(m replication.Subscribe) {
	r := o.receiver
	r.mu.Lock()
	o.ask, o.asking = m, !o.closed
	r.mu.Unlock()
	o.Wake()
}

// Wake says that Report may have something. It is cheap if that is known already, and does not block.
func (o *Route) Wake() {
	if o.queued.Swap(true) {
		return
	}
	r := o.receiver
	r.mu.Lock()
	r.ready = append(r.ready, o)
	l := r.link
	r.mu.Unlock()
	if l != nil {
		l.Wake()
	}
}

// Close ends the route: the partition is not followed from this leader any more. A call of its Following may still be on its way.
func (o *Route) Close() {
	r := o.receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	o.closed, o.asking = true, false
	delete(r.routes, o)
	if o.over {
		delete(r.byNum, o.number)
	}
}

// Up takes a new link.
func (r *Receiver) Up(l *link.Link, _ uint64) link.Session {
	r.mu.Lock()
	r.link = l
	r.mu.Unlock()
	if r.Observe != nil {
		r.Observe(nil)
	}
	l.Wake() // there may be questions that have waited for it
	return &receiving{receiver: r}
}

// Down is reported: the partitions have heard of it when the session was closed.
func (r *Receiver) Down(_ uint64, reason error) { r.Failed(reason, 0) }

// Failed is reported.
func (r *Receiver) Failed(err error, _ time.Duration) {
	if r.Observe != nil {
		r.Observe(err)
	}
}

// receiving is the Session of one link.
type receiving struct {
	receiver *Receiver

	// The writer's own.
	turns    turns[Route]
	asks     []byte
	progress []byte
	report   Report
}

// Frame takes what the leader says.
func (s *receiving) Frame(kind byte, body []byte, buf *mem.Buf) error {
	d := decoder{b: body}
	switch kind {
	case frameBatches:
		m := d.batches()
		if err := d.err("batches"); err != nil {
			return err
		}
		if o := s.route(m.Subscription); o != nil {
			o.partition.Batches(m, buf)
		}
		return nil
	case frameWatermarks:
		for d.more() {
			m := d.watermark()
			if err := d.err("watermarks"); err != nil {
				return err
			}
			if o := s.route(m.Subscription); o != nil {
				o.partition.Watermark(m)
			}
		}
		return nil
	case frameAnswers:
		for d.more() {
			a := d.answer()
			if err := d.err("answers"); err != nil {
				return err
			}
			if o := s.route(a.About().Subscription); o != nil {
				o.partition.Answer(a)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: a leader sent a frame of type %d", ErrMessage, kind)
}

// Drained has nothing to do: who has something to tell has woken his route.
func (s *receiving) Drained() {}

// route finds who has subscribed; nil if it has subscribed anew, or is not followed any more.
func (s *receiving) route(n replication.Subscription) *Route {
	s.receiver.mu.Lock()
	defer s.receiver.mu.Unlock()
	return s.receiver.byNum[n]
}

// Fill sends the questions and reports of all routes that were woken, in as few frames as they fit into.
func (s *receiving) Fill(out *link.Batch) (more bool) {
	r := s.receiver
	for !out.Full() {
		o := s.turns.pop(&r.mu, &r.ready)
		if o == nil {
			break
		}
		o.queued.Store(false)
		if !s.subscribe(o) {
			continue
		}
		s.report = Report{}
		o.partition.Report(&s.report)
		if s.report.HasAck || s.report.HasCredit {
			s.progress = appendProgress(s.progress, &s.report)
		}
		if s.flush(out, listBytes) != nil {
			break // cannot be: a list is far below the limit
		}
	}
	_ = s.flush(out, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ready) > 0 || !s.turns.empty()
}

// subscribe takes the question that a route has, if it has one. From here on it counts as sent. It is false if the route is closed.
func (s *receiving) subscribe(o *Route) bool {
	r := s.receiver
	r.mu.Lock()
	defer r.mu.Unlock()
	if !o.asking {
		return !o.closed
	}
	if o.over {
		delete(r.byNum, o.number)
	}
	o.asking, o.over, o.number = false, true, o.ask.Subscription
	r.byNum[o.number] = o
	s.asks = appendSubscribe(s.asks, &o.ask)
	return true
}

func (s *receiving) flush(out *link.Batch, least int) (err error) {
	if s.asks, err = flush(out, frameSubscribes, s.asks, least); err == nil {
		s.progress, err = flush(out, frameProgress, s.progress, least)
	}
	return err
}

// Closed tells all partitions that have subscribed over the link that it is lost. What they want to ask next is for the next link, unless it was
// asked before they knew: the core will ask again.
func (s *receiving) Closed(error) {
	r := s.receiver
	var lost []*Route
	r.mu.Lock()
	r.link = nil
	r.ready = append(r.ready, s.turns.rest()...) // their turn is on the next link
	clear(r.byNum)
	for o := range r.routes {
		if o.over {
			o.over, o.asking = false, false
			lost = append(lost, o)
		}
	}
	r.mu.Unlock()
	for _, o := range lost {
		o.partition.LinkLost()
	}
}
