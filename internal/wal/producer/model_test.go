package producer

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"chronik/internal/model"
	"chronik/internal/wal/snapshot"
	"pgregory.net/rapid"
)

// history is the naive model: everything that was ever applied. What a State holds must follow from it
// by replaying all of it, with plain maps, lists and no undo.
type history struct {
	events []event
	end    model.Offset
}

type event struct {
	batch  Batch
	marker Marker
	isMark bool
}

func (e *event) offset() model.Offset {
	if e.isMark {
		return e.marker.Offset
	}
	return e.batch.BaseOffset
}

type known struct {
	epoch       int16
	coordinator int32
	txnFirst    model.Offset
	timestamp   int64
	batches     []Batch // of this epoch, all of them
}

func (h *history) replay() map[model.ProducerID]known {
	all := map[model.ProducerID]known{}
	get := func(id model.ProducerID, epoch int16) known {
		k, ok := all[id]
		if !ok {
			k = known{coordinator: -1, txnFirst: -1}
		}
		if !ok || k.epoch != epoch {
			k.epoch, k.batches = epoch, nil
		}
		return k
	}
	for _, e := range h.events {
		if e.isMark {
			k := get(e.marker.Producer, e.marker.Epoch)
			k.coordinator, k.txnFirst, k.timestamp = e.marker.CoordinatorEpoch, -1, e.marker.Timestamp
			all[e.marker.Producer] = k
			continue
		}
		k := get(e.batch.Producer, e.batch.Epoch)
		k.batches = append(slices.Clone(k.batches), e.batch)
		k.timestamp = e.batch.MaxTimestamp
		if e.batch.Transactional && k.txnFirst < 0 {
			k.txnFirst = e.batch.BaseOffset
		}
		all[e.batch.Producer] = k
	}
	return all
}

// verdict is Kafka's rule for a client's batch, on the naive state.
func (h *history) verdict(b *Batch) (Verdict, error) {
	k, ok := h.replay()[b.Producer]
	records := b.LastOffset - b.BaseOffset
	for _, old := range k.batches[max(0, len(k.batches)-Retained):] {
		if ok && k.epoch == b.Epoch && old.FirstSeq == b.FirstSeq && old.LastOffset-old.BaseOffset == records {
			return Verdict{Duplicate: true, BaseOffset: old.BaseOffset, LastOffset: old.LastOffset, MaxTimestamp: old.MaxTimestamp}, nil
		}
	}
	next := int64(0)
	if n := len(k.batches); n > 0 && k.epoch == b.Epoch {
		last := k.batches[n-1]
		next = (int64(last.FirstSeq) + int64(last.LastOffset-last.BaseOffset) + 1) % (1 << 31)
	}
	inTxn := ok && k.txnFirst >= 0
	switch {
	case b.Transactional && (!inTxn || k.epoch != b.Epoch) && !b.Verified:
		return Verdict{}, ErrInvalidTxnState
	case ok && b.Epoch < k.epoch:
		return Verdict{}, ErrInvalidProducerEpoch
	case b.Transactional && b.TV2 && b.FirstSeq != 0 && len(k.batches) == 0:
		return Verdict{}, ErrOutOfOrderSequence
	case ok && int64(b.FirstSeq) != next:
		return Verdict{}, ErrOutOfOrderSequence
	case inTxn && !b.Transactional:
		return Verdict{}, ErrInvalidTxnState
	}
	return Verdict{}, nil
}

func (h *history) lastStable(highWatermark model.Offset) model.Offset {
	lso := highWatermark
	open := map[model.ProducerID]model.Offset{}
	for _, e := range h.events {
		if e.isMark {
			if first, ok := open[e.marker.Producer]; ok && e.marker.Offset >= highWatermark {
				lso = min(lso, first)
			}
			delete(open, e.marker.Producer)
		} else if _, ok := open[e.batch.Producer]; !ok && e.batch.Transactional {
			open[e.batch.Producer] = e.batch.BaseOffset
		}
	}
	for _, first := range open {
		lso = min(lso, first)
	}
	return lso
}

