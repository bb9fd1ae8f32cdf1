package record

import (
	"errors"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record/compress"
)

func TestBuilderKeepsGapsAndTheLastOffset(t *testing.T) {
	horizon := int64(500)
	w := NewBuilder(Options{BaseOffset: 10, DeleteHorizonMs: &horizon})
	w.AddAt(12, 900, []byte("a"), nil)
	w.AddAt(15, 800, []byte("b"), nil)
	w.KeepThrough(19)
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err != nil || b.RecordCount() != 2 || b.LastOffset() != 19 || b.MaxTimestamp() != 900 {
		t.Errorf("%v; %d records to offset %d, max timestamp %d", err, b.RecordCount(), b.LastOffset(), b.MaxTimestamp())
	}
	if ms, ok := b.DeleteHorizon(); !ok || ms != 500 {
		t.Errorf("delete horizon %d, %t", ms, ok)
	}
	it := NewIterator(b.Records(), b.RecordCount())
	var r Record
	for _, want := range []struct {
		delta int32
		ts    int64
	}{{2, 900}, {5, 800}} {
		if !it.Next(&r) || r.OffsetDelta != want.delta || b.BaseTimestamp()+r.TimestampDelta != want.ts {
			t.Errorf("got %+v (%v), want %+v", r, it.Err(), want)
		}
	}
}

func TestBuilderWithoutRecordsKeepsTheHeader(t *testing.T) {
	w := NewBuilder(Options{BaseOffset: 10, Producer: &Producer{ID: 1, Epoch: 0, Sequence: 4}})
	w.KeepThrough(14)
	b, err := w.Build()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err != nil || len(b) != HeaderSize || b.LastSequence() != 8 || b.LastOffset() != 14 || b.MaxTimestamp() != NoTimestamp {
		t.Errorf("%v; %d bytes, last sequence %d, last offset %d", err, len(b), b.LastSequence(), b.LastOffset())
	}
}

func TestBuilderRefuses(t *testing.T) {
	for name, fill := range map[string]func(w *Builder){
		"same offset twice":        func(w *Builder) { w.AddAt(10, 0, nil, nil); w.AddAt(10, 0, nil, nil) },
		"before the base offset":   func(w *Builder) { w.AddAt(9, 0, nil, nil) },
		"too far from the base":    func(w *Builder) { w.AddAt(10+1<<31, 0, nil, nil) },
		"kept less than was added": func(w *Builder) { w.AddAt(12, 0, nil, nil); w.KeepThrough(11) },
	} {
		w := NewBuilder(Options{BaseOffset: 10})
		fill(w)
		w.Add(0, nil, nil) // what follows an error changes nothing
		if b, err := w.Build(); !errors.Is(err, ErrBuild) || b != nil {
			t.Errorf("%s: %v, want ErrBuild", name, err)
		}
	}
	if _, err := NewBuilder(Options{Codec: 5}).Build(); !errors.Is(err, ErrCodec) {
		t.Errorf("codec 5: %v", err)
	}
	if _, err := NewBuilder(Options{Codec: compress.Gzip, Level: 10}).Build(); !errors.Is(err, compress.ErrLevel) {
		t.Errorf("gzip level 10: %v", err)
	}
}

func TestLogAppendTimeBatch(t *testing.T) {
	now := int64(99)
	w := NewBuilder(Options{LogAppendTimeMs: &now})
	w.Add(5, nil, []byte("x"))
	b, err := w.Build()
	if err != nil || b.TimestampType() != LogAppendTime || b.MaxTimestamp() != 99 {
		t.Errorf("%v, %v, %d", err, b.TimestampType(), b.MaxTimestamp())
	}
}

func TestEndTxnRoundTrip(t *testing.T) {
	for _, kind := range []ControlType{Abort, Commit} {
		want := Marker{Type: kind, CoordinatorEpoch: 12, Producer: 77, ProducerEpoch: 5, TimestampMs: 1234}
		b := EndTxn(want)
		b.SetBaseOffset(50)
		if err := b.Check(); err != nil || !b.IsControl() || !b.IsTransactional() || b.BaseSequence() != NoSequence {
			t.Fatalf("%v: %v", kind, err)
		}
		if err := b.CheckClient(); !errors.Is(err, ErrControl) {
			t.Errorf("%v: a client may write it: %v", kind, err)
		}
		if got, err := ParseControl(b); err != nil || got != want {
			t.Errorf("%v: got %+v, %v; want %+v", kind, got, err, want)
		}
	}
}

func TestParseControlRefuses(t *testing.T) {
	control := func(key, value []byte) Batch {
		w := NewBuilder(Options{Control: true})
		w.Add(0, key, value)
		b, _ := w.Build()
		return b
	}
	for name, b := range map[string]Batch{
		"data":        sample(t, 1, Options{}),
		"short key":   control([]byte{0, 0, 0}, make([]byte, 6)),
		"null value":  control([]byte{0, 0, 0, 1}, nil),
		"short value": control([]byte{0, 0, 0, 1}, make([]byte, 5)),
	} {
		if _, err := ParseControl(b); !errors.Is(err, ErrNotControl) {
			t.Errorf("%s: %v, want ErrNotControl", name, err)
		}
	}
	m, err := ParseControl(control([]byte{0, 0, 0, 2}, nil))
	if err != nil || m.Type != 2 || m.Type.String() != "UNKNOWN(2)" || m.Producer != model.NoProducer {
		t.Errorf("a leader change is %+v, %v", m, err)
	}
}
