package shard

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
)

var start = time.UnixMilli(1e9)

func serve(t *testing.T, m *cells) *Shard {
	t.Helper()
	s := New(Options{Topic: schema.Groups, Machine: m, MaxBatchBytes: modelMaxBytes, Patience: modelPatience}, 0)
	s.Serve(start, nil)
	return s
}

// write decides one record; what it is answered is appended to told.
func write(s *Shard, told *[]error, value model.Offset) {
	reply := func(err error) { *told = append(*told, err) }
	s.Do(start, func(time.Time) Result {
		return Result{Records: []schema.Record{put(0, value)}, Sees: model.NoOffset, Reply: reply}
	}, reply)
}

func TestTwoBatchesAreOnTheirWayAndTheNextGathers(t *testing.T) {
	s := serve(t, newCells())
	var told []error
	take := func(wantBase model.Offset, wantRecords int32) {
		t.Helper()
		b, ok := s.Take()
		if !ok || b.Base != wantBase || b.Bytes.RecordCount() != wantRecords || b.Bytes.Check() != nil {
			t.Fatalf("Take() = %d with %v, %v, want %d records from %d", b.Base, b.Bytes, ok, wantRecords, wantBase)
		}
		s.Appended(b.Base)
	}
	write(s, &told, 1)
	take(0, 1)
	write(s, &told, 2)
	take(1, 1)
	write(s, &told, 3)
	write(s, &told, 4)
	if _, ok := s.Take(); ok {
		t.Fatal("a third batch is on its way")
	}
	s.Settle(1)
	take(2, 2)
	if len(told) != 1 || told[0] != nil {
		t.Errorf("told %v, want one who succeeded", told)
	}
}

func TestRefusalTakesBackWhatFollows(t *testing.T) {
	m := newCells()
	s := serve(t, m)
	var first, later []error
	write(s, &first, 1)
	b, _ := s.Take()
	s.Appended(b.Base)
	write(s, &later, 2)
	s.Take()
	write(s, &later, 3)
	s.Refused(errRefused)
	if v, _ := m.values.Get(0); v.value != 1 || s.EndOffset() != 1 {
		t.Errorf("the value is %d, the end %d, want 1 and 1", v.value, s.EndOffset())
	}
	if !slices.Equal(later, []error{errRefused, errRefused}) || len(first) != 0 {
		t.Errorf("told %v and %v", first, later)
	}
	write(s, &later, 4)
	if b, ok := s.Take(); !ok || b.Base != 1 {
		t.Errorf("Take() = %d, %v, want 1", b.Base, ok)
	}
}

// TestWhatHasWaitedComesNext: it sees what it has waited for, in the same batch; if that ends the shard, it is refused.
func TestWhatHasWaitedComesNext(t *testing.T) {
	m := newCells()
	s := serve(t, m)
	var told []error
	var saw model.Offset
	reply := func(err error) { told = append(told, err) }
	next := Decision{Decide: func(time.Time) Result {
		v, _ := m.values.Get(0)
		saw = v.value
		return Result{Records: []schema.Record{put(0, v.value+1)}, Reply: reply}
	}, Refuse: reply}
	first := func(value model.Offset) {
		s.Do(start, func(time.Time) Result {
			return Result{Records: []schema.Record{put(0, value)}, Reply: reply, Next: []Decision{next, next}}
		}, reply)
	}
	first(5)
	if b, ok := s.Take(); !ok || b.Bytes.RecordCount() != 3 || saw != 6 {
		t.Fatalf("Take() = %v, %v, the last one saw %d", b.Bytes, ok, saw)
	}
	s.Appended(0)
	s.Settle(3)
	if !slices.Equal(told, []error{nil, nil, nil}) {
		t.Fatalf("told %v", told)
	}
	told = nil
	first(poison)
	if !slices.Equal(told, []error{ErrNotCoordinator, ErrNotCoordinator, ErrNotCoordinator}) {
		t.Errorf("after what cannot be applied: told %v", told)
	}
}

// TestTransactionsAreBatchesOfTheirOwn: a producer's records and markers share no batch, and what one is refused for is not told to who
// has nothing to do with it (E2).
func TestTransactionsAreBatchesOfTheirOwn(t *testing.T) {
	m := newCells()
	s := serve(t, m)
	var told []error
	decide := func(r Result) {
		r.Reply = func(err error) { told = append(told, err) }
		s.Do(start, func(time.Time) Result { return r }, r.Reply)
	}
	write(s, &told, 1)
	decide(Result{Records: []schema.Record{put(1, 1), put(2, 1)}, Txn: &Producer{7, 3}})
	decide(Result{Marker: &record.Marker{Type: record.Abort, Producer: 7, ProducerEpoch: 4}})
	write(s, &told, 2)
	if b, _ := s.Take(); b.Bytes.RecordCount() != 1 || b.Bytes.IsTransactional() {
		t.Fatalf("first is %v", b)
	}
	s.Appended(0)
	if b, _ := s.Take(); b.Base != 1 || b.Bytes.RecordCount() != 2 || b.Bytes.ProducerID() != 7 || b.Bytes.ProducerEpoch() != 3 || !b.Bytes.IsTransactional() {
		t.Fatalf("then is %v", b)
	}
	s.Refused(errRefused)
	if len(told) != 3 || told[0] != errRefused || !errors.Is(told[1], ErrTimedOut) || !errors.Is(told[2], ErrTimedOut) {
		t.Errorf("told %v", told)
	}
	if v, ok := m.values.Get(endedBy(7)); ok || s.EndOffset() != 1 {
		t.Errorf("the marker is still %v, the end %d", v, s.EndOffset())
	}
}

