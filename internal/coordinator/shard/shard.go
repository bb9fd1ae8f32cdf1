package shard

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/invariant"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
)

// Options are a shard's. Topic and Machine must be set.
type Options struct {
	Partition     model.TopicPartition // for errors
	Topic         *schema.Topic
	Machine       Machine
	MaxBatchBytes int           // max.message.bytes of the topic
	Patience      time.Duration // after which replies that wait are called with ErrTimedOut
	// Leads tells whether this broker leads the partition in the shard's epoch, as far as it can know. It is asked before an answer
	// leaves that no append of that epoch vouches for: somebody else may have answered otherwise by then (G1, R6). Nil: it does.
	Leads func() error
	// Effect is told what is to be done elsewhere. It must neither block nor call the shard. Nil: the machine has no effects.
	Effect func(Effect)
}

type state uint8

const (
	loading state = iota
	serving
	ended
)

// recheck is how often it is looked whether the wall clock may be trusted again.
const recheck = time.Minute

// Shard is one partition of a coordinator's topic, in one leader epoch.
type Shard struct {
	o         Options
	state     state
	err       error
	end       model.Offset // after the last record that was applied
	watermark model.Offset // below it all is settled

	batches []*batch  // oldest first
	taken   int       // so many of them are on their way
	asked   bool      // of the last one taken the log has not said whether it accepts it
	encoded []encoded // of the result at hand
	builder *record.Builder

	replies   []waiting // with their effects; by what they wait for, and by when they were decided
	impatient time.Time // when the first of them may be told to ask again; zero: none waits
	timers    timers

	skipped  int
	unpacked []byte
}

// waiting is a reply to be called, and effects to be done, when the record at needs is settled.
type waiting struct {
	reply    func(error) // nil: none, or called already
	effects  []Effect
	needs    model.Offset
	vouched  bool // records of its own are appended in the shard's epoch
	deadline time.Time
}

// New returns a shard that is to be loaded: Replay what the log holds below an offset up to which all is safe, then Serve. What is
// decided will be appended from that offset on.
func New(o Options, until model.Offset) *Shard {
	o.Machine.Settle(until)
	return &Shard{o: o, watermark: until, timers: timers{byKey: make(map[TimerKey]*timer)}, builder: new(record.Builder)}
}

// Configure changes how large batches may be, from the next decision on.
func (s *Shard) Configure(maxBatchBytes int) { s.o.MaxBatchBytes = maxBatchBytes }

// EndOffset is the offset of the next record.
func (s *Shard) EndOffset() model.Offset { return s.end }

// Ended tells whether the shard has ended, and why if nobody asked for it.
func (s *Shard) Ended() (bool, error) { return s.state == ended, s.err }

// Do has a request decided. If it cannot be decided here, refuse is called instead, with ErrLoading or ErrNotCoordinator.
func (s *Shard) Do(now time.Time, decide func(now time.Time) Result, refuse func(error)) {
	switch s.state {
	case loading:
		refuse(ErrLoading)
	case ended:
		refuse(ErrNotCoordinator)
	default:
		s.perform(now, decide(now))
	}
}

// OnImage tells of a change of the metadata. Those before Serve are in the image that is given there.
func (s *Shard) OnImage(now time.Time, im *image.Image, d *image.Delta) {
	if s.state == serving {
		s.perform(now, s.o.Machine.OnImage(now, im, d))
	}
}

// Next is when Tick is to be called; false: not before something else happens.
func (s *Shard) Next() (time.Time, bool) {
	next := s.impatient
	if len(s.timers.heap) > 0 && (next.IsZero() || s.timers.heap[0].At.Before(next)) {
		next = s.timers.heap[0].At
	}
	return next, s.state == serving && !next.IsZero()
}

// Tick lets time pass: timers whose time has come, and replies that have waited too long. cleared tells that the wall clock in now has
// not leapt; otherwise timers that go by it are put off.
func (s *Shard) Tick(now time.Time, cleared bool) {
	if s.state != serving {
		return
	}
	s.timeOut(now)
	for s.state == serving {
		t, ok := s.timers.due(now)
		if !ok {
			return
		}
		if t.Wall && !cleared {
			t.At = now.Add(recheck)
			s.timers.set(t)
			continue
		}
		s.perform(now, s.o.Machine.OnTimer(now, t.Key))
	}
}

// perform does what was decided, and then what has waited for it.
func (s *Shard) perform(now time.Time, r Result) {
	s.carryOut(now, &r)
	for _, n := range r.Next {
		s.Do(now, n.Decide, n.Refuse)
	}
}

