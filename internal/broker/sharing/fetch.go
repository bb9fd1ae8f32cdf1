package sharing

import (
	"context"
	"errors"
	"time"

	"chronik/internal/broker/sharepartition"
	"chronik/internal/broker/sharesession"
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replica"
)

// answerBytes is how many bytes of records one answer has at most, whatever the member allows, unless the first batch alone is larger (KIP-74).
// Members have few records at a time, and these are copied.
const answerBytes = 1 << 20

// Leadership is a partition that this broker leads, and in which epoch.
type Leadership struct {
	Replica Replica
	Epoch   model.LeaderEpoch
}

// FetchRequest is a ShareFetch.
type FetchRequest struct {
	Session sharesession.Request
	// Lead finds a partition; the error tells why this broker does not lead it.
	Lead        func(sharesession.Partition) (Leadership, error)
	Acknowledge []Acknowledgement
	Deadline    time.Time // until when there are to be MinBytes
	MinBytes    int
	MaxBytes    int
	MaxRecords  int
	BatchSize   int
	RecordLimit bool // MaxRecords holds exactly (KIP-1206)
}

// Answer is what a member gets. Release must follow.
type Answer struct {
	Fetched      []Fetched
	Acknowledged []Outcome
	buf          *mem.Buf
}

// Fetched is what a member is given of a partition, or why it is not.
type Fetched struct {
	Partition sharesession.Partition
	Records   []byte // whole batches, of which the member has acquired some records; valid until Release
	Acquired  []sharepartition.Range
	Err       error
}

// Release gives back the memory of the records.
func (a *Answer) Release() {
	if a.buf != nil {
		a.buf.Release()
		a.buf = nil
	}
}

// Fetch does what a ShareFetch says. The error is that of the whole request, and then none of it was done, unless another request of the same member
// has come meanwhile.
func (s *Shares) Fetch(ctx context.Context, q FetchRequest) (*Answer, error) {
	s.mu.Lock()
	session, err := s.sessions.Fetch(q.Session)
	s.mu.Unlock()
	if err != nil {
		if errors.Is(err, sharesession.ErrLimit) {
			await(ctx, q.Deadline) // the member asks again at once
		}
		return nil, err
	}
	acknowledged := s.begin(q.Session.Key, q.Acknowledge)
	f := fetching{s: s, q: &q}
	if q.MaxBytes > 0 && q.MaxRecords > 0 {
		f.parts = session.Partitions
	}
	f.run(ctx)
	out := &Answer{buf: f.buf}
	if out.Acknowledged, err = acknowledged.wait(ctx); err == nil {
		err = s.include(session, f.found, out)
	}
	if session.Final {
		s.end(q.Session.Key)
	}
	if err != nil {
		f.giveBack()
		out.Release()
		return nil, err
	}
	return out, nil
}

// include puts into the answer what it has to name.
func (s *Shares) include(session *sharesession.Fetch, found []Fetched, out *Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := session.Current(); err != nil {
		return err
	}
	for i := range found {
		if got := &found[i]; session.Include(got.Partition, len(got.Acquired) > 0, got.Err != nil) {
			out.Fetched = append(out.Fetched, *got)
		}
	}
	return nil
}

