package wal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// fill appends n batches of odd sizes and returns them as they are on disk.
func fill(t testing.TB, l *Log, n int) []record.Batch {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	var all []record.Batch
	for i := range n {
		b := batch(1+rng.IntN(4), 20+rng.IntN(900), int64(1000+10*i), nil)
		must(t, l, b)
		all = append(all, b)
	}
	return all
}

// reading checks a Read from every offset with several limits and sizes against the batches.
func reading(t *testing.T, l *Log, all []record.Batch) {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	end := l.End()
	for range 600 {
		from := l.Start() + model.Offset(rng.Int64N(int64(end-l.Start())))
		limit := from + 1 + model.Offset(rng.Int64N(int64(end-from)+3))
		size, minOne := rng.IntN(6000), rng.IntN(2) == 0
		r, err := l.Read(from, limit, size, minOne)
		if err != nil {
			t.Fatalf("Read(%d, %d, %d, %t): %v", from, limit, size, minOne, err)
		}
		got, err := r.ReadAll(nil)
		var copied bytes.Buffer
		if _, werr := r.WriteTo(&copied); werr != nil || err != nil || !bytes.Equal(copied.Bytes(), got) {
			t.Fatalf("ReadAll %v, WriteTo %v", err, werr)
		}
		if len(got) != r.Len() {
			t.Fatalf("Len %d, %d bytes", r.Len(), len(got))
		}
		checkRegion(t, l, all, from, limit, size, minOne, got, r.Next())
		r.Release()
	}
}

// checkRegion holds a region against what Read promises: the longest run of whole batches of one segment.
func checkRegion(t *testing.T, l *Log, all []record.Batch, from, limit model.Offset, size int, minOne bool, got []byte, next model.Offset) {
	t.Helper()
	var want []byte
	at := from
	for _, b := range all {
		if b.LastOffset() < from {
			continue
		}
		first := len(want) == 0
		if b.LastOffset() >= min(limit, l.DurableEnd()) || len(want)+len(b) > size && !(first && minOne) {
			break
		}
		if !first && l.core.segmentAt(b.BaseOffset()).base == b.BaseOffset() {
			break // the next segment
		}
		want, at = append(want, b...), b.LastOffset()+1
	}
	if !bytes.Equal(got, want) || next != at {
		t.Fatalf("Read(%d, %d, %d, %t): %d bytes up to %d, want %d up to %d", from, limit, size, minOne, len(got), next, len(want), at)
	}
}

func TestReadCutsAtBatchBoundaries(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes, e.cfg.IndexIntervalBytes = 30_000, 1000
	l, _ := e.open()
	all := fill(t, l, 200)
	reading(t, l, all) // just written
	l.flushIndex(false)
	reading(t, l, all) // index on disk
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = e.open()
	reading(t, l, all) // cold, checked on the way
	for _, s := range l.core.segs {
		if len(s.clean.list) > maxSpans {
			t.Errorf("%d spans are remembered", len(s.clean.list))
		}
	}
	l.Abandon(nil)
	lost := disk.CrashClone(crashfs.Keep)
	if err := lost.Remove("d/t-7/" + indexName); err != nil {
		t.Fatal(err)
	}
	e2 := newEnv(t, lost, e.dir)
	e2.cfg = e.cfg
	l, _ = e2.open()
	reading(t, l, all)
	l.Abandon(nil)
}

func TestReadOutsideOfTheLog(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	if r, err := l.Read(0, 10, 100, true); err != nil || r.Len() != 0 || r.Next() != 0 {
		t.Errorf("an empty log: %v", err)
	}
	fill(t, l, 3)
	for _, off := range []model.Offset{-1, l.End() + 1} {
		if _, err := l.Read(off, l.End(), 100, true); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("Read(%d): %v, want ErrOutOfRange", off, err)
		}
	}
	if r, err := l.Read(l.End(), l.End()+5, 100, true); err != nil || r.Len() != 0 || r.Next() != l.End() {
		t.Errorf("at the end: %v", err)
	}
	l.Abandon(nil)
	if _, err := l.Read(0, 1, 100, true); !errors.Is(err, ErrClosed) {
		t.Errorf("after the close: %v", err)
	}
}

