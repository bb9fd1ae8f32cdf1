package shardtest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
)

// Machine is a kind of machine, by pointer.
type Machine interface {
	comparable
	shard.Machine
}

// World is a log, its watermark, timers and a machine on it. What scripts look at and change themselves is theirs, and the World has
// pointers to it. Begin comes first.
type World[M Machine] struct {
	T       *testing.TB
	Machine *M // the one that runs
	Now     *time.Time
	Image   **image.Image
	Hold    *bool            // the watermark stays where it is
	Out     *strings.Builder // what is written to the log, a line each

	New    func() M                                       // without anything in it
	Decode func(key, value []byte) (schema.Record, error) // of the log's topic
	Show   func(shard.Entry) string                       // for Out
	Dump   func(M) string                                 // all that is replicated
	Left   func(shard.Effect)                             // an effect has left; nil: there are none
	Wrote  func(off model.Offset, r schema.Record)        // nil: nobody looks
	Freed  func()                                         // what was settled has left; nil: nothing follows
	Ending func()                                         // the machine is about to end, and who waits for it was told; nil: nobody else waits

	Start, Watermark model.Offset
	Log              []Entry // from Start on
	Timers           map[shard.TimerKey]time.Time
	Asked, Answered  int // replies that were given to the World, and that it has called

	waiting []waiting
}

// Entry is a record as it is on disk, or a marker.
type Entry struct {
	Key, Value []byte
	Producer   shard.Producer
	Marker     *record.Marker
}

// waiting is who waits for an offset to be settled.
type waiting struct {
	reply   func(error) // nil: nobody asked
	effects []shard.Effect
	needs   model.Offset
}

// ErrRefused is what the log says to what Refuse takes back.
var ErrRefused = errors.New("refused")

// Begin makes the first machine, on an empty log.
func (w *World[M]) Begin() {
	w.Timers = make(map[shard.TimerKey]time.Time)
	*w.Machine = w.New()
	w.Run((*w.Machine).Loaded(*w.Now, *w.Image))
}

// End is the offset of the next record.
func (w *World[M]) End() model.Offset { return w.Start + model.Offset(len(w.Log)) }

// Run does what a shard does with a result, and with the decisions that come after it.
func (w *World[M]) Run(r shard.Result) {
	needs := w.write(&r)
	for _, c := range r.Timers {
		if delete(w.Timers, c.Key); !c.At.IsZero() {
			w.Timers[c.Key] = c.At
			if !c.At.After(*w.Now) { // time goes on before it fires
				w.Timers[c.Key] = w.Now.Add(1)
			}
		}
	}
	if needs >= w.End() {
		(*w.T).Fatalf("a reply waits for record %d, the log ends at %d", needs, w.End())
	}
	if r.Reply != nil {
		w.Asked++
	}
	w.waiting = append(w.waiting, waiting{r.Reply, r.Effects, needs})
	if *w.Hold {
		w.release()
	} else {
		w.Settle()
	}
	for _, d := range r.Next {
		w.Run(d.Decide(*w.Now))
	}
}

// write writes and applies what was decided, and returns the offset that its replies wait for.
func (w *World[M]) write(r *shard.Result) (needs model.Offset) {
	needs = r.Sees
	for _, rec := range r.Records {
		key, value, err := schema.Encode(rec)
		if err != nil {
			(*w.T).Fatal(err)
		}
		x := Entry{Key: key, Value: value, Producer: shard.Producer{ID: model.NoProducer}}
		if r.Txn != nil {
			x.Producer = *r.Txn
		}
		needs = w.append(x)
		if w.Wrote != nil {
			w.Wrote(needs, rec)
		}
	}
	if r.Marker != nil {
		needs = w.append(Entry{Marker: r.Marker, Producer: shard.Producer{ID: r.Marker.Producer, Epoch: r.Marker.ProducerEpoch}})
	}
	return needs
}

func (w *World[M]) append(x Entry) model.Offset {
	off := w.End()
	w.Log = append(w.Log, x)
	w.apply(*w.Machine, off)
	return off
}

