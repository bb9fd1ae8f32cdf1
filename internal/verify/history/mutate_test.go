package history_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"chronik/internal/verify/history"
)

var seeds = flag.Int("seeds", 300, "random histories to judge")

// damage is a history that is being spoilt.
type damage struct {
	rnd    *rand.Rand
	events []*history.Event
	places map[history.Value]*history.Event // acknowledgements
	final  map[place]history.Value
}

type place struct {
	partition int32
	offset    int64
}

func newDamage(seed uint64, events []*history.Event) *damage {
	d := &damage{rnd: rand.New(rand.NewPCG(seed, 2)), places: map[history.Value]*history.Event{}, final: map[place]history.Value{}}
	for _, e := range events {
		e := *e
		e.Runs = slices.Clone(e.Runs)
		for i, r := range e.Runs {
			e.Runs[i].Values = slices.Clone(r.Values)
			for j, v := range r.Values {
				if e.Kind == history.FinalRead {
					d.final[place{e.Partition, r.Offset + int64(j)}] = v
				}
			}
		}
		if e.Kind == history.Acked {
			d.places[e.Value] = &e
		}
		d.events = append(d.events, &e)
	}
	return d
}

// pick returns some event that will do, nil if there is none.
func (d *damage) pick(will func(*history.Event) bool) *history.Event {
	var all []*history.Event
	for _, e := range d.events {
		if will(e) {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[d.rnd.IntN(len(all))]
}

// stands tells whether an event acknowledges a record that the final read found there.
func (d *damage) stands(e *history.Event) bool {
	return e.Kind == history.Acked && d.final[place{e.Partition, e.Offset}] == e.Value
}

// rewrite replaces values in all that was read; the zero value cuts a record out.
func (d *damage) rewrite(kinds []history.EventKind, to func(place, history.Value) history.Value) {
	for _, e := range d.events {
		if !slices.Contains(kinds, e.Kind) {
			continue
		}
		var runs []history.Run
		for _, r := range e.Runs {
			next := history.Run{Offset: r.Offset}
			for i, v := range r.Values {
				offset := r.Offset + int64(i)
				if v = to(place{e.Partition, offset}, v); v != (history.Value{}) {
					next.Values = append(next.Values, v)
					continue
				}
				runs = append(runs, next)
				next = history.Run{Offset: offset + 1}
			}
			runs = append(runs, next)
		}
		e.Runs = slices.DeleteFunc(runs, func(r history.Run) bool { return len(r.Values) == 0 })
	}
}

var (
	all  = []history.EventKind{history.Polled, history.FinalRead}
	ends = []history.EventKind{history.FinalRead}
)

// replace changes what stands at a place, for everybody.
func (d *damage) replace(at place, by history.Value) {
	d.rewrite(all, func(p place, v history.Value) history.Value {
		if p == at {
			return by
		}
		return v
	})
}

// exchange lets two acknowledged records change places, for everybody.
func (d *damage) exchange(a, b *history.Event) {
	d.replace(place{a.Partition, a.Offset}, b.Value)
	d.replace(place{b.Partition, b.Offset}, a.Value)
	a.Offset, b.Offset = b.Offset, a.Offset
}

// mutations break one promise each, and return false where the history has nothing to break it with.
var mutations = []struct {
	kind history.Kind
	do   func(*damage) bool
}{
	{history.Lost, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool { return d.stands(e) && modelProducers[e.Value.Producer].Idempotent }) // of a plain one there may be another copy
		if e == nil {
			return false
		}
		d.rewrite(ends, func(p place, v history.Value) history.Value {
			if p == (place{e.Partition, e.Offset}) {
				return history.Value{}
			}
			return v
		})
		return true
	}},
	{history.Vanished, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool {
			return e.Kind == history.Polled && len(e.Runs) > 0 && d.final[place{e.Partition, e.Runs[0].Offset}] == e.Runs[0].Values[0] &&
				d.places[e.Runs[0].Values[0]] == nil
		})
		if e == nil {
			return false
		}
		at := place{e.Partition, e.Runs[0].Offset}
		d.rewrite(ends, func(p place, v history.Value) history.Value {
			if p == at {
				return history.Value{}
			}
			return v
		})
		return true
	}},
	{history.Duplicated, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool { return d.stands(e) && modelProducers[e.Value.Producer].Idempotent })
		bounds := d.pick(func(b *history.Event) bool {
			return e != nil && b.Kind == history.FinalBounds && b.Partition == e.Partition
		})
		if e == nil {
			return false
		}
		bounds.End++
		d.events = append(d.events, &history.Event{Kind: history.FinalRead, Time: bounds.Time, Partition: e.Partition, Runs: []history.Run{{Offset: bounds.End - 1, Values: []history.Value{e.Value}}}})
		return true
	}},
	{history.Inconsistent, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool { return d.stands(e) && modelProducers[e.Value.Producer].Idempotent })
		bounds := d.pick(func(b *history.Event) bool {
			return e != nil && b.Kind == history.FinalBounds && b.Partition == e.Partition
		})
		if e == nil {
			return false
		}
		bounds.End++
		e.Offset = bounds.End - 1
		return true
	}},
	{history.Inconsistent, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool {
			return e.Kind == history.Polled && len(e.Runs) > 0 && len(e.Runs[0].Values) > 1 && e.Runs[0].Values[0] != e.Runs[0].Values[1] &&
				d.final[place{e.Partition, e.Runs[0].Offset}] != history.Value{}
		})
		if e == nil {
			return false
		}
		v := e.Runs[0].Values
		v[0], v[1] = v[1], v[0]
		return true
	}},
	{history.Reordered, func(d *damage) bool {
		var first *history.Event
		second := d.pick(func(e *history.Event) bool {
			if !d.stands(e) || !modelProducers[e.Value.Producer].Idempotent && modelProducers[e.Value.Producer].MaxInFlight > 1 {
				return false
			}
			if o := d.earlier(e); o != nil {
				first = o
				return true
			}
			return false
		})
		if second == nil {
			return false
		}
		first = d.earlier(second)
		d.exchange(first, second)
		return true
	}},
	{history.RealTime, func(d *damage) bool {
		var first *history.Event
		second := d.pick(func(e *history.Event) bool {
			if e.Kind != history.Invoked || d.places[e.Value] == nil || !d.stands(d.places[e.Value]) {
				return false
			}
			return d.before(e) != nil
		})
		if second == nil {
			return false
		}
		first = d.before(second)
		d.exchange(first, d.places[second.Value])
		return true
	}},
	{history.Skipped, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool {
			return e.Kind == history.Polled && len(e.Runs) > 0 && len(e.Runs[0].Values) > 2
		})
		if e == nil {
			return false
		}
		r := e.Runs[0]
		cut := 1 + d.rnd.IntN(len(r.Values)-2)
		if (d.final[place{e.Partition, r.Offset + int64(cut)}] == history.Value{}) {
			return false
		}
		e.Runs = []history.Run{{Offset: r.Offset, Values: r.Values[:cut]}, {Offset: r.Offset + int64(cut) + 1, Values: r.Values[cut+1:]}}
		return true
	}},
	{history.WentBack, func(d *damage) bool {
		i := slices.IndexFunc(d.events, func(e *history.Event) bool { return e.Kind == history.Polled && len(e.Runs) > 0 })
		if i < 0 {
			return false
		}
		d.events = slices.Insert(d.events, i, d.events[i])
		return true
	}},
	{history.Rewound, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool { return e.Kind == history.Listed && e.End > 0 })
		if e == nil {
			return false
		}
		after := *e
		after.End--
		d.events = slices.Insert(d.events, slices.Index(d.events, e)+1, &after)
		return true
	}},
	{history.Ghost, func(d *damage) bool {
		e := d.pick(d.stands)
		if e == nil {
			return false
		}
		e.Kind, e.Offset = history.Failed, 0
		return true
	}},
	{history.Ghost, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool { return e.Kind == history.FinalRead })
		if e == nil {
			return false
		}
		e.Runs[0].Values[0].Seq = 1 << 40
		return true
	}},
	{history.Damaged, func(d *damage) bool {
		e := d.pick(func(e *history.Event) bool { return e.Kind == history.FinalRead })
		if e == nil {
			return false
		}
		e.Runs[0].Values[0] = history.Corrupt
		return true
	}},
}

