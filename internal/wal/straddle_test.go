package wal

import (
	"bytes"
	"errors"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal/producer"
)

// TestR2ALogThatBeginsInsideOfABatch: records may be deleted up to an offset inside of a batch. The batch can be read from its
// base offset on, and a replica that begins there becomes the same log.
func TestR2ALogThatBeginsInsideOfABatch(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 2000
	l, _ := e.open()
	for i := range 6 {
		must(t, l, batch(5, 600, int64(10*i), nil)) // three to a segment
	}
	if _, err := l.DeleteBefore(22); err != nil {
		t.Fatal(err)
	}
	for from := range l.End() {
		r, err := l.Read(from, l.End(), 1, true)
		if from < 20 {
			if !errors.Is(err, ErrOutOfRange) {
				t.Errorf("reading offset %d: %v", from, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("reading offset %d: %v", from, err)
		}
		got, err := r.ReadAll(nil)
		if base := record.Batch(got).BaseOffset(); err != nil || base != from/5*5 || r.Next() != base+5 {
			t.Errorf("reading offset %d: a batch at %d, next %d, %v", from, base, r.Next(), err)
		}
		r.Release()
	}
	if _, err := l.Read(21, 22, 1, true); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("below the start, up to the start: %v", err)
	}
	if r, err := l.Read(22, 24, 1, true); err != nil || r.Len() != 0 {
		t.Errorf("a part of the batch: %v", err)
	}

	f := newEnv(t, e.fs, "d/t-8")
	replica, _ := f.open()
	replicate := func(at model.Offset) error {
		if err := replica.Restart(at); err != nil {
			t.Fatal(err)
		}
		for rest := contents(t, l); len(rest) > 0; {
			b, more, err := record.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			w := newWaiter()
			if _, err := replica.Append(Append{Batch: bytes.Clone(b), Epoch: b.LeaderEpoch(), Waiter: w, Origin: producer.Replication}); err != nil {
				return err
			}
			if err := <-w.ch; err != nil {
				return err
			}
			rest = more
		}
		return nil
	}
	if err := replicate(22); !errors.Is(err, ErrOffset) {
		t.Errorf("from the log start on: %v", err)
	}
	if err := replicate(20); err != nil {
		t.Fatal(err)
	}
	if _, err := replica.DeleteBefore(22); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(contents(t, replica), contents(t, l)) || replica.Start() != l.Start() || replica.End() != l.End() {
		t.Errorf("the replica holds %d to %d, its leader %d to %d", replica.Start(), replica.End(), l.Start(), l.End())
	}
	replica.Abandon(nil)
	l.Abandon(nil)
}
