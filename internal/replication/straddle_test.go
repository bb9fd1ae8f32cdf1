package replication

import (
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
)

// batchAt is a batch as a log holds it.
func batchAt(t *testing.T, base model.Offset, records int) []byte {
	t.Helper()
	b := record.NewBuilder(record.Options{})
	for i := range records {
		b.Add(int64(i), nil, []byte("v"))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	out.SetBaseOffset(base)
	return out
}

// empty is a follower that holds nothing and asks from an offset.
func (b *bench) empty(id model.BrokerID, at model.Offset) Answer {
	m := b.question(id, at, at, model.NoEpoch)
	m.Own.Start = at
	return b.Subscribe(m, b.now)
}

// TestR2TheLogStartLiesInsideOfABatch: records were deleted up to an offset inside of a batch. A follower that holds nothing cannot
// begin there, but at the batch's base offset.
func TestR2TheLogStartLiesInsideOfABatch(t *testing.T) {
	b := begin(t, setup{start: 14, log: epochs(20, 4), synced: 34, isr: []model.BrokerID{0}})
	if a, ok := b.empty(1, 0).(Restart); !ok || a.LogStart != 14 {
		t.Fatalf("an empty follower is answered with %+v", a)
	}
	if a, ok := b.empty(1, 14).(Accepted); !ok || a.From != 14 {
		t.Fatalf("at the log start: %+v", a)
	}
	straddling := batchAt(t, 10, 10)
	if m, ok := b.Send(1, 14, 20, straddling); ok {
		t.Fatalf("sent is a batch that the follower refuses: %+v", m)
	}
	if _, _, ok := b.Next(1); ok {
		t.Error("it is to be sent again")
	}
	want := Restart{Reply{b.subs[1], benchEpoch, 101}, 10}
	if m, ok := b.Overtaken(1); !ok || m != want {
		t.Fatalf("Overtaken = %+v, %v, want %+v", m, ok, want)
	}
	if _, ok := b.Overtaken(1); ok {
		t.Error("told twice")
	}
	if a, ok := b.empty(1, 10).(Accepted); !ok || a.From != 10 || a.LogStart != 14 {
		t.Fatalf("at the batch: %+v", a)
	}
	if from, _, ok := b.Next(1); !ok || from != 10 {
		t.Fatalf("Next = %d, %v", from, ok)
	}
	if m, ok := b.Send(1, 10, 20, straddling); !ok || m.From != 10 || m.LogStart != 14 {
		t.Fatalf("Send = %+v, %v", m, ok)
	}
	b.commit(0) // nothing of it joins before it is even
	if a, ok := b.empty(2, 0).(Restart); !ok || a.LogStart != 10 {
		t.Errorf("the next empty follower is answered with %+v", a)
	}
	b.log.trim(17)
	b.OwnMoved(b.log.own(), b.now)
	if a, ok := b.empty(2, 5).(Restart); !ok || a.LogStart != 10 {
		t.Errorf("after more of the batch was deleted: %+v", a)
	}
	b.empty(2, 10)
	b.log.trim(20)
	b.OwnMoved(b.log.own(), b.now)
	if m, ok := b.Overtaken(2); !ok || m.LogStart != 20 {
		t.Errorf("after all of it was deleted: %+v, %v", m, ok)
	}
}

// TestR2AnEmptyFollowerInsideOfABatch: its log was cut off where a deletion had ended. The leader's holds that batch as a whole.
func TestR2AnEmptyFollowerInsideOfABatch(t *testing.T) {
	b := begin(t, setup{log: epochs(30, 4), synced: 30, isr: []model.BrokerID{0}})
	if a, ok := b.empty(1, 14).(Accepted); !ok {
		t.Fatalf("answered with %+v", a)
	}
	b.Send(1, 14, 20, batchAt(t, 10, 10))
	if m, ok := b.Overtaken(1); !ok || m.LogStart != 10 {
		t.Fatalf("Overtaken = %+v, %v", m, ok)
	}
	if a, ok := b.empty(2, 0).(Accepted); !ok {
		t.Errorf("another one, at the log start: %+v", a)
	}
	// One that is in the middle of the log and holds something agrees with it: its end is a batch's end, whatever is read here.
	b.subscribe(1, 14, 14)
	if _, ok := b.Send(1, 14, 20, batchAt(t, 10, 10)); !ok {
		t.Error("a follower that holds something is to begin anew")
	}
}

// TestR2RestartBelowAnEmptyLog is no loss of anything committed.
func TestR2RestartBelowAnEmptyLog(t *testing.T) {
	d := follow(t, logOf(14, nil), 14)
	d.Take()
	d.accept(20, 14)
	d.Answer(Restart{d.about(), 10}, d.now)
	if cut := d.Take().Truncate; cut == nil || *cut != (Truncate{To: 10, All: true}) {
		t.Fatalf("wants %+v", cut)
	}
	d.log.restart(10)
	d.Truncated(d.log.own(), d.now)
	d.wantQuestion(10, model.NoEpoch)
}