// apply applies a record from its bytes, as whoever loads it will.
func (w *World[M]) apply(m M, off model.Offset) {
	x := w.Log[off-w.Start]
	e := shard.Entry{Producer: x.Producer.ID, Epoch: x.Producer.Epoch, Marker: x.Marker}
	var err error
	if e.Marker == nil {
		e.Record, err = w.Decode(x.Key, x.Value)
	}
	if err == nil {
		err = m.Apply(off, e)
	}
	if err != nil {
		(*w.T).Fatal(err)
	}
	if m == *w.Machine {
		fmt.Fprintf(w.Out, "%d %s\n", off, w.Show(e))
	}
}

// release answers those whose records are settled, in their order.
func (w *World[M]) release() {
	left := w.waiting
	w.waiting = nil
	for _, x := range left {
		if x.needs >= w.Watermark {
			w.waiting = append(w.waiting, x)
			continue
		}
		w.answer(x, nil)
		for _, e := range x.effects {
			w.Left(e)
		}
	}
	if w.Freed != nil {
		w.Freed()
	}
}

func (w *World[M]) answer(x waiting, err error) {
	if x.reply != nil {
		w.Answered++
		x.reply(err)
	}
}

// Settle moves the watermark to the end of the log.
func (w *World[M]) Settle() {
	w.Watermark = w.End()
	(*w.Machine).Settle(w.Watermark)
	w.release()
}

// lose takes what is not settled off the log.
func (w *World[M]) lose() (left []waiting) {
	left = w.waiting
	w.waiting, w.Log = nil, w.Log[:w.Watermark-w.Start]
	return left
}

// Refuse takes back what is not settled. Replies that wait for it fail.
func (w *World[M]) Refuse() {
	left := w.lose()
	(*w.Machine).Revert(w.Watermark)
	for _, x := range left {
		w.answer(x, ErrRefused)
	}
}

// Prune deletes what lies below an offset.
func (w *World[M]) Prune(to model.Offset) {
	if to < w.Start || to > w.Watermark {
		(*w.T).Fatalf("records below %d are to go, the log begins at %d and is settled up to %d", to, w.Start, w.Watermark)
	}
	w.Log, w.Start = w.Log[to-w.Start:], to
}

// Load is another machine, loaded from the log.
func (w *World[M]) Load() M {
	m := w.New()
	m.Settle(w.End())
	for off := w.Start; off < w.End(); off++ {
		w.apply(m, off)
	}
	return m
}

// Reload is a fail-over: what is settled stays, who waits is sent away.
func (w *World[M]) Reload() {
	for _, x := range w.lose() {
		w.answer(x, shard.ErrNotCoordinator)
	}
	if w.Ending != nil {
		w.Ending()
	}
	(*w.Machine).End()
	clear(w.Timers)
	*w.Machine = w.Load()
	w.Run((*w.Machine).Loaded(*w.Now, *w.Image))
}

// Advance lets time pass, and fires timers at their times.
func (w *World[M]) Advance(t time.Duration) {
	to := w.Now.Add(t)
	for {
		due := slices.SortedFunc(maps.Keys(w.Timers), func(a, b shard.TimerKey) int {
			return cmp.Or(w.Timers[a].Compare(w.Timers[b]), a.Compare(b))
		})
		if len(due) == 0 || w.Timers[due[0]].After(to) {
			break
		}
		*w.Now = w.Timers[due[0]]
		delete(w.Timers, due[0])
		w.Run((*w.Machine).OnTimer(*w.Now, due[0]))
	}
	*w.Now = to
}

// Change applies commands to the metadata. The machine does not hear of it.
func (w *World[M]) Change(cs ...*command.Command) *image.Delta {
	im, d, err := image.Apply(*w.Image, cs, 1, (*w.Image).Index()+1)
	if err != nil {
		(*w.T).Fatal(err)
	}
	*w.Image = im
	return d
}

// Tell is Change, of which the machine hears.
func (w *World[M]) Tell(cs ...*command.Command) {
	d := w.Change(cs...)
	w.Run((*w.Machine).OnImage(*w.Now, *w.Image, d))
}

// Same tells how a machine that is loaded from the log differs from the one that wrote it; empty: in nothing.
func (w *World[M]) Same() string {
	if a, b := w.Dump(*w.Machine), w.Dump(w.Load()); a != b {
		return fmt.Sprintf("in memory:\n%s\nloaded:\n%s", a, b)
	}
	return ""
}