// machine runs the State and the history side by side.
type machine struct {
	s       State
	h       history
	settled model.Offset
	hw      model.Offset
}

func (m *machine) batch(t *rapid.T) {
	b := Batch{
		Producer: model.ProducerID(rapid.IntRange(1, 3).Draw(t, "producer")), Epoch: int16(rapid.IntRange(0, 2).Draw(t, "epoch")),
		MaxTimestamp: rapid.Int64Range(0, 99).Draw(t, "ts"), Transactional: rapid.Bool().Draw(t, "transactional"),
		Verified: rapid.IntRange(0, 9).Draw(t, "verified") > 0, TV2: rapid.Bool().Draw(t, "tv2"), BaseOffset: m.h.end,
	}
	b.LastOffset = b.BaseOffset + model.Offset(rapid.IntRange(0, 2).Draw(t, "more"))
	if k, ok := m.h.replay()[b.Producer]; ok && rapid.IntRange(0, 9).Draw(t, "fits") > 1 {
		b.Epoch = k.epoch
		b.Transactional = b.Transactional || k.txnFirst >= 0
		if n := len(k.batches); n > 0 { // mostly the next sequence, sometimes an older one: a retry
			old := k.batches[n-1-rapid.IntRange(0, min(n-1, Retained)).Draw(t, "back")]
			b.FirstSeq = LastSequence(old.FirstSeq, int32(old.LastOffset-old.BaseOffset)+1)
		}
	} else {
		b.FirstSeq = rapid.SampledFrom([]int32{0, 0, 1, 5, 1<<31 - 2}).Draw(t, "seq")
	}
	want, wantErr := m.h.verdict(&b)
	got, err := m.s.Check(&b, Client)
	if got != want || !errors.Is(err, wantErr) {
		t.Fatalf("Check(%+v) = %+v, %v; want %+v, %v", b, got, err, want, wantErr)
	}
	if err == nil && !got.Duplicate {
		m.s.Apply(&b)
		m.h.events = append(m.h.events, event{batch: b})
		m.h.end = b.LastOffset + 1
	}
}

func (m *machine) marker(t *rapid.T) {
	k := Marker{
		Producer: model.ProducerID(rapid.IntRange(1, 4).Draw(t, "producer")), Epoch: int16(rapid.IntRange(0, 2).Draw(t, "epoch")),
		CoordinatorEpoch: int32(rapid.IntRange(0, 2).Draw(t, "coordinator")), Offset: m.h.end, Commit: rapid.Bool().Draw(t, "commit"),
	}
	if m.s.CheckMarker(&k, Coordinator) != nil {
		return
	}
	before, ok := m.h.replay()[k.Producer]
	c, ended := m.s.ApplyMarker(&k)
	m.h.events = append(m.h.events, event{marker: k, isMark: true})
	m.h.end++
	switch {
	case ended != (ok && before.txnFirst >= 0):
		t.Fatalf("marker %+v ended %v, want %v", k, ended, !ended)
	case ended && c != (Completed{k.Producer, before.txnFirst, k.Offset, m.h.lastStable(m.h.end), !k.Commit}):
		t.Fatalf("ended %+v; first offset %d, last stable %d", c, before.txnFirst, m.h.lastStable(m.h.end))
	}
}

func (m *machine) revert(t *rapid.T) {
	from := model.Offset(rapid.Int64Range(int64(m.settled), int64(m.h.end)).Draw(t, "from"))
	for n := len(m.h.events); n > 0 && m.h.events[n-1].offset() >= m.settled; n-- { // to a batch boundary
		if off := m.h.events[n-1].offset(); off >= from {
			m.h.events, m.h.end = m.h.events[:n-1], off
		}
	}
	if !m.s.TruncateTo(m.h.end) {
		t.Fatalf("TruncateTo(%d) refused, settled up to %d", m.h.end, m.settled)
	}
}

