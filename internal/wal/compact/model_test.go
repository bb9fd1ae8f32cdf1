package compact

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/wal/producer"
)

// world is a log of several segments, as it was written and as rounds have left it.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	nowMs int64

	full  []record.Batch   // all that was ever written
	segs  [][]record.Batch // what is there
	plan  []Segment
	index []Aborted    // as the log keeps it
	reach model.Offset // the farthest that a survey got

	end   model.Offset
	seqs  map[model.ProducerID]int32
	first map[model.ProducerID]model.Offset // of the open transactions
}

const retentionMs = 1000

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, rng: rand.New(rand.NewPCG(seed, 0x636f6d)), nowMs: 1_700_000_000_000,
		seqs: make(map[model.ProducerID]int32), first: make(map[model.ProducerID]model.Offset)}
}

// write fills a segment. Transactions may stay open.
func (w *world) write() {
	base := w.end
	var seg []record.Batch
	for range 1 + w.rng.IntN(12) {
		b := w.batch()
		w.end = b.LastOffset() + 1
		seg = append(seg, b)
	}
	w.full = append(w.full, seg...)
	w.segs = append(w.segs, slices.Clone(seg))
	w.plan = append(w.plan, Segment{Base: base, End: w.end, Bytes: size(seg), FirstTs: w.nowMs, Last: w.nowMs})
}

func size(seg []record.Batch) (n int64) {
	for _, b := range seg {
		n += int64(len(b))
	}
	return n
}

