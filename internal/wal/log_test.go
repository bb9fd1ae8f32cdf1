package wal

import (
	"bytes"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
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