// TestColdRangesAreCheckedOnce: the second read of a range reads it once, not twice.
func TestColdRangesAreCheckedOnce(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	fill(t, l, 300)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = e.open()
	var read int64
	count := func() int64 {
		read = 0
		disk.OnOp(func(op crashfs.Op) {
			if op.Kind == crashfs.OpRead {
				read += op.Len
			}
		})
		r, err := l.Read(0, l.End(), 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
		disk.OnOp(nil)
		return read
	}
	size := l.Size()
	if n := count(); n < size {
		t.Errorf("the first read looked at %d of %d bytes", n, size)
	}
	if n := count(); n > 2*walkChunk {
		t.Errorf("the second read looked at %d bytes", n)
	}
	l.Abandon(nil)
}

// TestLargeBatchesAreCheckedOnce: a reader whose response has room for one large batch does not check the next one to find
// that out, and one that follows it, or asks for a little of what it had, checks nothing.
func TestLargeBatchesAreCheckedOnce(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	for i := range 12 {
		must(t, l, batch(10, 300<<10+i*1000, int64(i), nil))
	}
	size, end := l.Size(), l.DurableEnd()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = e.open()
	var read int64
	disk.OnOp(func(op crashfs.Op) {
		if op.Kind == crashfs.OpRead {
			read += op.Len
		}
	})
	defer disk.OnOp(nil)
	for _, c := range []struct {
		name string
		max  int
		most int64
	}{
		{"first", 400 << 10, size + 24*walkChunk},
		{"again", 400 << 10, 48 * walkChunk},
		{"with more room", 800 << 10, 48 * walkChunk},
	} {
		read = 0
		for at := model.Offset(0); at < end; {
			r, err := l.Read(at, end, c.max, true)
			if err != nil {
				t.Fatal(err)
			}
			at = r.Next()
			r.Release()
		}
		if read > c.most {
			t.Errorf("%s: %d bytes were read of a log of %d, want %d at most", c.name, read, size, c.most)
		}
	}
	l.Abandon(nil)
}

// TestAWrongIndexMisleadsNobody: entries that point elsewhere, with right checksums, cost time and nothing
// else, and are replaced.
func TestAWrongIndexMisleadsNobody(t *testing.T) {
	for _, cold := range []bool{false, true} {
		e, _, _, _ := onDisks(t)
		e.cfg.IndexIntervalBytes = 1000
		l, _ := e.open()
		all := fill(t, l, 100)
		l.flushIndex(false)
		if cold {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l, _ = e.open()
		}
		f, err := l.segmentFile(indexNumber)
		if err != nil {
			t.Fatal(err)
		}
		for i := range l.core.index.count {
			var buf [entryBytes]byte
			entry, err := l.readEntry(f, i, buf[:])
			if err != nil {
				t.Fatal(err)
			}
			if i%3 == 1 {
				entry.pos += 7
			}
			if _, err := f.WriteAt(entry.append(nil, l.seed), i*entryBytes); err != nil {
				t.Fatal(err)
			}
		}
		f.release()
		reading(t, l, all)
		if !l.core.index.broken {
			t.Error("nobody has noticed")
		}
		l.flushIndex(false)
		if l.core.index.broken {
			t.Error("the index was not rebuilt")
		}
		reading(t, l, all)
		l.Abandon(nil)
	}
}

// TestRegionsOutliveTheirSegment: deletion does not take the bytes from a reader, truncation does.
func TestRegionsOutliveTheirSegment(t *testing.T) {
	e, _, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 2000
	l, _ := e.open()
	all := fill(t, l, 30)
	r, err := l.Read(0, l.End(), 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.DeleteBefore(l.End()); err != nil {
		t.Fatal(err)
	}
	if got, err := r.ReadAll(nil); err != nil || !bytes.HasPrefix(got, all[0]) {
		t.Errorf("after the deletion: %d bytes, %v", len(got), err)
	}
	r.Release()
	must(t, l, batch(2, 100, 1, nil))
	if r, err = l.Read(l.End()-1, l.End(), 1<<20, true); err != nil {
		t.Fatal(err)
	}
	if err := l.Truncate(l.End() - 2); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAll(nil); !errors.Is(err, ErrTruncated) {
		t.Errorf("after the truncation: %v, want ErrTruncated", err)
	}
	r.Release()
	l.Abandon(nil)
}

// TestFilesAreBounded: many segments read in turn keep few files open.
func TestFilesAreBounded(t *testing.T) {
	e, _, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 1500
	l, _ := e.open()
	fill(t, l, 60)
	for range 3 {
		contents(t, l)
		if n := e.com.OpenFiles(); n > 5 {
			t.Fatalf("%d files are open, the bound is 4", n)
		}
	}
	e.com.files.sweep(0)
	if n := e.com.OpenFiles(); n != 0 {
		t.Errorf("%d files are open in an idle log", n)
	}
	opens := faults.Inject(faultfs.Rule{Ops: faultfs.OpOpen, Match: faultfs.Base(segmentName(0))})
	for range 3 {
		r, err := l.Read(0, l.End(), 100, true)
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}
	if n := opens.Hits(); n != 1 {
		t.Errorf("three reads opened %d files", n)
	}
	l.Abandon(nil)
}