func (w *world) batch() record.Batch {
	w.nowMs += int64(w.rng.IntN(50))
	o := record.Options{BaseOffset: w.end, LeaderEpoch: 3, Codec: compress.Codec(w.rng.IntN(5))}
	switch w.rng.IntN(4) {
	case 0:
		id := model.ProducerID(1 + w.rng.IntN(3))
		o.Producer = &record.Producer{ID: id, Sequence: w.seqs[id]}
	case 1:
		id := model.ProducerID(11 + w.rng.IntN(3))
		if _, open := w.first[id]; open && w.rng.IntN(2) == 0 {
			return w.marker(id)
		}
		if _, open := w.first[id]; !open {
			w.first[id] = w.end
		}
		o.Producer, o.Transactional = &record.Producer{ID: id, Sequence: w.seqs[id]}, true
	}
	b := record.NewBuilder(o)
	n := 1 + w.rng.IntN(6)
	for i := range n {
		var value []byte
		if w.rng.IntN(4) > 0 {
			value = fmt.Appendf(nil, "value of offset %d", int(w.end)+i)
		}
		var hs []record.Header
		if w.rng.IntN(5) == 0 {
			hs = []record.Header{{Key: "h", Value: []byte{byte(i)}}, {Key: "null"}}
		}
		b.Add(w.nowMs+int64(i), fmt.Appendf(nil, "key %d", w.rng.IntN(20)), value, hs...)
	}
	if o.Producer != nil {
		w.seqs[o.Producer.ID] += int32(n)
	}
	out, err := b.Build()
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func (w *world) marker(id model.ProducerID) record.Batch {
	m := record.Marker{Type: record.ControlType(w.rng.IntN(2)), Producer: id, CoordinatorEpoch: int32(len(w.full)), TimestampMs: w.nowMs}
	b := record.EndTxn(m)
	b.SetBaseOffset(w.end)
	b.SetLeaderEpoch(3)
	if m.Type == record.Abort {
		w.index = append(w.index, Aborted{Producer: id, First: w.first[id], Marker: w.end})
	}
	delete(w.first, id)
	return b
}

func (w *world) lastStable() model.Offset {
	lso := w.end
	for _, first := range w.first {
		lso = min(lso, first)
	}
	return lso
}

// round compacts. stopAfter cuts it off after so many groups, as a crash would; room is for how many keys there is memory.
func (w *world) round(stopAfter, room int) Work {
	work := Look(w.plan, w.lastStable(), w.nowMs, Policy{})
	if !work.Due {
		return work
	}
	keys := NewKeys(1<<20, 0.9, 1, Salt{})
	keys.most = room
	survey := NewSurvey(keys, work.From, w.index)
	n := w.survey(survey, work)
	w.reach = max(w.reach, survey.To())
	state := replay(w.full, w.plan[n-1].End)
	pass := NewPass(Rules{Survey: survey, Aborted: slices.Clone(w.index), Producers: &state, NowMs: w.nowMs, DeleteRetentionMs: retentionMs})
	at := 0
	var segs [][]record.Batch
	var plan []Segment
	for g, run := range Groups(w.plan[:n], 3000) {
		if g == stopAfter {
			break
		}
		seg := w.rewrite(pass, slices.Concat(w.segs[at:at+run]...))
		segs = append(segs, seg)
		plan = append(plan, Segment{Base: w.plan[at].Base, End: w.plan[at+run-1].End, Bytes: size(seg), FirstTs: w.plan[at].FirstTs,
			Last: w.plan[at+run-1].Last, Cleaned: true, CleanedTo: survey.To()})
		at += run
	}
	w.segs, w.plan = append(segs, w.segs[at:]...), append(plan, w.plan[at:]...)
	return work
}

// survey walks what is dirty, and returns how many segments are to be written.
func (w *world) survey(s *Survey, work Work) (n int) {
	for i := range work.Segments {
		n = i + 1
		if w.plan[i].End <= work.From {
			continue
		}
		for _, b := range w.segs[i] {
			if !s.Batch(b) {
				return n
			}
		}
	}
	return n
}

func (w *world) rewrite(pass *Pass, in []record.Batch) (out []record.Batch) {
	stays := make(map[model.Offset]bool)
	for i, b := range in {
		k, err := pass.Batch(b, i == len(in)-1)
		if err != nil {
			w.t.Fatal(err)
		}
		if k.Aborted {
			stays[b.BaseOffset()] = true
		}
		if k.Batch == nil {
			continue
		}
		if err := k.Batch.Check(); err != nil {
			w.t.Fatalf("batch %d: %v", b.BaseOffset(), err)
		}
		if k.Same != (&k.Batch[0] == &b[0]) {
			w.t.Fatalf("batch %d: same is %t", b.BaseOffset(), k.Same)
		}
		if k.Batch.BaseOffset() != b.BaseOffset() || k.Batch.LastOffset() != b.LastOffset() || k.Batch.LeaderEpoch() != b.LeaderEpoch() ||
			k.Batch.ProducerID() != b.ProducerID() || k.Batch.ProducerEpoch() != b.ProducerEpoch() || k.Batch.BaseSequence() != b.BaseSequence() ||
			k.Batch.IsTransactional() != b.IsTransactional() || k.Batch.IsControl() != b.IsControl() {
			w.t.Fatalf("batch %d became another one", b.BaseOffset())
		}
		out = append(out, k.Batch)
	}
	lo, hi := in[0].BaseOffset(), in[len(in)-1].LastOffset()
	w.index = slices.DeleteFunc(w.index, func(a Aborted) bool { return a.Marker >= lo && a.Marker <= hi && !stays[a.Marker] })
	return out
}

func replay(batches []record.Batch, end model.Offset) producer.State {
	var s producer.State
	for _, b := range batches {
		if !b.HasProducer() || b.BaseOffset() >= end {
			continue
		}
		if m, err := endOf(b); err == nil {
			s.ApplyMarker(&producer.Marker{Producer: m.Producer, Epoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch, Offset: b.BaseOffset(), Commit: m.Type == record.Commit})
			continue
		}
		s.Apply(&producer.Batch{Producer: b.ProducerID(), Epoch: b.ProducerEpoch(), FirstSeq: b.BaseSequence(), BaseOffset: b.BaseOffset(),
			LastOffset: b.LastOffset(), Transactional: b.IsTransactional()})
	}
	s.Settle(end)
	s.Replicated(end)
	return s
}

// rec is one record of a log.
type rec struct {
	off        model.Offset
	ts         int64
	key, value string
	tombstone  bool
	headers    int
	horizon    int64 // of its batch; 0: none
}

// committed is what a consumer sees that reads committed records only, up to the last stable offset, given the log's index.
func (w *world) committed(batches []record.Batch, index []Aborted) (recs []rec) {
	lso := w.lastStable()
	open := make(map[model.ProducerID]bool)
	index = slices.Clone(index)
	for _, b := range batches {
		if b.LastOffset() >= lso {
			break
		}
		index = slices.DeleteFunc(index, func(a Aborted) bool {
			if a.First <= b.BaseOffset() {
				open[a.Producer] = true
			}
			return a.First <= b.BaseOffset()
		})
		if m, err := endOf(b); err == nil {
			if m.Type == record.Abort {
				delete(open, m.Producer)
			}
			continue
		}
		if b.IsTransactional() && open[b.ProducerID()] {
			continue
		}
		horizon, set := b.DeleteHorizon()
		if !set {
			horizon = 0
		}
		_, err := eachRecord(b, func(off model.Offset, r *record.Record) bool {
			recs = append(recs, rec{off, b.BaseTimestamp() + r.TimestampDelta, string(r.Key), string(r.Value), r.Value == nil, r.Headers.Len(), horizon})
			return true
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return recs
}

// check holds what is left against what was written. index is that of all that was written.
func (w *world) check(index []Aborted, cleanTo model.Offset) {
	w.t.Helper()
	left := slices.Concat(w.segs...)
	all := w.committed(w.full, index)
	got := w.committed(left, w.index)
	written := make(map[model.Offset]rec)
	latest := make(map[string]rec)     // below cleanTo
	superseded := make(map[string]rec) // below what surveys knew
	final := make(map[string]string)
	for _, r := range all {
		written[r.off] = r
		if r.off < cleanTo {
			latest[r.key] = r
		}
		if r.off < w.reach {
			superseded[r.key] = r
		}
		if final[r.key] = r.value; r.tombstone {
			delete(final, r.key)
		}
	}
	seen := make(map[string]string)
	there := make(map[model.Offset]bool)
	for _, r := range got {
		was := written[r.off]
		if was.horizon = r.horizon; was != r {
			w.t.Fatalf("offset %d: %+v was written as %+v", r.off, r, was)
		}
		there[r.off] = true
		if r.off < cleanTo && latest[r.key].off != r.off {
			w.t.Fatalf("offset %d of %q is left below %d, the latest is %d", r.off, r.key, cleanTo, latest[r.key].off)
		}
		if seen[r.key] = r.value; r.tombstone {
			delete(seen, r.key)
		}
	}
	for _, r := range all {
		if there[r.off] || r.off < w.reach && (superseded[r.key].off != r.off || r.tombstone) {
			continue
		}
		w.t.Fatalf("offset %d of %q is missing, compacted up to %d", r.off, r.key, w.reach)
	}
	if !maps.Equal(seen, final) {
		w.t.Fatalf("a reader ends with %v, want %v", seen, final)
	}
	now, want := replay(left, w.end), replay(w.full, w.end)
	if !reflect.DeepEqual(now.List(), want.List()) || !bytes.Equal(now.AppendSnapshot(nil, w.end), want.AppendSnapshot(nil, w.end)) {
		w.t.Fatalf("T1: producers are\n%+v, want\n%+v", now.List(), want.List())
	}
	for _, b := range left {
		gone := slices.ContainsFunc(index, func(a Aborted) bool {
			return a.Producer == b.ProducerID() && a.First <= b.BaseOffset() && b.LastOffset() < a.Marker
		})
		if gone && b.LastOffset() < cleanTo && b.RecordCount() > 0 {
			w.t.Fatalf("offset %d has records of an aborted transaction, compacted up to %d", b.BaseOffset(), cleanTo)
		}
	}
	for i, s := range w.plan {
		if n := len(w.segs[i]); n == 0 || w.segs[i][n-1].LastOffset()+1 != s.End {
			w.t.Fatalf("segment %d does not end with its last batch", i)
		}
	}
}

// TestRounds: random logs, compacted again and again, with rounds cut short and too little memory here and there. A reader ends with
// the same values (T2 included), nothing is missing but what the rules say, and producers' state follows from what is left as from all (T1).
func TestRounds(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, seed)
		var index []Aborted // never cut
		for range 12 {
			for range 1 + w.rng.IntN(3) {
				known := len(w.index)
				w.write()
				index = append(index, w.index[known:]...)
			}
			w.nowMs += int64(w.rng.IntN(1500))
			stop, room := -1, 1000
			if w.rng.IntN(4) == 0 {
				stop = w.rng.IntN(3)
			}
			if w.rng.IntN(4) == 0 {
				room = 1 + w.rng.IntN(15)
			}
			work := w.round(stop, room)
			cleanTo := model.Offset(0)
			if work.Due {
				cleanTo = firstDirty(w.plan)
				if cleanTo < work.From && stop != 0 {
					t.Fatalf("clean up to %d after a round, %d before", cleanTo, work.From)
				}
			}
			w.check(index, cleanTo)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}
