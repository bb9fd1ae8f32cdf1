package wal

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal/epoch"
	"chronik/internal/wal/producer"
	"chronik/internal/wal/txn"
)

// derived is everything that can be rebuilt from the log.
type derived struct {
	producers []ProducerInfo
	aborted   []AbortedTxn
	epochs    []epoch.Entry
	stable    model.Offset
}

func derivedOf(l *Log) derived {
	d := derived{producers: l.Producers(), aborted: l.core.txns.All(), epochs: l.core.epochs.Entries(), stable: l.LastStable(l.DurableEnd())}
	for i := range d.producers {
		d.producers[i].LastTimestamp = 0
	}
	return d
}

func (d derived) equal(o derived) bool {
	if len(d.producers) != len(o.producers) || len(d.aborted) != len(o.aborted) || len(d.epochs) != len(o.epochs) || d.stable != o.stable {
		return false
	}
	for i := range d.producers {
		if d.producers[i] != o.producers[i] {
			return false
		}
	}
	for i := range d.aborted {
		if d.aborted[i] != o.aborted[i] {
			return false
		}
	}
	for i := range d.epochs {
		if d.epochs[i] != o.epochs[i] {
			return false
		}
	}
	return true
}

// transactions appends many producers' work, some of it in transactions that are aborted, over several
// epochs.
func transactions(t *testing.T, l *Log, producers int) {
	t.Helper()
	for i := range producers {
		p := record.Producer{ID: model.ProducerID(100 + i), Epoch: 1, Sequence: 0}
		if i%3 == 0 {
			mustInTransaction(t, l, p, int64(i), []byte("k"), make([]byte, 100))
			kind := record.Abort
			if i%6 == 0 {
				kind = record.Commit
			}
			marker := record.EndTxn(record.Marker{Type: kind, Producer: p.ID, ProducerEpoch: 1, TimestampMs: int64(i)})
			if _, err := tryAppend(l, Append{Batch: marker, Origin: producer.Coordinator}); err != nil {
				t.Fatal(err)
			}
		} else {
			must(t, l, batch(2, 150, int64(i), &p))
		}
		if i%10 == 9 {
			if err := l.BeginEpoch(l.epochForTest() + 1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestL6DerivedState: the index, producers, epochs and transactions are the same after a reopen, after a
// crash, when their files are lost or damaged, and they agree with the log after a truncation. Few
// producers fit into the mark, many go to files.
func TestL6DerivedState(t *testing.T) {
	for _, producers := range []int{4, 60} {
		synctest.Test(t, func(t *testing.T) {
			e, disk, _, _ := onDisks(t)
			e.cfg.SegmentBytes = 4000
			e.cfg.ProducerExpiryMs, e.cfg.IndexIntervalBytes = 0, 256
			l, _ := e.open()
			transactions(t, l, producers)
			want := derivedOf(l)
			if len(want.aborted) == 0 || len(want.producers) != producers {
				t.Fatalf("the workload has %+v", want)
			}
			reopened := func(what string, disk *crashfs.FS, want derived) {
				t.Helper()
				com := NewCommitter(CommitterOptions{FS: disk, Workers: 1})
				defer com.Close()
				l, rec := (&env{t: t, fs: disk, com: com, dir: "d/t-7", id: e.id, cfg: e.cfg}).open()
				defer l.Abandon(nil)
				if got := derivedOf(l); !got.equal(want) || rec.Corruption != nil {
					t.Errorf("%d producers, %s:\n got %+v\nwant %+v\n(%+v)", producers, what, got, want, rec)
				}
				contents(t, l)
			}
			reopened("killed at once", disk.CrashClone(crashfs.Keep), want)
			time.Sleep(4 * time.Second) // marks and snapshot files
			reopened("killed after a rest", disk.CrashClone(crashfs.Lose), want)
			files := 0
			for _, name := range []string{producer.FileName, txn.FileName, epoch.FileName, indexName} {
				lost := disk.CrashClone(crashfs.Keep)
				if lost.Remove("d/t-7/"+name) == nil {
					files++
					reopened("without "+name, lost, want)
					rotten := disk.CrashClone(crashfs.Keep)
					if err := rotten.BitFlip("d/t-7/"+name, 40, 1); err != nil {
						t.Fatal(err)
					}
					reopened("with damage in "+name, rotten, want)
				}
			}
			if producers > 20 && files < 2 {
				t.Errorf("%d state files: the test tests nothing", files)
			}
			for _, to := range []model.Offset{l.End() - 3, l.End() / 2, 7, 2} {
				if err := l.Truncate(to); err != nil {
					t.Fatal(err)
				}
				got := derivedOf(l)
				rebuilt := derivedOf(replayed(contents(t, l), l.DurableEnd()))
				if !got.equal(rebuilt) {
					t.Errorf("%d producers, after truncating to %d:\n got %+v\nwant %+v", producers, to, got, rebuilt)
				}
				reopened("truncated", disk.CrashClone(crashfs.Lose), rebuilt)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			e.com.Close()
		})
	}
}

// replayed is a log without files whose derived state was made from batches that end at end.
func replayed(batches []byte, end model.Offset) *Log {
	fresh := &Log{core: newCore(DefaultConfig())}
	var known [stateKinds]model.Offset
	for rest := batches; len(rest) > 0; {
		var b record.Batch
		b, rest, _ = record.Next(rest)
		fresh.core.replay(b, &known)
	}
	fresh.visibleAt.Store(int64(end))
	return fresh
}

// TestE3DiskFull: a full disk refuses appends with a clear error and nothing else; reads and deletions go
// on, space brings appends back, and the log opens while the disk is full.
func TestE3DiskFull(t *testing.T) {
	e, disk, faults, seen := onDisks(t)
	e.cfg.SegmentBytes = 8000
	l, _ := e.open()
	p := record.Producer{ID: 1, Epoch: 0}
	appendOne := func() error {
		b := batch(1, 500, 1, &p)
		_, err := try(l, b)
		if err == nil {
			p.Sequence++
		}
		return err
	}
	for range 30 {
		if err := appendOne(); err != nil {
			t.Fatal(err)
		}
	}
	faults.LimitSpace(3000, syscall.ENOSPC)
	var err error
	for n := 0; err == nil; n++ {
		if err = appendOne(); n > 100 {
			t.Fatal("the disk does not fill")
		}
	}
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, vfs.ErrNoSpace) || errors.Is(err, ErrFenced) {
		t.Fatalf("got %v, want ErrNoSpace", err)
	}
	end := l.End()
	want := contents(t, l)
	if err := l.BeginEpoch(4); err != nil {
		t.Fatal(err)
	}
	if err := appendOne(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("in a new epoch: %v, want ErrNoSpace", err)
	}
	if got, want := derivedOf(l), derivedOf(replayed(want, end)); !got.equal(want) {
		t.Errorf("what failed has left its traces: %+v, want %+v", got, want)
	}
	if l.DurableEnd() != end {
		t.Errorf("end %d, durable end %d", end, l.DurableEnd())
	}
	if err := appendOne(); !errors.Is(err, ErrNoSpace) {
		t.Errorf("again: %v, want ErrNoSpace", err)
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep} {
		if got, rec := survives(t, disk.CrashClone(m), e.cfg); !bytes.Equal(got, want) || rec.Corruption != nil {
			t.Errorf("a crash while full leaves %d bytes, want %d (%+v)", len(got), len(want), rec)
		}
	}
	l.Abandon(nil)
	if l, _ = e.open(); l.End() != end { // restart while full
		t.Fatalf("reopened while full: end %d, want %d", l.End(), end)
	}
	if _, err := l.DeleteBefore(20); err != nil { // the deletion frees space
		t.Fatal(err)
	}
	l.takeTurn() // nobody holds a deleted file
	l.endTurn()
	e.com.files.closeAll()
	if err := appendOne(); err != nil {
		t.Errorf("after space was freed: %v", err)
	}
	if seen.fenced != nil {
		t.Errorf("fenced: %v", seen.fenced)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestT1RetryIsNotAppended: a retry is answered with the original's offset, and only when that is durable;
// a group that failed has never been.
func TestT1RetryIsNotAppended(t *testing.T) {
	e, _, faults, _ := onDisks(t)
	l, _ := e.open()
	first := batch(3, 100, 1, &record.Producer{ID: 1, Epoch: 0, Sequence: 0})
	must(t, l, bytes.Clone(first))
	if out := must(t, l, bytes.Clone(first)); !out.Duplicate || out.BaseOffset != 0 || out.LastOffset != 2 {
		t.Errorf("a retry of what is durable: %+v", out)
	}
	second := batch(2, 100, 1, &record.Producer{ID: 1, Epoch: 0, Sequence: 3})
	l.takeTurn()
	a, b := newWaiter(), newWaiter()
	if _, err := l.Append(Append{Batch: bytes.Clone(second), Waiter: a}); err != nil {
		t.Fatal(err)
	}
	out, err := l.Append(Append{Batch: bytes.Clone(second), Waiter: b})
	if err != nil || !out.Duplicate || out.BaseOffset != 3 || len(b.ch) != 0 {
		t.Errorf("a retry of what is queued: %+v, %v, %d completions", out, err, len(b.ch))
	}
	l.endTurn()
	if err := errors.Join(<-a.ch, <-b.ch); err != nil {
		t.Error(err)
	}
	third := batch(2, 100, 1, &record.Producer{ID: 1, Epoch: 0, Sequence: 5})
	faults.LimitSpace(0, syscall.ENOSPC)
	big := batch(1, 9000, 1, &record.Producer{ID: 1, Epoch: 0, Sequence: 5})
	if _, err := try(l, big); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v, want ErrNoSpace", err)
	}
	faults.UnlimitSpace()
	if out, err := try(l, third); err != nil || out.Duplicate || out.BaseOffset != 5 {
		t.Errorf("after the failure of its sequence: %+v, %v", out, err)
	}
	if _, err := try(l, batch(1, 10, 1, &record.Producer{ID: 1, Epoch: 0, Sequence: 99})); !errors.Is(err, producer.ErrOutOfOrderSequence) {
		t.Errorf("got %v, want ErrOutOfOrderSequence", err)
	}
	l.Abandon(nil)
}