// await waits until a time, or until nobody waits for the answer.
func await(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// fetching is one ShareFetch at work.
type fetching struct {
	s     *Shares
	q     *FetchRequest
	parts []sharesession.Partition
	leds  []*led // by partition, once found
	buf   *mem.Buf

	found   []Fetched
	bytes   int
	records int
	needs   int  // bytes of a first batch for which there is no room
	ready   bool // there is a partition of which records could be given, if it had any
	urgent  bool // an error: the member must hear it at once
}

// run looks, and waits until there is enough.
func (f *fetching) run(ctx context.Context) {
	f.leds = make([]*led, len(f.parts))
	if len(f.parts) == 0 || f.try(ctx, false) {
		return
	}
	f.park(ctx)
}

// park waits until there is enough, the time is over or the connection is gone. It registers before it looks again, so that nothing that happens in between
// is missed.
func (f *fetching) park(ctx context.Context) {
	released, grown := make(chan struct{}, 1), replica.NewWatcher()
	for _, l := range f.leds {
		l.watch(released)
		defer l.unwatch(released)
		l.replica.Watch(grown)
		defer l.replica.Unwatch(grown)
	}
	timer := time.NewTimer(time.Until(f.q.Deadline))
	defer timer.Stop()
	for !f.try(ctx, false) {
		select {
		case <-released:
		case <-grown.C():
		case <-timer.C:
			f.try(ctx, true)
			return
		case <-ctx.Done():
			return
		}
	}
}

// try looks once, and tells whether that is enough. The last time what there is is enough.
func (f *fetching) try(ctx context.Context, last bool) bool {
	if !last && f.q.MinBytes > 1 && f.estimate() < f.q.MinBytes && !f.urgent {
		return false
	}
	for need := min(f.q.MaxBytes, answerBytes); ; need = f.needs {
		if !f.grant(ctx, need) {
			return true // the time is over
		}
		f.look()
		if f.needs == 0 {
			break
		}
		f.buf.Release() // for a larger one, and not while this one is held: others may wait, too
		f.buf = nil
	}
	f.shrink()
	return f.urgent || f.records > 0 || f.ready && f.q.MinBytes <= 0
}

// grant gets memory; false: there was none in time.
func (f *fetching) grant(ctx context.Context, need int) bool {
	var ok bool
	if f.buf, ok = f.s.memory.TryAcquire(need); ok {
		return true
	}
	ctx, cancel := context.WithDeadline(ctx, f.q.Deadline)
	defer cancel()
	buf, err := f.s.memory.Acquire(ctx, need)
	if errors.Is(err, mem.ErrOverBudget) { // a batch as it can hardly be: it is not counted, so that the member gets on
		buf, err = mem.Get(need), nil
	}
	f.buf = buf
	return err == nil
}

// giveBack releases what was acquired for an answer that nobody gets: who ended the session meanwhile did not know of it.
func (f *fetching) giveBack() {
	for i := range f.found {
		batches := make([]sharepartition.AckBatch, len(f.found[i].Acquired))
		for j, r := range f.found[i].Acquired {
			batches[j] = sharepartition.AckBatch{First: r.First, Last: r.Last, Types: []sharepartition.AckType{sharepartition.Release}}
		}
		if l := f.leds[i]; len(batches) > 0 {
			l.tell(func(now time.Time) {
				l.acknowledge(now, f.q.Session.Key.Member, batches, func(error) {})
				l.stirred = true
			})
		}
	}
}

// shrink gives back the memory that was not needed.
func (f *fetching) shrink() {
	old := f.buf
	if f.bytes*4 > len(old.Bytes()) {
		return
	}
	f.buf = nil
	if f.bytes > 0 {
		buf, ok := f.s.memory.TryAcquire(f.bytes)
		if !ok {
			f.buf = old
			return
		}
		to := buf.Bytes()[:0]
		for i := range f.found {
			got := &f.found[i]
			at := len(to)
			to = append(to, got.Records...)
			got.Records = to[at:len(to):len(to)]
		}
		f.buf = buf
	}
	old.Release()
}

// look asks each partition once what it has for the member.
func (f *fetching) look() {
	f.found, f.bytes, f.records, f.needs, f.ready = f.found[:0], 0, 0, 0, false
	for i, p := range f.parts {
		got := Fetched{Partition: p}
		var out taken
		got.Err = f.in(i, func(l *led, now time.Time) { out = l.take(now, f.want()) })
		if got.Err == nil {
			got.Err = out.err
		}
		got.Records, got.Acquired = out.records, out.ranges
		f.found = append(f.found, got)
		f.bytes, f.records = f.bytes+len(out.records), f.records+out.count
		f.ready, f.urgent = f.ready || out.ready, f.urgent || got.Err != nil
		if f.needs = out.needs; f.needs > 0 {
			return
		}
	}
}

// want is what the next partition is asked for.
func (f *fetching) want() want {
	all := f.buf.Bytes()
	return want{
		member: f.q.Session.Key.Member, recordLimit: f.q.RecordLimit, maxRecords: f.q.MaxRecords - f.records, batchSize: f.q.BatchSize,
		minOne: f.bytes == 0, into: all[f.bytes:f.bytes:len(all)],
	}
}

// estimate is how many bytes of records there may be for the member.
func (f *fetching) estimate() (bytes int) {
	for i := range f.parts {
		err := f.in(i, func(l *led, _ time.Time) { bytes += l.peek(min(f.q.MaxBytes, answerBytes) - bytes) })
		f.urgent = f.urgent || err != nil
	}
	return bytes
}

// in does something in turn of a partition. What was found to lead it is asked again, so that the member hears why it does not any more.
func (f *fetching) in(i int, event func(l *led, now time.Time)) error {
	for {
		if f.leds[i] == nil {
			of, err := f.q.Lead(f.parts[i])
			if err == nil {
				f.leds[i], err = f.s.find(f.q.Session.Key.Group, f.parts[i], of)
			}
			if err != nil {
				return err
			}
		}
		l := f.leds[i]
		err := l.run(func(now time.Time) {
			l.unused = false
			event(l, now)
		})
		if !errors.Is(err, errUnused) {
			return err
		}
		f.leds[i] = nil
	}
}
