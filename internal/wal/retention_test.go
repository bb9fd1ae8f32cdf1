package wal

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/vfs/crashfs"
)

func TestDeleteBeforeIsDurable(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 2000
	l, _ := e.open()
	all := fill(t, l, 30)
	if _, err := l.DeleteBefore(l.End() + 1); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("past the end: %v", err)
	}
	at := all[20].BaseOffset()
	segs := len(l.core.segs)
	if start, err := l.DeleteBefore(at); err != nil || start != at || l.Start() != at {
		t.Fatalf("start %d, %v", start, err)
	}
	if n := len(l.core.segs); n >= segs {
		t.Errorf("%d segments, %d before", n, segs)
	}
	if start, err := l.DeleteBefore(3); err != nil || start != at {
		t.Errorf("going back: start %d, %v", start, err)
	}
	var want []byte
	for _, b := range all[20:] {
		want = append(want, b...)
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
		if got, rec := survives(t, disk.CrashClone(m), e.cfg); !bytes.Equal(got, want) || rec.Start != at {
			t.Errorf("mode %d: %d bytes from %d, want %d from %d", m, len(got), rec.Start, len(want), at)
		}
	}
	if _, err := l.Read(at-1, l.End(), 100, true); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("below the start: %v", err)
	}
	if start, err := l.DeleteBefore(l.End()); err != nil || start != l.End() {
		t.Errorf("everything: start %d, %v", start, err)
	}
	must(t, l, batch(1, 10, 1, nil))
	l.Abandon(nil)
}

func TestRetention(t *testing.T) {
	const day = int64(24 * time.Hour / time.Millisecond)
	now := int64(100 * day)
	cases := map[string]struct {
		bytes, ms int64
		limit     int // batches
		want      int // batches deleted
	}{
		"no limits":           {bytes: -1, ms: -1, limit: 10, want: 0},
		"by time":             {bytes: -1, ms: 5*day + day/2, limit: 10, want: 4},
		"not above the limit": {bytes: -1, ms: 5*day + day/2, limit: 3, want: 3},
		"all expired":         {bytes: -1, ms: day / 4, limit: 10, want: 10},
		"by size":             {bytes: 3300, ms: -1, limit: 10, want: 6}, // 4 of 1,070 bytes are the least above
		"to nothing by size":  {bytes: 0, ms: -1, limit: 10, want: 9},    // the active segment stays
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e, disk, _, _ := onDisks(t)
			e.cfg.SegmentBytes, e.cfg.SegmentMs = 1200, 0 // one batch each
			e.cfg.RetentionBytes, e.cfg.RetentionMs = c.bytes, c.ms
			l, _ := e.open()
			l.now = func() time.Time { return time.UnixMilli(now) }
			for i := range 10 {
				must(t, l, batch(1, 1000, now-int64(10-i)*day+day/2, nil))
			}
			deleted, err := l.EnforceRetention(model.Offset(c.limit))
			if err != nil || deleted != c.want || l.Start() != model.Offset(c.want) {
				t.Fatalf("deleted %d segments, start %d: %v; want %d", deleted, l.Start(), err, c.want)
			}
			if _, rec := survives(t, disk.CrashClone(crashfs.Lose), e.cfg); rec.Start != l.Start() || rec.End != 10 {
				t.Errorf("after a crash: %+v", rec)
			}
			must(t, l, batch(1, 1000, now, nil))
			contents(t, l)
			l.Abandon(nil)
		})
	}
}

func TestRollByTime(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentMs, e.cfg.SegmentJitterMs = 1000, 100
	l, _ := e.open()
	for _, ts := range []int64{5000, 5900, 5901, 5902, 4000, 6802} {
		must(t, l, batch(1, 10, ts, nil))
	}
	if n := len(l.core.segs); n != 3 || l.core.segs[1].base != 2 || l.core.segs[2].base != 5 {
		t.Errorf("%d segments: %+v", n, l.core.segs)
	}
	l.Abandon(nil)
}

func TestLookupByTime(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes, e.cfg.IndexIntervalBytes = 3000, 256
	l, _ := e.open()
	var times []int64 // by offset
	for i := range 60 {
		base := int64(1000 + 20*i)
		if i%7 == 3 {
			base -= 90 // out of order
		}
		b := record.NewBuilder(record.Options{Codec: compress.Codec(i % 5)})
		for j := range 3 {
			ts := base + int64(j*4)
			b.Add(ts, nil, bytes.Repeat([]byte{byte(i)}, 60))
			times = append(times, ts)
		}
		built, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		must(t, l, built)
	}
	check := func() {
		t.Helper()
		for ts := int64(900); ts < 2300; ts += 3 {
			for _, limit := range []model.Offset{l.End(), 100} {
				want := notFound
				for off, rt := range times {
					if rt >= ts && model.Offset(off) >= l.Start() {
						if model.Offset(off) < limit {
							want = TimestampOffset{model.Offset(off), rt}
						}
						break
					}
				}
				if got, err := l.LookupTime(ts, limit); err != nil || got != want {
					t.Fatalf("LookupTime(%d, %d) = %+v, %v; want %+v", ts, limit, got, err, want)
				}
			}
		}
		most := 0
		for off := range times {
			if times[off] > times[most] {
				most = off
			}
		}
		if got, err := l.MaxTimestamp(l.End()); err != nil || got != (TimestampOffset{model.Offset(most), times[most]}) {
			t.Errorf("MaxTimestamp = %+v, %v; want %d at %d", got, err, times[most], most)
		}
	}
	check()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = e.open()
	check()
	if _, err := l.DeleteBefore(50); err != nil {
		t.Fatal(err)
	}
	check()
	l.Abandon(nil)
}

// TestIndexForgetsDeletedSegments: the file does not grow for ever.
func TestIndexForgetsDeletedSegments(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes, e.cfg.IndexIntervalBytes = 40_000, 256
	l, _ := e.open()
	var all []record.Batch
	for i := range 3000 {
		b := batch(1, 300, int64(i), nil)
		must(t, l, b)
		all = append(all, b)
	}
	l.flushIndex(false)
	before := l.core.index.count
	if before < 2*minTrim {
		t.Fatalf("%d entries", before)
	}
	if _, err := l.DeleteBefore(2500); err != nil {
		t.Fatal(err)
	}
	l.trimIndex()
	if n := l.core.index.count; n > before/3 {
		t.Errorf("%d entries, %d before", n, before)
	}
	reading(t, l, all)
	l.Abandon(nil)
	l, _ = e.open()
	reading(t, l, all)
	l.Abandon(nil)
}
