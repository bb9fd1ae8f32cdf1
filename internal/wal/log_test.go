package wal

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

func TestAppendReadReopen(t *testing.T) {
	e := newEnv(t, vfs.OS(), t.TempDir()+"/t-7")
	l, rec := e.open()
	if rec.End != 0 || !rec.Clean {
		t.Fatalf("recovery of nothing: %+v", rec)
	}
	var want []byte
	for i := range 200 {
		b := batch(3, 900, int64(1000+i), nil)
		out := must(t, l, b)
		if out.BaseOffset != model.Offset(3*i) || out.LastOffset != out.BaseOffset+2 {
			t.Fatalf("append %d: %+v", i, out)
		}
		want = append(want, b...)
	}
	if got := contents(t, l); !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, want %d", len(got), len(want))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, rec = e.open()
	if !rec.Clean || rec.ScannedBytes != 0 || rec.End != 600 {
		t.Errorf("after a clean stop: %+v", rec)
	}
	if got := contents(t, l); !bytes.Equal(got, want) {
		t.Errorf("read %d bytes after reopening, want %d", len(got), len(want))
	}
	l.Abandon(nil)
	l, rec = e.open()
	if !rec.Clean {
		t.Errorf("untouched since the clean stop: %+v", rec)
	}
	b := batch(1, 10, 5000, nil)
	must(t, l, b)
	l.Abandon(nil)
	l, rec = e.open()
	if rec.Clean || rec.End != 601 {
		t.Errorf("abandoned after an append: %+v", rec)
	}
	if got := contents(t, l); !bytes.Equal(got, append(want, b...)) {
		t.Errorf("read %d bytes", len(got))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRollAndReadBack(t *testing.T) {
	e := newEnv(t, vfs.OS(), t.TempDir()+"/t-7")
	e.cfg.SegmentBytes = 4000
	l, _ := e.open()
	var want []byte
	for i := range 100 {
		b := batch(1, 500, int64(1000+i), &record.Producer{ID: 5, Epoch: 0, Sequence: int32(i)})
		must(t, l, b)
		want = append(want, b...)
	}
	if n := len(l.core.segs); n < 10 {
		t.Errorf("%d segments", n)
	}
	for _, step := range []int{1, 700, 1500, 1 << 20} {
		if got, err := tryContents(l, step); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("step %d: read %d bytes, want %d: %v", step, len(got), len(want), err)
		}
	}
	l.Abandon(nil)
	l, rec := e.open()
	for _, step := range []int{1, 700, 1500, 1 << 20} {
		if got, err := tryContents(l, step); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("step %d: read %d bytes, want %d: %v (%+v)", step, len(got), len(want), err, rec)
		}
	}
	if p := l.Producers(); len(p) != 1 || p[0].LastSeq != 99 {
		t.Errorf("producers: %+v", p)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestR5AcknowledgedIsBelowTheEnd: whoever is told that a record is there finds an end above it, also with a retry that
// comes at the very moment at which the original is durable.
func TestR5AcknowledgedIsBelowTheEnd(t *testing.T) {
	e := newEnv(t, crashfs.New(1), "p")
	o := &announced{t: t, retried: newWaiter()}
	e.obs = o
	o.log, _ = e.open()
	b := batch(1, 10, 1, &record.Producer{ID: 1})
	o.retry = bytes.Clone(b)
	w := endWaiter{newWaiter(), o}
	if _, err := o.log.Append(Append{Batch: b, Epoch: o.log.epochForTest(), Waiter: w}); err != nil {
		t.Fatal(err)
	}
	for _, ch := range []chan error{w.ch, o.retried.ch} {
		if err := <-ch; err != nil {
			t.Error(err)
		}
	}
	o.log.Abandon(nil)
}

// announced is an observer. It sends a retry before it takes note of the first end that it is told.
type announced struct {
	t       *testing.T
	log     *Log
	retry   record.Batch
	retried waiter
	end     atomic.Int64
}

func (o *announced) EndAdvanced(end model.Offset) {
	out, err := o.log.Append(Append{Batch: o.retry, Epoch: o.log.epochForTest(), Waiter: endWaiter{o.retried, o}})
	if err != nil || !out.Duplicate {
		o.t.Errorf("the retry: %+v, %v", out, err)
	}
	o.end.Store(int64(end))
}

func (o *announced) Fenced(err error) { o.t.Error(err) }

// endWaiter notes an error if it is told before the observer.
type endWaiter struct {
	waiter
	o *announced
}

func (w endWaiter) Done(err error) {
	if err == nil && w.o.end.Load() == 0 {
		err = errors.New("told before the observer")
	}
	w.waiter.Done(err)
}
