package share

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"chronik/internal/model"
)

var seeds = flag.Int("share.seeds", 1500, "how many seeds TestModel runs")

// history is a world in which leaders of share partitions read and write while the log refuses and is pruned and coordinators fail
// over.
type history struct {
	*world
	rand  *rand.Rand
	parts map[Key]*reference
}

// reference is what is safe to say about a share partition, from the answers alone.
type reference struct {
	stateEpoch int32
	start      model.Offset
	fates      map[model.Offset]Batch // of records, as acknowledged writes say
	read       int32                  // the newest leader epoch in which an acknowledged read came
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

// TestModel: what was written and acknowledged is read, by whoever reads next, whatever was refused, lost or pruned between; leaders
// of earlier epochs change nothing; everybody is answered once; a machine that is loaded equals the one that wrote the log.
func TestModel(t *testing.T) {
	for seed := range *seeds {
		h := &history{world: newWorld(t), rand: rand.New(rand.NewPCG(uint64(seed), 0)), parts: make(map[Key]*reference)}
		h.world.t = fatal{t, seed}
		h.config.UpdatesPerSnapshot = h.rand.IntN(4)
		h.m.Config = h.config
		for range 120 {
			h.step()
		}
		h.hold = false
		h.settle()
		for k := range h.parts {
			h.readBack(k)
		}
		if diff := h.same(); diff != "" {
			h.t.Fatal(diff)
		}
		if h.Asked != h.Answered {
			h.t.Fatalf("%d requests, %d answers", h.Asked, h.Answered)
		}
	}
}

func (h *history) key() Key {
	k := Key{Group: "g", TopicID: topicID("t"), Partition: int32(h.rand.IntN(2))}
	if h.rand.IntN(3) == 0 {
		k.TopicID = topicID("u")
	}
	if h.parts[k] == nil {
		h.parts[k] = &reference{start: model.NoOffset, fates: make(map[model.Offset]Batch)}
	}
	return k
}

func (h *history) step() {
	k := h.key()
	p := h.parts[k]
	switch n := h.rand.IntN(20); {
	case n == 0:
		h.reload()
	case n == 1:
		h.hold = true
	case n == 2:
		h.hold = false
		h.refuse()
	case n == 3:
		h.hold = false
		h.settle()
	case n == 4:
		h.prune()
	case n == 5:
		h.advance(time.Duration(h.rand.IntN(90)) * time.Second)
	case n == 6 && h.rand.IntN(4) == 0:
		h.recreate(k)
	case n < 9:
		h.initialize(k, p)
	case n < 13:
		h.read(k, p)
	default:
		h.write(k, p)
	}
}

// recreate deletes a topic and makes it again; the test's topics keep their IDs, which those of brokers do not.
func (h *history) recreate(k Key) {
	name := string(k.TopicID[:1])
	h.hold = false
	h.settle()
	h.deleteTopic(name)
	h.advance(time.Second)
	h.change(newTopic(name))
	h.m.image = h.image
	for other := range h.parts {
		if other.TopicID == k.TopicID {
			delete(h.parts, other)
		}
	}
}

func (h *history) initialize(k Key, p *reference) {
	epoch, start := max(0, p.stateEpoch+int32(h.rand.IntN(3))-1), model.Offset(h.rand.IntN(20))
	h.run(h.m.Initialize(h.now, InitializeRequest{k, epoch, start}, func(err error) {
		switch {
		case err == nil && epoch < p.stateEpoch:
			h.t.Fatalf("%v was initialized in epoch %d after %d", k, epoch, p.stateEpoch)
		case err == nil:
			p.stateEpoch, p.start = epoch, start
			clear(p.fates)
		}
	}))
	h.certain()
}

// certain ends a time in which it is not known what holds: model and machine agree again only when all is settled or refused.
func (h *history) certain() {
	if h.hold {
		h.hold = h.rand.IntN(2) == 0
		if !h.hold {
			h.settle()
			return
		}
		h.hold = false
		h.refuse()
	}
}

func (h *history) read(k Key, p *reference) {
	leader := p.read + int32(h.rand.IntN(4)) - 1
	if leader < 0 {
		return
	}
	h.run(h.m.Read(h.now, ReadRequest{k, leader}, func(s State, err error) {
		if err != nil {
			return
		}
		if leader < p.read {
			h.t.Fatalf("leader %d reads %v after %d", leader, k, p.read)
		}
		p.read = leader
		p.check(h, k, s)
	}))
}

func (h *history) readBack(k Key) {
	h.run(h.m.Read(h.now, ReadRequest{k, AnyEpoch}, func(s State, err error) {
		if err == nil {
			h.parts[k].check(h, k, s)
		} else if h.parts[k].start != model.NoOffset {
			h.t.Fatalf("%v: %v", k, err)
		}
	}))
}

// check: nothing that was acknowledged is forgotten.
func (p *reference) check(h *history, k Key, s State) {
	if s.Start < p.start {
		h.t.Fatalf("%v starts at %d, was at %d", k, s.Start, p.start)
	}
	for off, want := range p.fates {
		if off < s.Start {
			continue
		}
		got := Batch{Deliveries: -1}
		for _, b := range s.Batches {
			if b.First <= off && off <= b.Last {
				got = b
			}
		}
		if got.fate(want) < 0 {
			h.t.Fatalf("%v: record %d is %+v, was %+v: %s", k, off, got, want, showState(s))
		}
	}
}

func (h *history) write(k Key, p *reference) {
	leader := max(0, p.read+int32(h.rand.IntN(3))-1)
	r := WriteRequest{Key: k, StateEpoch: p.stateEpoch, LeaderEpoch: leader, Start: p.start}
	if r.Start >= 0 {
		r.Start += model.Offset(h.rand.IntN(3))
	}
	for range h.rand.IntN(4) {
		first := model.Offset(h.rand.IntN(30))
		states := []DeliveryState{Available, Acknowledged, Archived}
		r.Batches = append(r.Batches, Batch{first, first + model.Offset(h.rand.IntN(5)), states[h.rand.IntN(3)], int16(1 + h.rand.IntN(4))})
	}
	epoch := p.stateEpoch
	h.run(h.m.Write(h.now, r, func(err error) {
		if err != nil || epoch != p.stateEpoch {
			return
		}
		if leader < p.read {
			h.t.Fatalf("leader %d writes %v after %d has read", leader, k, p.read)
		}
		p.start = max(p.start, r.Start)
		for _, b := range r.Batches {
			for off := b.First; off <= b.Last; off++ {
				if old, ok := p.fates[off]; !ok || b.fate(old) > 0 {
					p.fates[off] = b
				}
			}
		}
	}))
}

// TestCombine: of each record the later fate, whatever overlaps; no two neighbours are alike, and order does not matter.
func TestCombine(t *testing.T) {
	batch := rapid.Custom(func(t *rapid.T) Batch {
		first := model.Offset(rapid.IntRange(0, 25).Draw(t, "first"))
		return Batch{
			First: first, Last: first + model.Offset(rapid.IntRange(0, 8).Draw(t, "length")),
			State:      rapid.SampledFrom([]DeliveryState{Available, Acknowledged, Archived}).Draw(t, "state"),
			Deliveries: int16(rapid.IntRange(0, 3).Draw(t, "deliveries")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(batch, 0, 8).Draw(t, "a")
		b := rapid.SliceOfN(batch, 0, 8).Draw(t, "b")
		start := model.Offset(rapid.IntRange(-1, 20).Draw(t, "start"))
		got := combine(combine(nil, a, model.NoOffset), b, start)
		want := make(map[model.Offset]Batch)
		for _, x := range append(a, b...) {
			for off := max(x.First, start); off <= x.Last; off++ {
				if old, ok := want[off]; !ok || x.fate(old) > 0 {
					want[off] = x
				}
			}
		}
		for i, x := range got {
			if i > 0 && (got[i-1].Last >= x.First || got[i-1].Last+1 == x.First && got[i-1].alike(x)) {
				t.Fatalf("%s", showBatches(got))
			}
			for off := x.First; off <= x.Last; off++ {
				if w, ok := want[off]; !ok || !w.alike(x) {
					t.Fatalf("%d is %+v, want %+v", off, x, w)
				}
				delete(want, off)
			}
		}
		if len(want) > 0 {
			t.Fatalf("%v are missing from %s", want, showBatches(got))
		}
	})
}

// TestUpkeepBoundsTheLog: with one share partition that is written to and many that are not, the log stays short.
func TestUpkeepBoundsTheLog(t *testing.T) {
	w := newWorld(t)
	const idle = 700 // more than one decision's
	for i := range idle {
		k := Key{Group: fmt.Sprintf("g%d", i), TopicID: topicID("t")}
		w.run(w.m.Initialize(w.now, InitializeRequest{k, 1, 0}, func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}))
	}
	busy, longest := Key{Group: "g0", TopicID: topicID("t")}, 0
	for range 60 {
		for range 1000 {
			w.run(w.m.Write(w.now, WriteRequest{Key: busy, LeaderEpoch: AnyEpoch, StateEpoch: AnyEpoch, Start: 1}, func(error) {}))
		}
		w.advance(time.Minute)
		w.prune()
		longest = max(longest, len(w.Log))
	}
	if most := slack + 4*idle + 1000; longest > most {
		t.Errorf("the log had %d records for %d share partitions, want at most %d", longest, idle, most)
	}
	if diff := w.same(); diff != "" {
		t.Error(diff)
	}
}