// TestEffects: they wait for their records however long that takes, and go with them (T3).
func TestEffects(t *testing.T) {
	var done []Effect
	o := Options{Topic: schema.Groups, Machine: newCells(), MaxBatchBytes: modelMaxBytes, Patience: modelPatience, Leads: func() error { return errRefused }}
	o.Effect = func(e Effect) { done = append(done, e) }
	s := New(o, 0)
	s.Serve(start, nil)
	var told []error
	decide := func(e string, sees model.Offset, records ...schema.Record) {
		r := Result{Records: records, Sees: sees, Effects: []Effect{e}, Reply: func(err error) { told = append(told, err) }}
		s.Do(start, func(time.Time) Result { return r }, r.Reply)
	}
	decide("at once", model.NoOffset)
	decide("first", model.NoOffset, put(1, 1))
	decide("after first", 0)
	b, _ := s.Take()
	s.Appended(b.Base)
	decide("second", model.NoOffset, put(1, 2))
	s.Take()
	s.Refused(errRefused)
	s.Tick(start.Add(modelPatience), true)
	if want := []error{ErrNotCoordinator, errRefused, ErrTimedOut, ErrTimedOut}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	if want := []Effect{"at once"}; !slices.Equal(done, want) {
		t.Errorf("before anything is settled %v is done", done)
	}
	s.Settle(1)
	if want := []Effect{"at once", "first", "after first"}; !slices.Equal(done, want) || len(told) != 4 {
		t.Errorf("done %v, want %v; told %v", done, want, told)
	}
	decide("third", model.NoOffset, put(1, 3))
	if b, _ = s.Take(); b.Base == 1 {
		s.Appended(1)
	}
	s.Doubt(2, errFew)
	decide("fourth", model.NoOffset, put(1, 4))
	s.End()
	if n := len(done); n != 4 || done[3] != "third" {
		t.Errorf("done %v: what is in the log is to be done, what the next coordinator may not find is not", done)
	}
}

func TestPartedEnds(t *testing.T) {
	for name, part := range map[string]func(*Shard){
		"appended elsewhere":        func(s *Shard) { s.Appended(7) },
		"settled beyond the append": func(s *Shard) { s.Appended(0); s.Settle(2) },
		"lost":                      func(s *Shard) { s.Appended(0); s.Lost(errRefused) },
	} {
		m := newCells()
		s := serve(t, m)
		var told []error
		write(s, &told, 1)
		s.Take()
		part(s)
		if over, err := s.Ended(); !over || err == nil || !m.ended {
			t.Errorf("%s: ended %v, %v, the machine %v", name, over, err, m.ended)
		}
		if !slices.Equal(told, []error{ErrNotCoordinator}) {
			t.Errorf("%s: told %v", name, told)
		}
	}
}

func TestWhatCannotBeAppliedEnds(t *testing.T) {
	s := serve(t, newCells())
	var told []error
	write(s, &told, poison)
	if over, err := s.Ended(); !over || !errors.Is(err, errPoison) || !slices.Equal(told, []error{ErrNotCoordinator}) {
		t.Errorf("ended %v, %v, told %v", over, err, told)
	}
}

func TestRepliesThatWaitTooLongLeaveTheirRecords(t *testing.T) {
	m := newCells()
	s := serve(t, m)
	var told []error
	write(s, &told, 1)
	b, _ := s.Take()
	s.Appended(b.Base)
	if at, ok := s.Next(); !ok || !at.Equal(start.Add(modelPatience)) {
		t.Fatalf("Next() = %v, %v", at, ok)
	}
	s.Tick(start.Add(modelPatience), true)
	s.Settle(1)
	if v, ok := m.values.Settled(0); !ok || v.value != 1 || !slices.Equal(told, []error{ErrTimedOut}) {
		t.Errorf("the value is %v, told %v", v, told)
	}
	if _, ok := s.Next(); ok {
		t.Error("nobody waits, and there is something to wait for")
	}
}

