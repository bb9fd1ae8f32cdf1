package sharepartition

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chronik/internal/coordinator/share"
	"chronik/internal/model"
)

var seeds = flag.Int("sharepartition.seeds", 400, "how many seeds TestModel runs")

const modelMembers = 4

// history is a world in which members acquire, acknowledge, fall silent, go and come back, while leaders fail, writes are lost or
// their answers are, and the log grows and loses its beginning.
type history struct {
	*world
	rand      *rand.Rand
	committed bool
	flying    *flight // the write on its way
	owner     map[model.Offset]claim
	count     map[model.Offset]int16 // deliveries that this leader has told of
	last      map[model.Offset]int   // to whom this leader has given it last
	done      map[model.Offset]bool  // acknowledged for good, and answered
	given     map[model.Offset]bool  // to anybody
	first     model.Offset           // where the group began
	start     model.Offset           // of this leader
	kept      model.Offset           // that a write was answered with
	asked     int
	answered  int
}

// claim is what a member believes to have.
type claim struct {
	member int
	until  time.Time
}

// flight is a write on its way; reached: the coordinator has it already.
type flight struct {
	write   share.WriteRequest
	reached bool
}

// fatal names the seed.
type fatal struct {
	testing.TB
	seed int
}

func (f fatal) Fatal(a ...any) { f.TB.Fatalf("seed %d: %s", f.seed, fmt.Sprint(a...)) }
func (f fatal) Fatalf(format string, a ...any) {
	f.TB.Fatalf("seed %d: %s", f.seed, fmt.Sprintf(format, a...))
}

// TestModel: a record has one owner at a time; what was acknowledged is never given again; the start only grows; whoever acknowledges
// is answered once; what nobody wants is never given; and when the faults end all records were given to somebody and are done with.
func TestModel(t *testing.T) {
	for seed := range *seeds {
		h := newHistory(fatal{t, seed}, uint64(seed))
		for range 150 {
			h.step()
		}
		h.calm()
	}
}

func newHistory(t testing.TB, seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, 0))
	c := Config{LockDuration: 10 * time.Second, MaxDeliveries: int16(2 + r.IntN(5)), MaxInFlight: 5 + r.IntN(60), Renew: r.IntN(2) == 0}
	h := &history{
		world: newWorld(t, c), rand: r, committed: r.IntN(2) == 0, done: make(map[model.Offset]bool), given: make(map[model.Offset]bool),
		owner: make(map[model.Offset]claim),
	}
	h.latest = r.IntN(2) == 0
	for range r.IntN(4) {
		h.grow()
	}
	h.take()
	return h
}

// take makes a new leader. Members keep what they have, and are refused when they say so.
func (h *history) take() {
	h.lead()
	h.flying, h.count, h.last = nil, make(map[model.Offset]int16), make(map[model.Offset]int)
	clear(h.owner)
	if h.start = h.p.Start(); h.start < h.kept {
		h.t.Fatalf("the start is %d, %d was written", h.start, h.kept)
	}
	if !h.p.founded {
		h.first = h.start
	}
}

// grew: the start only grows while one leader lasts.
func (h *history) grew() {
	if h.p.Start() < h.start {
		h.t.Fatalf("the start is %d, was %d", h.p.Start(), h.start)
	}
	h.start = h.p.Start()
}

func (h *history) grow() {
	b := LogBatch{Producer: model.ProducerID(h.rand.IntN(3)), Transactional: h.rand.IntN(2) == 0, Control: h.rand.IntN(6) == 0}
	n, hole := 1+h.rand.IntN(12), 0
	if h.rand.IntN(5) == 0 {
		hole = h.rand.IntN(6)
	}
	if b.Control {
		n, b.Transactional, b.Abort = 1, true, h.rand.IntN(2) == 0
	}
	h.append(hole, n, b)
	if b.Transactional && !b.Control && h.rand.IntN(3) == 0 {
		a := Aborted{b.Producer, h.log[len(h.log)-1].Base}
		h.append(0, 1, LogBatch{Producer: b.Producer, Transactional: true, Control: true, Abort: true})
		h.aborted = append(h.aborted, abort{a, h.end - 1})
	}
}

