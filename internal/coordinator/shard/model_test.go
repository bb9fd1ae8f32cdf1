package shard

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

var seeds = flag.Int("shard.seeds", 2000, "how many seeds TestModel runs")

const (
	modelCells    = 5
	modelMaxBytes = 400 // three records or four
	modelPatience = 10 * time.Second
)

var (
	errRefused = errors.New("refused")
	errFew     = errors.New("too few replicas")
)

// world is a log that refuses, loses, and is slow to settle, and what a shard on it must not do.
type world struct {
	t         *testing.T
	seed      uint64
	rand      *rand.Rand
	now       time.Time
	s         *Shard
	m         *cells
	log       []item // as it was read back from the batches
	watermark model.Offset
	pending   []item // decided, and not in the log
	asked     []*question
	next      model.Offset
	leads     bool
}

// question is a request and what became of it.
type question struct {
	number  int
	at      time.Time
	records []item
	first   model.Offset // of the records
	needs   model.Offset
	wrong   error // what it must be told
	told    bool
	effect  bool // it has one
	done    bool // which was done
	refused bool
	over    bool // its shard has ended
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: %s", w.seed, fmt.Sprintf(format, args...))
}

// TestModel: no reply before its records are settled, none twice, none lost, whatever the log does; and memory is what the log says.
func TestModel(t *testing.T) {
	for seed := range *seeds {
		w := &world{t: t, seed: uint64(seed), rand: rand.New(rand.NewPCG(uint64(seed), 1)), now: time.UnixMilli(1e9), leads: true}
		w.load()
		for range 200 {
			w.step()
			w.check()
		}
		w.s.End()
		w.answered()
		if !w.m.ended {
			w.fail("the machine has not ended")
		}
	}
}

// load begins another shard on what the log holds.
func (w *world) load() {
	w.watermark = model.Offset(len(w.log))
	w.pending, w.m = nil, newCells()
	effect := func(e Effect) {
		switch q := e.(*question); {
		case q.done || q.refused || q.over:
			w.fail("the effect of question %d is done again (%t), though it was refused (%t), after the shard's end (%t)", q.number, q.done, q.refused, q.over)
		case q.needs >= w.watermark:
			w.fail("T3: the effect of question %d is done, %d is not settled (watermark %d)", q.number, q.needs, w.watermark)
		default:
			q.done = true
		}
	}
	w.s = New(Options{
		Partition: model.TopicPartition{Topic: schema.Groups.Name}, Topic: schema.Groups, Machine: w.m, MaxBatchBytes: modelMaxBytes, Patience: modelPatience,
		Effect: effect, Leads: func() error {
			if w.leads {
				return nil
			}
			return errRefused
		},
	}, w.watermark)
	w.s.Do(w.now, nil, w.ask(ErrLoading).reply(w))
	for off := 0; off < len(w.log); {
		n := 1
		for off+n < len(w.log) && w.log[off].record != nil && w.log[off+n].record != nil && w.log[off+n].producer == w.log[off].producer && w.rand.IntN(4) > 0 {
			n++
		}
		if err := w.s.Replay(w.batch(model.Offset(off), w.log[off:off+n])); err != nil {
			w.fail("%v", err)
		}
		off += n
	}
	w.s.Serve(w.now, nil)
}

func (w *world) ask(wrong error) *question {
	q := &question{number: len(w.asked), at: w.now, wrong: wrong, needs: model.NoOffset}
	w.asked = append(w.asked, q)
	return q
}

// reply is what the question is answered with, and judges it.
func (q *question) reply(w *world) func(error) {
	return func(err error) {
		if q.told {
			w.fail("question %d is answered twice", q.number)
		}
		q.told = true
		for _, earlier := range w.asked[:q.number] {
			if err == nil && !earlier.told && earlier.needs == q.needs {
				w.fail("question %d is answered before question %d, both wait for %d", q.number, earlier.number, q.needs)
			}
		}
		switch {
		case q.wrong != nil && !errors.Is(err, q.wrong):
			w.fail("question %d is answered with %v, not with %v", q.number, err, q.wrong)
		case err == ErrTimedOut && w.now.Sub(q.at) < modelPatience:
			w.fail("question %d has waited for %v only", q.number, w.now.Sub(q.at))
		case err != nil:
			return
		case q.needs >= w.watermark:
			w.fail("G1: question %d is answered, %d is not settled (watermark %d)", q.number, q.needs, w.watermark)
		case len(q.records) == 0 && !w.leads:
			w.fail("G1: question %d is answered by who does not lead", q.number)
		}
		for i, r := range q.records {
			if got := w.log[q.first+model.Offset(i)]; !got.equal(r) {
				w.fail("question %d is answered, the log has %v at %d, not %v", q.number, got, q.first+model.Offset(i), r)
			}
		}
	}
}

func (w *world) step() {
	switch n := w.rand.IntN(100); {
	case n < 35:
		w.write()
	case n < 50:
		w.read()
	case n < 53:
		w.tooLarge()
	case n < 73:
		w.append()
	case n < 88:
		w.settle()
	case n < 94:
		w.now = w.now.Add(time.Duration(w.rand.IntN(4000)) * time.Millisecond)
		w.s.Tick(w.now, true)
	case n < 96:
		w.leads = !w.leads
	case n < 98:
	case n < 99: // the log loses what is not settled
		w.log = w.log[:w.watermark]
		w.s.Lost(errRefused)
		w.again()
	default:
		w.s.End()
		w.again()
	}
}

