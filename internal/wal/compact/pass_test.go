package compact

import (
	"fmt"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal/producer"
)

func build(t *testing.T, o record.Options, ts int64, kv ...string) record.Batch {
	t.Helper()
	b := record.NewBuilder(o)
	for i := 0; i < len(kv); i += 2 {
		var value []byte
		if kv[i+1] != "-" {
			value = []byte(kv[i+1])
		}
		b.Add(ts, []byte(kv[i]), value)
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pass lets one round of a log at a time see all of it.
func pass(t *testing.T, nowMs int64, producers *producer.State, aborted []Aborted, log ...record.Batch) (out []record.Batch, kept []Kept) {
	t.Helper()
	s := NewSurvey(NewKeys(1<<20, 0.9, 100, Salt{1}), 0, aborted)
	for _, b := range log {
		if !s.Batch(b) {
			t.Fatal("no room")
		}
	}
	p := NewPass(Rules{Survey: s, Aborted: aborted, Producers: producers, NowMs: nowMs, DeleteRetentionMs: 100})
	for _, b := range log {
		k, err := p.Batch(b, false)
		if err != nil {
			t.Fatal(err)
		}
		if kept = append(kept, k); k.Batch != nil {
			out = append(out, k.Batch)
		}
	}
	return out, kept
}

// TestTombstones: the round that first keeps a tombstone stamps until when, and none keeps it longer; timestamps stay as they were.
func TestTombstones(t *testing.T) {
	log := []record.Batch{build(t, record.Options{}, 50, "a", "1", "b", "1"), build(t, record.Options{BaseOffset: 2}, 60, "a", "-", "c", "2")}
	none := &producer.State{}
	log, _ = pass(t, 1000, none, nil, log...)
	if len(log) != 2 || log[0].RecordCount() != 1 || log[1].RecordCount() != 2 {
		t.Fatalf("the first round leaves %d batches", len(log))
	}
	if ms, ok := log[1].DeleteHorizon(); !ok || ms != 1100 || log[1].MaxTimestamp() != 60 {
		t.Errorf("the horizon is %d, %t; want 1100; max timestamp %d", ms, ok, log[1].MaxTimestamp())
	}
	if _, ok := log[0].DeleteHorizon(); ok {
		t.Error("a batch without a tombstone has a horizon")
	}
	log, kept := pass(t, 1099, none, nil, log...)
	if !kept[0].Same || !kept[1].Same {
		t.Error("a round before the horizon changes something")
	}
	log, _ = pass(t, 1100, none, nil, log...)
	if len(log) != 2 || log[1].RecordCount() != 1 {
		t.Errorf("the tombstone is there at its horizon")
	}
	if _, err := eachRecord(log[1], func(off model.Offset, r *record.Record) bool {
		if off != 3 || string(r.Key) != "c" || log[1].BaseTimestamp()+r.TimestampDelta != 60 {
			t.Errorf("what is left is offset %d, key %q, time %d", off, r.Key, log[1].BaseTimestamp()+r.TimestampDelta)
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}

func transactional(id model.ProducerID, base model.Offset, seq int32) record.Options {
	return record.Options{BaseOffset: base, Transactional: true, Producer: &record.Producer{ID: id, Sequence: seq}}
}

func marker(kind record.ControlType, id model.ProducerID, at model.Offset) record.Batch {
	b := record.EndTxn(record.Marker{Type: kind, Producer: id, TimestampMs: 70})
	b.SetBaseOffset(at)
	return b
}

// TestMarkers: an aborted transaction's records go at once, its marker in the round after the horizon that a later round has stamped; a
// producer that is known keeps its last marker. The index needs the transaction as long as readers may have its records.
func TestMarkers(t *testing.T) {
	log := []record.Batch{build(t, transactional(7, 0, 0), 50, "a", "1"), marker(record.Abort, 7, 1), build(t, record.Options{BaseOffset: 2}, 60, "a", "0")}
	index := []Aborted{{Producer: 7, First: 0, Marker: 1}}
	none := &producer.State{}
	log, kept := pass(t, 1000, none, index, log...)
	if len(log) != 2 || !kept[1].Same || !kept[1].Aborted {
		t.Fatalf("the first round leaves %d batches, the marker as %+v", len(log), kept[1])
	}
	log, kept = pass(t, 1000, none, index, log...)
	if ms, ok := log[0].DeleteHorizon(); !ok || ms != 1100 || kept[0].Aborted {
		t.Fatalf("the second round stamps %d, %t; the index needs it: %t", ms, ok, kept[0].Aborted)
	}
	if m, err := record.ParseControl(log[0]); err != nil || m.Type != record.Abort || m.TimestampMs != 70 {
		t.Errorf("a stamped marker is %+v, %v", m, err)
	}
	if log, _ = pass(t, 1099, none, nil, log...); len(log) != 2 {
		t.Fatal("the marker went before its horizon")
	}
	var known producer.State
	known.ApplyMarker(&producer.Marker{Producer: 7, Offset: 1})
	if log, _ = pass(t, 1100, &known, nil, log...); len(log) != 2 {
		t.Fatal("T1: the last marker of a producer went")
	}
	if log, _ = pass(t, 1100, none, nil, log...); len(log) != 1 || log[0].BaseOffset() != 2 {
		t.Fatal("the marker is there after its horizon")
	}
}

// TestStaleIndex: an entry whose marker is gone, which an old snapshot may bring back, says nothing of what comes after it (T2).
func TestStaleIndex(t *testing.T) {
	log := []record.Batch{build(t, transactional(7, 10, 1), 50, "a", "1"), marker(record.Commit, 7, 11)}
	out, _ := pass(t, 1000, &producer.State{}, []Aborted{{Producer: 7, First: 0, Marker: 1}}, log...)
	if len(out) != 2 || out[0].RecordCount() != 1 {
		t.Error("a committed record is gone")
	}
}

// TestCommittedMarkerWaits: a marker stays as long as there is a batch of its transaction, be it empty.
func TestCommittedMarkerWaits(t *testing.T) {
	log := []record.Batch{build(t, transactional(7, 0, 0), 50, "a", "1"), marker(record.Commit, 7, 1), build(t, record.Options{BaseOffset: 2}, 60, "a", "0")}
	var known producer.State
	known.Apply(&producer.Batch{Producer: 7, BaseOffset: 0, LastOffset: 0, Transactional: true})
	for range 3 {
		log, _ = pass(t, 1000, &known, nil, log...)
	}
	if len(log) != 3 || log[0].RecordCount() != 0 || log[0].MaxTimestamp() != 50 {
		t.Fatalf("%d batches are left", len(log))
	}
	if _, ok := log[1].DeleteHorizon(); ok {
		t.Error("the marker of a batch that is left has a horizon")
	}
}

// TestOddRecords: what was written before the topic was compacted goes; what nobody can read stays as it is.
func TestOddRecords(t *testing.T) {
	w := record.NewBuilder(record.Options{})
	w.Add(1, nil, []byte("x"))
	keyless, _ := w.Build()
	garbage := build(t, record.Options{BaseOffset: 1}, 1, "a", "1")
	garbage[len(garbage)-1] ^= 0x55 // and a checksum that holds
	garbage.SetMaxTimestamp(2)
	out, kept := pass(t, 1000, &producer.State{}, nil, keyless, garbage)
	if len(out) != 1 || !kept[1].Same || !kept[1].Unreadable {
		t.Errorf("%d batches are left, the unreadable one is %+v", len(out), kept[1])
	}
}

// TestKeys: the latest offset of each key, in bounded memory.
func TestKeys(t *testing.T) {
	k := NewKeys(minSlots*slotBytes*4, 0.75, 1<<40, Salt{})
	n := 0
	for ; k.Put(fmt.Appendf(nil, "key %d", n), model.Offset(n)); n++ {
	}
	if n != minSlots*3 || k.Len() != n {
		t.Fatalf("%d keys fit, want %d", n, minSlots*3)
	}
	if !k.Put([]byte("key 5"), 1<<40) || !k.Superseded([]byte("key 5"), 5) || k.Superseded([]byte("key 5"), 1<<40) {
		t.Error("a key that is known does not get a later offset")
	}
	for i := range n {
		if key := fmt.Appendf(nil, "key %d", i); i != 5 && k.Superseded(key, model.Offset(i)) || !k.Superseded(key, model.Offset(i-1)) {
			t.Fatalf("key %d", i)
		}
	}
	if k.Superseded([]byte("another"), 0) {
		t.Error("a key that was never put is superseded")
	}
}

// TestLook: when a log is due, and how far it may be compacted.
func TestLook(t *testing.T) {
	const now = 10_000
	seg := func(base, end model.Offset, bytes, ts int64, cleaned bool) Segment {
		return Segment{Base: base, End: end, Bytes: bytes, FirstTs: ts, Last: ts, Cleaned: cleaned, CleanedTo: end}
	}
	log := []Segment{seg(5, 10, 600, 1000, true), seg(10, 20, 300, 2000, false), seg(20, 30, 300, 9000, false)}
	for _, c := range []struct {
		name  string
		limit model.Offset
		p     Policy
		want  Work
	}{
		{"half is not more than half", 30, Policy{MinRatio: 0.5}, Work{From: 10, Segments: 3, CleanBytes: 600, DirtyBytes: 600}},
		{"enough", 30, Policy{MinRatio: 0.49}, Work{From: 10, Segments: 3, CleanBytes: 600, DirtyBytes: 600, Due: true}},
		{"an open transaction", 29, Policy{MinRatio: 0.1}, Work{From: 10, Segments: 2, CleanBytes: 600, DirtyBytes: 300, Due: true}},
		{"too young", 30, Policy{MinRatio: 0.1, MinLagMs: 2000}, Work{From: 10, Segments: 2, CleanBytes: 600, DirtyBytes: 300, Due: true}},
		{"too old", 30, Policy{MinRatio: 0.9, MaxLagMs: 7000}, Work{From: 10, Segments: 3, CleanBytes: 600, DirtyBytes: 600, Due: true, Overdue: true}},
		{"as much as is bounded", 30, Policy{MinRatio: 0.9, MostUncleaned: 600}, Work{From: 10, Segments: 3, CleanBytes: 600, DirtyBytes: 600, Due: true, Outgrown: true}},
		{"less than is clean", 29, Policy{MinRatio: 0.9, MostUncleaned: 1}, Work{From: 10, Segments: 2, CleanBytes: 600, DirtyBytes: 300}},
		{"nothing dirty", 10, Policy{MinRatio: 0, MaxLagMs: 1}, Work{From: 10, Segments: 1, CleanBytes: 600}},
		{"nothing", 5, Policy{}, Work{From: 10}},
	} {
		if got := Look(log, c.limit, now, c.p); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
	part := []Segment{seg(0, 10, 1, 1, true), {Base: 10, End: 20, Cleaned: true, CleanedTo: 15}, seg(20, 30, 1, 1, false)}
	if from := firstDirty(part); from != 15 {
		t.Errorf("after a survey that ended at 15, the next begins at %d", from)
	}
	if runs := Groups(log, 900); fmt.Sprint(runs) != "[2 1]" {
		t.Errorf("groups of 900 bytes: %v", runs)
	}
}
