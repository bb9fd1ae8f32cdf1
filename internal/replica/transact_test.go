package replica

import (
	"errors"
	"slices"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// transactor writes to a replica in transactions, and answers for their coordinator when the test says so.
type transactor struct {
	t      *testing.T
	r      *Replica
	asked  []func(error) // not answered yet
	placed []model.Offset
	errs   []error
}

func transacting(t *testing.T) (*transactor, *rig) {
	g := open(t, crashfs.New(1))
	g.Ensure(assign(t0, 1, 5))
	return &transactor{t: t, r: g.Get(t0)}, g
}

// write sends a batch of one record.
func (x *transactor) write(epoch int16, sequence int32) {
	b := batch(x.t, record.Options{Producer: &record.Producer{ID: 7, Epoch: epoch, Sequence: sequence}, Transactional: true}, now)
	x.r.Transact(Transaction{
		Append: Append{Batch: b, Acks: -1},
		Verify: func(done func(error)) { x.asked = append(x.asked, done) },
		Placed: func(a wal.Appended, err error) {
			if x.errs = append(x.errs, err); err == nil {
				x.placed = append(x.placed, a.BaseOffset)
			}
		},
	})
}

// answer answers the question that is open.
func (x *transactor) answer(err error) {
	x.t.Helper()
	if len(x.asked) != 1 {
		x.t.Fatalf("%d questions are open, want 1", len(x.asked))
	}
	done := x.asked[0]
	x.asked = nil
	done(err)
}

func (x *transactor) is(asked int, placed ...model.Offset) {
	x.t.Helper()
	if len(x.asked) != asked || !slices.Equal(x.placed, placed) {
		x.t.Errorf("%d questions are open, batches stand at %v (%v); want %d, %v", len(x.asked), x.placed, x.errs, asked, placed)
	}
}

func (x *transactor) marker(epoch int16) {
	x.t.Helper()
	if err := x.r.AppendMarker(record.Marker{Type: record.Abort, Producer: 7, ProducerEpoch: epoch, TimestampMs: now}, false, nil); err != nil {
		x.t.Fatal(err)
	}
}

// TestTransactionsBegin: the coordinator is asked once for a transaction, and what its producer sends meanwhile stays in order.
func TestTransactionsBegin(t *testing.T) {
	x, _ := transacting(t)
	x.write(0, 0)
	x.write(0, 1)
	x.write(0, 2)
	x.is(1)
	x.answer(nil)
	x.is(0, 0, 1, 2)
	x.write(0, 3)
	x.is(0, 0, 1, 2, 3)
	x.marker(0) // at 4
	x.write(0, 4)
	x.is(1, 0, 1, 2, 3)
	x.answer(nil)
	x.is(0, 0, 1, 2, 3, 5)
}

// TestTransactionRefused: what the coordinator refuses is refused with all that waits behind it, and nothing of it stays.
func TestTransactionRefused(t *testing.T) {
	x, _ := transacting(t)
	x.write(0, 0)
	x.write(0, 1)
	no := errors.New("no")
	x.answer(no)
	x.is(0)
	if len(x.errs) != 2 || !errors.Is(x.errs[0], no) || !errors.Is(x.errs[1], no) {
		t.Errorf("refused with %v", x.errs)
	}
	x.write(0, 0)
	x.answer(nil)
	x.is(0, 0)
}

// TestT3MarkerWhileAsked: what a coordinator says of a transaction that ends meanwhile does not begin another one, which nobody would end: it is asked again.
func TestT3MarkerWhileAsked(t *testing.T) {
	x, _ := transacting(t)
	x.write(0, 0)
	x.marker(0) // at 0
	x.answer(nil)
	x.is(1)
	x.answer(producer.ErrInvalidTxnState)
	x.is(0)
}

// TestMarkerOfTheEpochBefore: where each end raises the epoch, a marker with the epoch that is asked about ends the transaction before, and nothing is asked again.
// One that raises it further does.
func TestMarkerOfTheEpochBefore(t *testing.T) {
	x, _ := transacting(t)
	raised := func(epoch int16) {
		t.Helper()
		if err := x.r.AppendMarker(record.Marker{Type: record.Commit, Producer: 7, ProducerEpoch: epoch, TimestampMs: now}, true, nil); err != nil {
			t.Fatal(err)
		}
	}
	x.write(0, 0)
	x.answer(nil)
	x.write(1, 0)
	raised(1) // at 1
	x.answer(nil)
	x.is(0, 0, 2)
	raised(2) // at 3
	x.write(2, 0)
	raised(3) // at 4
	x.answer(nil)
	x.is(1, 0, 2)
}

// TestTransactionOfTheNextEpoch: under the second version of the protocol another epoch is another transaction, also while the first one is open.
func TestTransactionOfTheNextEpoch(t *testing.T) {
	x, _ := transacting(t)
	x.write(0, 0)
	x.write(1, 0)
	x.answer(nil)
	x.is(1, 0)
	x.answer(errors.New("the one before is being ended"))
	x.is(0, 0)
	x.marker(1) // at 1, of the first: the epoch was raised for it
	x.write(1, 0)
	x.answer(nil)
	x.is(0, 0, 2)
}

// TestT3OtherLeaderWhileAsked: another leader may have written markers meanwhile.
func TestT3OtherLeaderWhileAsked(t *testing.T) {
	x, g := transacting(t)
	x.write(0, 0)
	g.Ensure(assign(t0, 1, 7))
	x.answer(nil)
	if x.is(0); len(x.errs) != 1 || !errors.Is(x.errs[0], ErrNotLeader) {
		t.Errorf("refused with %v, want ErrNotLeader", x.errs)
	}
}

// TestT3CoordinatorFenced: a marker of a coordinator that another one has followed is refused.
func TestT3CoordinatorFenced(t *testing.T) {
	x, _ := transacting(t)
	x.write(0, 0)
	x.answer(nil)
	m := record.Marker{Type: record.Commit, Producer: 7, CoordinatorEpoch: 3, TimestampMs: now}
	w := make(outcome, 1)
	if err := x.r.AppendMarker(m, false, w); err != nil || w.result(t) != nil {
		t.Fatal(err)
	}
	m.CoordinatorEpoch = 2
	if err := x.r.AppendMarker(m, false, nil); !errors.Is(err, producer.ErrCoordinatorFenced) {
		t.Errorf("a marker of an older coordinator: %v", err)
	}
}