// TestTimers: by deadline, then by key; moved ones once; what is set for now fires with the next tick; and those that go by a wall clock
// wait while it cannot be trusted (E4).
func TestTimers(t *testing.T) {
	m := newCells()
	after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	m.loaded.Timers = []TimerChange{
		{Key: TimerKey{Kind: 1, Group: "b"}, At: after(1)}, {Key: TimerKey{Kind: 1, Group: "a"}, At: after(1)},
		{Key: TimerKey{Group: "moved"}, At: after(1)}, {Key: TimerKey{Group: "moved"}, At: after(3)},
		{Key: TimerKey{Group: "gone"}, At: after(1)}, {Key: TimerKey{Group: "gone"}},
		{Key: TimerKey{Kind: 9, Group: "wall"}, At: after(2), Wall: true},
	}
	s := serve(t, m)
	fired := func(now time.Time, cleared bool, want string) {
		t.Helper()
		m.fired = nil
		s.Tick(now, cleared)
		if got := strings.Join(m.fired, " "); got != want {
			t.Errorf("at %v: %q, want %q", now.Sub(start), got, want)
		}
	}
	fired(after(0), true, "")
	fired(after(1), true, "1a 1b")
	fired(after(2), false, "")
	fired(after(3), false, "0moved")
	again := TimerChange{Key: TimerKey{Kind: 9, Group: "wall"}, At: start}
	m.onTimer = func(time.Time, TimerKey) Result { return Result{Sees: model.NoOffset, Timers: []TimerChange{again}} }
	fired(after(61), true, "")
	fired(after(62), true, "9wall")
	fired(after(63), true, "9wall")
}

func batchOf(t *testing.T, o record.Options, keys, values [][]byte) record.Batch {
	t.Helper()
	b := record.NewBuilder(o)
	for i, k := range keys {
		b.Add(0, k, values[i])
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLoad: compressed batches, gaps, markers and what newer brokers wrote are read; what is damaged ends the load (D4).
func TestLoad(t *testing.T) {
	key, value, err := schema.Encode(put(3, 7))
	if err != nil {
		t.Fatal(err)
	}
	another, err := schema.AppendKey(nil, put(4, 7))
	if err != nil {
		t.Fatal(err)
	}
	unknown := []byte{0x7f, 0xff, 1, 2}
	m := newCells()
	s := New(Options{Topic: schema.Groups, Machine: m, MaxBatchBytes: modelMaxBytes}, 20)
	marker := record.EndTxn(record.Marker{Type: record.Commit, Producer: 5, ProducerEpoch: 2})
	marker.SetBaseOffset(12)
	for _, b := range []record.Batch{
		batchOf(t, record.Options{BaseOffset: 4, Codec: compress.Gzip}, [][]byte{unknown, key}, [][]byte{value, value}),
		marker,
		batchOf(t, record.Options{BaseOffset: 13, Producer: &record.Producer{ID: 5, Epoch: 3}, Transactional: true}, [][]byte{another}, [][]byte{value}),
	} {
		if err := s.Replay(b); err != nil {
			t.Fatal(err)
		}
	}
	if v, _ := m.values.Settled(3); v != (cell{5, 7, noProducer}) || s.Skipped() != 1 {
		t.Errorf("loaded %v, %d skipped", v, s.Skipped())
	}
	if v, _ := m.values.Settled(endedBy(5)); v != (cell{12, model.Offset(record.Commit), Producer{5, 2}}) {
		t.Errorf("the marker is %v", v)
	}
	if v, _ := m.values.Settled(4); v != (cell{13, 7, Producer{5, 3}}) {
		t.Errorf("of a transaction is %v", v)
	}
	if s.Serve(start, nil); s.EndOffset() != 20 {
		t.Errorf("the next offset is %d", s.EndOffset())
	}
	for name, b := range map[string]record.Batch{
		"a record that cannot be read": batchOf(t, record.Options{}, [][]byte{key}, [][]byte{value[:3]}),
		"above where the load ends":    batchOf(t, record.Options{BaseOffset: 20}, [][]byte{key}, [][]byte{value}),
	} {
		if err := New(Options{Topic: schema.Groups, Machine: newCells()}, 20).Replay(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestImages: a change of the metadata is decided like a request, while the shard serves; before, Serve's image has it.
func TestImages(t *testing.T) {
	m := newCells()
	s := New(Options{Topic: schema.Groups, Machine: m, MaxBatchBytes: modelMaxBytes, Patience: modelPatience}, 0)
	s.OnImage(start, nil, nil)
	if m.images != 0 {
		t.Error("a machine that is being loaded was told of an image")
	}
	s.Serve(start, nil)
	s.OnImage(start, nil, nil)
	if b, ok := s.Take(); !ok || m.images != 1 || b.Bytes.RecordCount() != 1 {
		t.Errorf("%d images were decided about, to append is %v", m.images, ok)
	}
	s.End()
	s.OnImage(start, nil, nil)
	if m.images != 1 {
		t.Error("a machine whose shard has ended was told of an image")
	}
}

// TestConfigure: a smaller limit holds from the next decision on.
func TestConfigure(t *testing.T) {
	s := serve(t, newCells())
	var told []error
	s.Configure(record.HeaderSize)
	write(s, &told, 1)
	if len(told) != 1 || !errors.Is(told[0], ErrTooLarge) {
		t.Errorf("told %v, want ErrTooLarge", told)
	}
	s.Configure(modelMaxBytes)
	write(s, &told, 1)
	if _, ok := s.Take(); !ok || len(told) != 1 {
		t.Errorf("after the limit was raised: taken %v, told %v", ok, told)
	}
}