func (h *history) step() {
	switch n := h.rand.IntN(30); {
	case n < 4:
		h.grow()
	case n < 10:
		h.acquire(h.rand.IntN(modelMembers))
	case n < 17:
		h.acknowledge(h.rand.IntN(modelMembers))
	case n < 18:
		h.nonsense(h.rand.IntN(modelMembers))
	case n < 24:
		h.fly()
	case n < 26:
		h.advance(time.Duration(h.rand.IntN(8000)) * time.Millisecond)
	case n < 27:
		m := h.rand.IntN(modelMembers)
		h.p.Leave(name(m))
		h.drop(func(c claim) bool { return c.member == m })
	case n < 28 && h.rand.IntN(3) == 0:
		h.begin = min(h.end, h.begin+model.Offset(h.rand.IntN(20)))
		h.p.LogStart(h.begin)
	case n < 29 && h.rand.IntN(3) == 0:
		if h.rand.IntN(2) == 0 {
			h.p.Close(errors.New("led elsewhere"))
		} else {
			h.answered = h.asked // the leader has crashed: nobody is answered any more
		}
		h.take()
	case h.rand.IntN(10) == 0:
		h.p.Config.MaxDeliveries, h.p.Config.MaxInFlight = int16(1+h.rand.IntN(5)), 1+h.rand.IntN(40)
	}
	h.grew()
}

func name(m int) string { return fmt.Sprintf("m%d", m) }

func (h *history) drop(which func(claim) bool) {
	for off, c := range h.owner {
		if which(c) {
			delete(h.owner, off)
		}
	}
}

func (h *history) advance(d time.Duration) {
	h.now = h.now.Add(d)
	if at, ok := h.p.NextExpiry(); ok && !at.After(h.now) {
		h.p.Expire(h.now)
	}
}

// unwanted are the offsets that nobody is to be given.
func (h *history) unwanted() map[model.Offset]bool {
	out := make(map[model.Offset]bool)
	var aborted []Aborted
	if h.committed {
		aborted = h.abortedFrom(0)
	}
	at := model.Offset(0)
	for i, want := range wanted(h.log, aborted) {
		for ; at <= h.log[i].Last; at++ {
			out[at] = !want || at < h.log[i].Base
		}
	}
	return out
}

func (h *history) acquire(m int) {
	r := Request{Member: name(m), RecordLimit: h.rand.IntN(2) == 0, MaxRecords: 1 + h.rand.IntN(30), BatchSize: 1 + h.rand.IntN(10)}
	a := h.fetch(r, 1+h.rand.IntN(4), h.committed)
	n, unwanted := 0, h.unwanted()
	for _, x := range a.Ranges {
		for off := x.First; off <= x.Last; off++ {
			n++
			c, owned := h.owner[off]
			switch {
			case owned && h.now.Before(c.until):
				h.t.Fatalf("%d is given to %d, %d has it until %v, it is %v", off, m, c.member, c.until, h.now)
			case h.done[off]:
				h.t.Fatalf("%d is given to %d, it is acknowledged", off, m)
			case unwanted[off] || off < h.start || off >= h.end:
				h.t.Fatalf("%d is given, the records from %d to %d are to be", off, h.start, h.end)
			case x.Deliveries <= h.count[off]:
				h.t.Fatalf("%d is delivered for the %d. time after the %d.", off, x.Deliveries, h.count[off])
			}
			h.last[off] = m
			h.owner[off], h.count[off], h.given[off] = claim{m, h.now.Add(h.p.Config.LockDuration)}, x.Deliveries, true
		}
	}
	if n != a.Count || r.RecordLimit && n > r.MaxRecords {
		h.t.Fatalf("%d records are given, %d are counted, at most %d are wanted", n, a.Count, r.MaxRecords)
	}
}