// again: everybody is answered, and another coordinator goes on.
func (w *world) again() {
	w.answered()
	if !w.m.ended {
		w.fail("the machine has not ended")
	}
	w.s.Do(w.now, nil, w.ask(ErrNotCoordinator).reply(w))
	w.load()
}

func (w *world) answered() {
	for _, q := range w.asked {
		if q.over = true; !q.told {
			w.fail("question %d is not answered", q.number)
		}
	}
	w.asked = w.asked[:0]
}

// write decides records, of a transaction or not, or a marker.
func (w *world) write() {
	q := w.ask(nil)
	w.s.Do(w.now, func(time.Time) Result {
		r := Result{Reply: q.reply(w), Sees: model.NoOffset}
		q.first = w.s.EndOffset()
		p := Producer{model.ProducerID(w.rand.IntN(2)), int16(w.rand.IntN(3))}
		switch w.rand.IntN(10) {
		case 0:
			q.records = []item{{commit: w.rand.IntN(2) == 0, producer: p}}
			m := q.records[0].marker()
			r.Marker = &m
		case 1:
			r.Txn = &p
			w.records(q, &r, p)
		default:
			w.records(q, &r, noProducer)
		}
		w.pending = append(w.pending, q.records...)
		q.needs = q.first + model.Offset(len(q.records)) - 1
		w.effect(q, &r)
		return r
	}, q.reply(w))
}

func (w *world) records(q *question, r *Result, p Producer) {
	for range 1 + w.rand.IntN(3) {
		w.next++
		rec := put(int32(w.rand.IntN(modelCells)), w.next)
		r.Records = append(r.Records, rec)
		q.records = append(q.records, item{record: rec, producer: p})
	}
}

func (w *world) effect(q *question, r *Result) {
	if w.rand.IntN(4) == 0 {
		q.effect, r.Effects = true, []Effect{q}
		if w.rand.IntN(4) == 0 { // nobody asked
			q.told, r.Reply = true, nil
		}
	}
}

// read depends on the last write to a cell.
func (w *world) read() {
	q := w.ask(nil)
	w.s.Do(w.now, func(time.Time) Result {
		c := int32(w.rand.IntN(modelCells))
		if v, ok := w.m.values.Get(c); ok && w.m.values.Unsettled(c) {
			q.needs = v.offset
		}
		r := Result{Reply: q.reply(w), Sees: q.needs}
		w.effect(q, &r)
		return r
	}, q.reply(w))
}

func (w *world) tooLarge() {
	q := w.ask(ErrTooLarge)
	w.s.Do(w.now, func(time.Time) Result {
		r := put(0, 1)
		r.Value.Metadata = strings.Repeat("x", modelMaxBytes)
		return Result{Records: []schema.Record{put(1, 1), r}, Reply: q.reply(w)}
	}, q.reply(w))
}

func (w *world) append() {
	b, ok := w.s.Take()
	if !ok {
		return
	}
	if _, again := w.s.Take(); again {
		w.fail("a batch is taken while the log has not answered for the one before")
	}
	if len(b.Bytes) > modelMaxBytes {
		w.fail("a batch of %d bytes", len(b.Bytes))
	}
	if b.Base != model.Offset(len(w.log)) {
		w.fail("a batch for %d, the log ends at %d", b.Base, len(w.log))
	}
	items := w.parse(b.Bytes)
	for i, x := range items {
		if !x.equal(w.pending[i]) {
			w.fail("%v is to be appended at %d, decided was %v", x, len(w.log)+i, w.pending[i])
		}
	}
	if w.rand.IntN(6) == 0 {
		w.refuse(b.Base, items)
		return
	}
	w.log = append(w.log, items...)
	w.pending = w.pending[len(items):]
	w.s.Appended(b.Base)
}

// refuse: who is of the batch is told why; who is not, and only comes after it, is told so unless it is a producer's.
func (w *world) refuse(base model.Offset, items []item) {
	for _, q := range w.asked {
		if q.needs < base || q.refused {
			continue
		}
		q.refused = true
		if !q.told {
			q.wrong = errRefused
			if p := items[0].producer; p != noProducer && q.needs >= base+model.Offset(len(items)) {
				q.wrong = ErrTimedOut
			}
		}
	}
	w.pending = nil
	w.s.Refused(errRefused)
}

func (w *world) settle() {
	to := w.watermark + model.Offset(w.rand.IntN(len(w.log)-int(w.watermark)+1))
	w.watermark = to
	if w.rand.IntN(8) == 0 {
		w.s.Doubt(to, errFew)
		return
	}
	w.s.Settle(to)
}

// check: memory is what the log says.
func (w *world) check() {
	if over, err := w.s.Ended(); over {
		w.fail("the shard has ended: %v", err)
	}
	if want, got := fold(slices.Concat(w.log, w.pending)), w.m.newest(); !maps.Equal(want, got) {
		w.fail("the newest is %v, the log says %v", got, want)
	}
	if want, got := fold(w.log[:w.watermark]), w.m.settled(); !maps.Equal(want, got) {
		w.fail("settled is %v, the log says %v", got, want)
	}
	if end := model.Offset(len(w.log) + len(w.pending)); w.s.EndOffset() != end {
		w.fail("the end is %d, the log says %d", w.s.EndOffset(), end)
	}
	for _, q := range w.asked {
		if (!q.told || q.effect && !q.done && !q.refused) && q.needs < w.watermark && q.wrong == nil {
			w.fail("question %d waits for %d, the watermark is %d", q.number, q.needs, w.watermark)
		}
	}
	if next, ok := w.s.Next(); ok && next.Before(w.now.Add(-5*time.Second-modelPatience)) {
		w.fail("a tick was to come at %v", next)
	}
}