func (m *machine) settle(t *rapid.T) {
	ends := []model.Offset{m.h.end}
	for _, e := range m.h.events {
		if e.offset() >= m.settled {
			ends = append(ends, e.offset())
		}
	}
	m.settled = rapid.SampledFrom(ends).Draw(t, "durable end")
	m.s.Settle(m.settled)
	top := max(m.hw, m.h.end) // of a follower the watermark may pass what is not durable here yet
	m.hw = model.Offset(rapid.Int64Range(int64(m.hw), int64(top)).Draw(t, "watermark"))
	m.s.Replicated(m.hw)
}

func (m *machine) reload(t *rapid.T) {
	file := m.s.AppendSnapshot(nil, m.h.end)
	s, end, err := LoadSnapshot(file)
	if err != nil || end != m.h.end {
		t.Fatalf("LoadSnapshot: end %d, %v", end, err)
	}
	if again := s.AppendSnapshot(nil, end); !bytes.Equal(again, file) {
		t.Fatalf("a reloaded state is written as something else:\n%x\n%x", file, again)
	}
	m.s, m.settled = s, m.h.end
}

func (m *machine) agree(t *rapid.T) {
	all := m.h.replay()
	ids := slices.Sorted(maps.Keys(all))
	list := m.s.List()
	if len(list) != len(ids) {
		t.Fatalf("%d producers, want %d", len(list), len(ids))
	}
	for i, id := range ids {
		k := all[id]
		want := Info{
			Producer: id, Epoch: k.epoch, LastSeq: NoSequence, LastTimestamp: k.timestamp,
			CoordinatorEpoch: k.coordinator, TxnStart: k.txnFirst, Batches: min(len(k.batches), Retained),
		}
		if n := len(k.batches); n > 0 {
			want.LastSeq = k.batches[n-1].lastSeq()
		}
		if list[i] != want {
			t.Fatalf("producer %+v, want %+v", list[i], want)
		}
	}
	for hw := m.hw; hw <= m.h.end; hw++ {
		if got, want := m.s.LastStable(hw), m.h.lastStable(hw); got != want {
			t.Fatalf("LastStable(%d) = %d, want %d", hw, got, want)
		}
	}
}

func TestStateAgreesWithAReplayOfEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m machine
		t.Repeat(map[string]func(*rapid.T){
			"batch": m.batch, "batch again": m.batch, "batch once more": m.batch, "marker": m.marker,
			"revert": m.revert, "settle": m.settle, "reload": m.reload, "": m.agree,
		})
	})
}

// Whatever the bytes are, they load to a state that writes them again, or not at all.
func FuzzLoadSnapshot(f *testing.F) {
	var s State
	f.Add(s.AppendSnapshot(nil, 0)[snapshot.HeaderBytes:])
	for i := range int32(7) {
		b := data(1, 0, 3*i)
		b.BaseOffset, b.LastOffset = model.Offset(3*i), model.Offset(3*i+2)
		s.Apply(&b)
	}
	open, ended := txn(2, 0, 0), txn(3, 0, 0)
	open.BaseOffset, open.LastOffset, ended.BaseOffset, ended.LastOffset = 21, 21, 22, 22
	s.Apply(&open)
	s.Apply(&ended)
	s.ApplyMarker(&Marker{Producer: 3, Epoch: 1, Offset: 23})
	f.Add(s.AppendSnapshot(nil, 24)[snapshot.HeaderBytes:])
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = LoadSnapshot(body)
		file := kind.Seal(append(kind.Begin(nil), body...), 0)
		s, end, err := LoadSnapshot(file)
		if err == nil && !bytes.Equal(s.AppendSnapshot(nil, end), file) {
			t.Fatalf("%x is written as something else", body)
		}
	})
}