func (s *Shard) carryOut(now time.Time, r *Result) {
	for _, c := range r.Timers {
		if !c.At.IsZero() && !c.At.After(now) {
			c.At = now.Add(1) // with the next tick: requests wait meanwhile
		}
		s.timers.set(c)
	}
	if len(r.Records) == 0 && r.Marker == nil {
		s.wait(now, waiting{reply: r.Reply, effects: r.Effects, needs: r.Sees})
		return
	}
	first, w := s.end, waiting{reply: r.Reply, effects: r.Effects, vouched: true}
	size, err := s.encode(now, r.Records)
	if err := s.apply(now, r); err != nil {
		s.fail(fmt.Errorf("what was decided cannot be applied: %w", err))
		w.answer(ErrNotCoordinator)
		return
	}
	if err != nil { // the machine has to hear of it: it may have changed what is not replicated
		s.o.Machine.Revert(first)
		s.end = first
		w.answer(err)
		return
	}
	s.gather(first, size, r)
	w.needs = s.end - 1
	s.wait(now, w)
}

// wait lets a reply and effects wait, if they have to.
func (s *Shard) wait(now time.Time, w waiting) {
	switch {
	case w.reply == nil && len(w.effects) == 0:
		return
	case w.needs < s.watermark:
		s.release(w)
		return
	case w.needs >= s.end:
		invariant.Failf("G1: a reply waits for record %d, the log of %s ends at %d", w.needs, s.o.Partition, s.end)
	}
	if w.deadline = now.Add(s.o.Patience); w.reply != nil && s.impatient.IsZero() {
		s.impatient = w.deadline
	}
	at := len(s.replies)
	for at > 0 && s.replies[at-1].needs > w.needs {
		at--
	}
	s.replies = slices.Insert(s.replies, at, w)
}

// release calls a reply whose time has come, and has its effects done.
func (s *Shard) release(w waiting) {
	if !w.vouched && w.reply != nil && s.o.Leads != nil && s.o.Leads() != nil {
		w.answer(ErrNotCoordinator)
	}
	w.answer(nil)
	s.effect(w)
}

// effect has effects done. Who does not lead any more is found out by whom they reach.
func (s *Shard) effect(w waiting) {
	for _, e := range w.effects {
		s.o.Effect(e)
	}
}

// answer calls the reply, once.
func (w *waiting) answer(err error) {
	if f := w.reply; f != nil {
		w.reply = nil
		f(err)
	}
}

// timeOut answers those who have waited too long. Their records stay, and their effects go on waiting.
func (s *Shard) timeOut(now time.Time) {
	if s.impatient.IsZero() || s.impatient.After(now) {
		return
	}
	s.impatient = time.Time{}
	var late []waiting
	kept := s.replies[:0]
	for _, w := range s.replies {
		switch {
		case w.reply == nil:
		case !w.deadline.After(now):
			late = append(late, w)
			w.reply = nil
		case s.impatient.IsZero() || w.deadline.Before(s.impatient):
			s.impatient = w.deadline
		}
		if w.reply != nil || len(w.effects) > 0 {
			kept = append(kept, w)
		}
	}
	clear(s.replies[len(kept):])
	s.replies = kept
	answer(late, ErrTimedOut)
}

func answer(ws []waiting, err error) {
	for _, w := range ws {
		w.answer(err)
	}
}

// split takes out those who wait for what is below an offset.
func (s *Shard) split(below model.Offset) []waiting {
	out := slices.Clone(s.replies[:s.waitBelow(below)])
	s.part(below, func(waiting) {})
	return out
}

// part has something done for each of those who wait for what is below an offset, and takes them out.
func (s *Shard) part(below model.Offset, each func(waiting)) {
	n := s.waitBelow(below)
	for _, w := range s.replies[:n] {
		each(w)
	}
	s.replies = slices.Delete(s.replies, 0, n)
}

// waitBelow is how many wait for what is below an offset.
func (s *Shard) waitBelow(offset model.Offset) int {
	n := 0
	for n < len(s.replies) && s.replies[n].needs < offset {
		n++
	}
	return n
}

// End ends the shard: this broker does not lead the partition any more, or it does in another epoch. Everybody is answered with
// ErrNotCoordinator.
func (s *Shard) End() {
	if s.state == ended {
		return
	}
	s.state = ended
	all := s.replies
	s.replies, s.batches, s.taken, s.asked, s.timers = nil, nil, 0, false, timers{}
	answer(all, ErrNotCoordinator)
	s.o.Machine.End()
}

// fail ends a shard whose memory and log have parted.
func (s *Shard) fail(err error) {
	if s.state != ended {
		s.err = fmt.Errorf("%s: %w", s.o.Partition, err)
		s.End()
	}
}