// earlier is another acknowledged record of the same producer in the same partition, at a smaller offset.
func (d *damage) earlier(e *history.Event) *history.Event {
	for _, o := range d.events {
		if o != e && d.stands(o) && o.Partition == e.Partition && o.Value.Producer == e.Value.Producer && o.Offset < e.Offset {
			return o
		}
	}
	return nil
}

// before is a record that was acknowledged before another was sent.
func (d *damage) before(sent *history.Event) *history.Event {
	for _, o := range d.events {
		if d.stands(o) && o.Partition == sent.Partition && o.Time < sent.Time {
			return o
		}
	}
	return nil
}

func check(t *testing.T, o history.Options, events []*history.Event) *history.Verdict {
	t.Helper()
	c := history.NewChecker(o)
	for i, e := range events {
		if err := c.Add(e); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	v, err := c.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestModel: correct histories pass, and each mutation of one is found. -seeds tries more of them.
func TestModel(t *testing.T) {
	found := make([]int, len(mutations))
	notes := make(map[history.Kind]int64)
	for seed := range uint64(*seeds) {
		events := generate(seed, 600)
		v := check(t, history.Options{}, events)
		if !v.OK() {
			t.Fatalf("seed %d: a correct history is taken for a violation: %s", seed, list(v))
		}
		for _, f := range v.Findings {
			notes[f.Kind] += f.Count
		}
		for i, mutation := range mutations {
			d := newDamage(seed, events)
			if !mutation.do(d) {
				continue
			}
			if v := check(t, history.Options{}, d.events); v.Count(mutation.kind) == 0 {
				t.Errorf("seed %d, mutation %d (%s): not found, but: %s", seed, i, mutation.kind, list(v))
			}
			found[i]++
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for i, n := range found {
		if n < *seeds/10 {
			t.Errorf("mutation %d (%s) applied to only %d of %d histories", i, mutations[i].kind, n, *seeds)
		}
	}
	for _, k := range []history.Kind{history.LostByLeader, history.RetriedTwice, history.Expired} {
		if notes[k] == 0 {
			t.Errorf("no history had %s: the model lacks what makes it", k)
		}
	}
	t.Logf("%d histories; mutations found %v; notes %v", *seeds, found, notes)
}

// TestFile: a history in a file leads to the same verdict, also if memory is too small for it.
func TestFile(t *testing.T) {
	for seed := range uint64(20) {
		events := generate(seed, 3000)
		d := newDamage(seed, events)
		mutations[0].do(d)
		want := check(t, history.Options{}, d.events)
		var file bytes.Buffer
		w := history.NewWriter(&file)
		for _, e := range d.events {
			if err := w.Write(e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		file.WriteString(`{"t":12345,"e":"invo`) // killed while writing
		c := history.NewChecker(history.Options{MemoryPages: 1, Spill: new(memory)})
		if err := history.Read(&file, c.Add); err != nil {
			t.Fatal(err)
		}
		got, err := c.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: from the file %+v\n%s\nwant %+v\n%s", seed, got.Counts, list(got), want.Counts, list(want))
		}
	}
}

// TestSpillFails: without its memory the checker says so, rather than anything about the history.
func TestSpillFails(t *testing.T) {
	c := history.NewChecker(history.Options{MemoryPages: 1, Spill: new(broken)})
	var err error
	for _, e := range generate(1, 3000) {
		err = errors.Join(err, c.Add(e))
	}
	if _, end := c.Finish(); end == nil || err == nil {
		t.Errorf("the spill fails, Add says %v and Finish %v", err, end)
	}
}

type memory struct{ b []byte }

func (m *memory) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(m.b)) {
		return 0, io.EOF
	}
	return copy(p, m.b[at:]), nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[at:], p), nil
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error)  { return 0, io.ErrUnexpectedEOF }
func (broken) WriteAt([]byte, int64) (int, error) { return 0, io.ErrShortWrite }