// acknowledge says something of some of what a member believes to have.
func (h *history) acknowledge(m int) {
	var batches []AckBatch
	var offs []model.Offset
	for off, c := range h.owner {
		if c.member == m {
			offs = append(offs, off)
		}
	}
	slices.Sort(offs)
	said := make(map[model.Offset]AckType)
	same := AckType(h.rand.IntN(4))
	for _, off := range offs {
		if h.rand.IntN(8) == 0 {
			continue
		}
		t := same
		if h.rand.IntN(6) == 0 {
			t = AckType(h.rand.IntN(5))
		}
		if t == Renew && !h.p.Config.Renew {
			t = Accept
		}
		said[off] = t
		if n := len(batches); n > 0 && batches[n-1].Last+1 == off {
			batches[n-1].Last, batches[n-1].Types = off, append(batches[n-1].Types, t)
		} else {
			batches = append(batches, AckBatch{off, off, []AckType{t}})
		}
	}
	for i, b := range batches {
		if len(slices.Compact(slices.Clone(b.Types))) == 1 && h.rand.IntN(2) == 0 {
			batches[i].Types = b.Types[:1]
		}
	}
	h.say(m, batches, said)
}

func (h *history) say(m int, batches []AckBatch, said map[model.Offset]AckType) {
	h.asked++
	p, called, until := h.p, false, h.now.Add(h.p.Config.LockDuration)
	p.Acknowledge(h.now, name(m), batches, func(err error) {
		if called {
			h.t.Fatalf("an acknowledgement is answered twice")
		}
		if called = true; p == h.p || err != nil {
			h.answered++
		}
		if err != nil {
			return
		}
		for off, t := range said {
			switch t {
			case Renew:
				if c, ok := h.owner[off]; ok && c.member == m && c.until.Before(until) {
					h.owner[off] = claim{m, until}
				}
			case Release:
			default:
				h.done[off] = true
			}
		}
	})
	for off, t := range said { // who has acknowledged has given up
		if c, ok := h.owner[off]; ok && c.member == m && t != Renew {
			delete(h.owner, off)
		}
	}
}

// nonsense acknowledges anything: only what the member has may change.
func (h *history) nonsense(m int) {
	first := h.start + model.Offset(h.rand.IntN(20)) - 3
	b := AckBatch{first, first + model.Offset(h.rand.IntN(6)) - 1, []AckType{AckType(h.rand.IntN(6))}}
	said := make(map[model.Offset]AckType)
	for off := max(b.First, h.p.Start()); off <= b.Last; off++ {
		if last, ok := h.last[off]; !ok || last != m {
			b.Types[0] = Accept // must be refused
			h.asked++
			h.p.Acknowledge(h.now, name(m), []AckBatch{b}, func(err error) {
				h.answered++
				if err == nil {
					h.t.Fatalf("%s acknowledged %d, which it does not have", name(m), off)
				}
			})
			return
		}
		said[off] = b.Types[0]
	}
	h.say(m, []AckBatch{b}, said)
}

// fly takes a write, delivers it, or answers it, perhaps wrongly.
func (h *history) fly() {
	switch {
	case h.flying == nil:
		if w, ok := h.p.NextWrite(); ok {
			h.flying = &flight{write: w}
		}
	case !h.flying.reached && h.rand.IntN(4) > 0:
		if err := h.write(h.flying.write); err != nil {
			h.t.Fatalf("the coordinator has refused %+v: %v", h.flying.write, err)
		}
		h.flying.reached = true
	case h.flying.reached && h.rand.IntN(4) > 0:
		h.kept = max(h.kept, h.flying.write.Start)
		h.flying = nil
		h.p.Written(h.now, nil)
	default: // it is not known
		h.flying = nil
		h.p.Written(h.now, errors.New("no answer"))
	}
}

// calm ends the faults: all that is there is given and acknowledged in the end.
func (h *history) calm() {
	h.p.Config.MaxInFlight = 40
	for range 400 {
		for h.flying != nil {
			h.fly()
		}
		h.save()
		h.advance(5 * time.Second)
		h.acquire(0)
		for m := range modelMembers {
			h.acknowledge(m)
		}
	}
	h.save()
	h.grew()
	if h.start != h.end || h.p.InFlight() != 0 || h.asked != h.answered {
		h.t.Fatalf("the group has come to %d of %d, %d are in flight; %d requests, %d answers", h.start, h.end, h.p.InFlight(), h.asked, h.answered)
	}
	unwanted := h.unwanted()
	for off := max(h.first, h.begin); off < h.end; off++ {
		if !unwanted[off] && !h.given[off] {
			h.t.Fatalf("%d was given to nobody", off)
		}
	}
}
