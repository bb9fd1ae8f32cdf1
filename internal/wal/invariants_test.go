package wal

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
)

// TestL1EveryBytePositionOfATornWrite cuts the last group at every byte: what was acknowledged before is
// there, and of the group whole batches only, in order.
func TestL1EveryBytePositionOfATornWrite(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	first := batch(2, 150, 1, nil)
	must(t, l, first)
	base := contents(t, l)
	ends := []int{0}
	whole := bytes.Clone(base)
	l.takeTurn() // hold the committer back, so that the batches go in one group
	var acks []waiter
	for i := range 3 {
		w := newWaiter()
		b := batch(1+i, 120, int64(10+i), nil)
		if _, err := l.Append(Append{Batch: b, Waiter: w}); err != nil {
			t.Fatal(err)
		}
		whole, acks = append(whole, b...), append(acks, w)
		ends = append(ends, len(whole)-len(base))
	}
	l.endTurn()
	for _, w := range acks {
		if err := <-w.ch; err != nil {
			t.Fatal(err)
		}
	}
	_, n, err := disk.LastWrite("d/t-7/segment_000.wal")
	if err != nil || n != int64(len(whole)-len(base)) {
		t.Fatalf("the last write has %d bytes, want one group of %d: %v", n, len(whole)-len(base), err)
	}
	for keep := range n + 1 {
		torn, err := disk.TornClone("d/t-7/segment_000.wal", keep)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, end := range ends {
			if int64(end) <= keep {
				want = end
			}
		}
		got, rec := survives(t, torn, e.cfg)
		if !bytes.Equal(got, whole[:len(base)+want]) || rec.Corruption != nil {
			t.Fatalf("torn after %d bytes: %d bytes survive, want %d (%+v)", keep, len(got), len(base)+want, rec)
		}
		// The first seven bytes of a batch are zeros, as the space was before.
		if cut := keep - int64(want); (cut > 7) != (rec.TruncatedBytes > 0) {
			t.Errorf("torn after %d bytes: %d bytes reported as cut, %d were", keep, rec.TruncatedBytes, cut)
		}
		if again, rec := survives(t, torn.CrashClone(crashfs.Lose), e.cfg); !bytes.Equal(again, got) || rec.TruncatedBytes != 0 {
			t.Fatalf("torn after %d bytes: after another power cut %d bytes survive, want %d", keep, len(again), len(got))
		}
	}
	l.Abandon(nil)
}

// TestL1OnlyWhatLiesPastTheMarkIsScanned: under load, and after a second of rest.
func TestL1OnlyWhatLiesPastTheMarkIsScanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, disk, _, _ := onDisks(t)
		l, _ := e.open()
		for i := range 40 {
			must(t, l, batch(10, 500_000, int64(i), nil))
		}
		if _, rec := survives(t, disk.CrashClone(crashfs.Keep), e.cfg); rec.ScannedBytes > 2*markEveryBytes || rec.End != 400 {
			t.Errorf("after 20 MB of load: %+v", rec)
		}
		must(t, l, batch(10, 1000, 50, nil))
		time.Sleep(2 * time.Second)
		if _, rec := survives(t, disk.CrashClone(crashfs.Lose), e.cfg); rec.ScannedBytes != 0 || rec.End != 410 {
			t.Errorf("after a rest: %+v", rec)
		}
		l.Abandon(nil)
		e.com.Close()
	})
}

// TestL2TornIsNotRot flips bits everywhere in a log with a synced mark at its end: below the mark that is
// corruption, reported, never served and never cut off; the rest is served.
func TestL2TornIsNotRot(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 700
	e.cfg.IndexIntervalBytes = 256
	l, _ := e.open()
	for i := range 6 {
		must(t, l, batch(2, 160, int64(i), nil))
	}
	whole := contents(t, l)
	segs := l.core.segs
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if len(segs) < 2 {
		t.Fatalf("%d segments", len(segs))
	}
	for _, s := range segs {
		for at := int64(headerBytes); at < s.size; at++ {
			rotten := disk.CrashClone(crashfs.Keep)
			if err := rotten.BitFlip("d/t-7/"+segmentName(s.number), at, uint(at%8)); err != nil {
				t.Fatal(err)
			}
			checkRot(t, rotten, e.cfg, whole, s.number, at)
		}
	}
}

func checkRot(t *testing.T, disk *crashfs.FS, cfg Config, whole []byte, number, at int64) {
	t.Helper()
	com := NewCommitter(CommitterOptions{FS: disk, Workers: 1})
	defer com.Close()
	e := &env{t: t, fs: disk, com: com, dir: "d/t-7", id: model.TopicID{1, 2, 3}, cfg: cfg}
	l, rec := e.open()
	defer l.Abandon(nil)
	if l.End() != 12 || rec.TruncatedBytes != 0 {
		t.Fatalf("segment %d, byte %d: end %d, want 12 (%+v)", number, at, l.End(), rec)
	}
	corrupt := 0
	for off := model.Offset(0); off < l.End(); off++ {
		r, err := l.Read(off, l.End(), 1, true)
		if errors.Is(err, ErrCorrupt) {
			corrupt++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.ReadAll(nil)
		r.Release()
		if err != nil || !bytes.Contains(whole, got) || len(got) == 0 {
			t.Fatalf("segment %d, byte %d: offset %d gives bytes that were never written: %v", number, at, off, err)
		}
	}
	if corrupt == 0 || corrupt > 6 {
		t.Fatalf("segment %d, byte %d: %d of 12 offsets are reported as corrupt", number, at, corrupt)
	}
}

// TestL2HeaderRot: a damaged header or mark is reported, and the log does not pretend to be shorter.
func TestL2HeaderRot(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	must(t, l, batch(2, 160, 1, nil))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, flips := range map[string][]int64{
		"identity": {20}, "both marks": {identityBytes + 5, identityBytes + markBytes + 5},
	} {
		rotten := disk.CrashClone(crashfs.Keep)
		for _, at := range flips {
			if err := rotten.BitFlip("d/t-7/segment_000.wal", at, 3); err != nil {
				t.Fatal(err)
			}
		}
		com := NewCommitter(CommitterOptions{FS: rotten, Workers: 1})
		l, rec, err := (&env{fs: rotten, com: com, dir: "d/t-7", id: e.id, cfg: e.cfg}).tryOpen()
		if err != nil || !errors.Is(rec.Corruption, ErrCorrupt) {
			t.Errorf("%s: %v, %+v", name, err, rec)
		} else if _, err := l.Append(Append{Batch: batch(1, 10, 1, nil), Epoch: model.NoEpoch}); !errors.Is(err, ErrFenced) || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: append: %v", name, err)
		}
		com.Close()
	}
	for _, at := range []int64{identityBytes + 5, identityBytes + markBytes + 5} { // one mark is enough
		rotten := disk.CrashClone(crashfs.Keep)
		if err := rotten.BitFlip("d/t-7/segment_000.wal", at, 3); err != nil {
			t.Fatal(err)
		}
		if got, rec := survives(t, rotten, e.cfg); rec.Corruption != nil || rec.End != 2 || len(got) == 0 {
			t.Errorf("one damaged mark: %+v", rec)
		}
	}
}

// TestL3StaleBytesNeverParse: after a truncation shorter batches are written over longer ones, so that an
// old batch begins exactly where the new data ends. No crash brings it back.
func TestL3StaleBytesNeverParse(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	for i := range 4 {
		must(t, l, batch(1, 100, int64(i), nil))
	}
	old := contents(t, l)
	if err := l.Truncate(1); err != nil {
		t.Fatal(err)
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep} {
		if got, _ := survives(t, disk.CrashClone(m), e.cfg); !bytes.Equal(got, old[:len(old)/4]) {
			t.Fatalf("mode %d: %d bytes after the truncation, want %d", m, len(got), len(old)/4)
		}
	}
	b := batch(1, 100, 90, nil) // of the size of the old ones: the next old batch would fit behind it
	must(t, l, b)
	want := append(bytes.Clone(old[:len(old)/4]), b...)
	for seed, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random, crashfs.Random, crashfs.Random} {
		if got, _ := survives(t, disk.CrashClone(m), e.cfg); !bytes.Equal(got, want) {
			t.Errorf("mode %d (%d): %d bytes, want %d", m, seed, len(got), len(want))
		}
	}
	l.Abandon(nil)
}

// TestL3FilesEndWithTheirData: sealed segments, and all after a clean stop, carry no zeros.
func TestL3FilesEndWithTheirData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, _, _ := onDisks(t)
		e.cfg.SegmentBytes = 30_000
		l, _ := e.open()
		for i := range 100 {
			must(t, l, batch(1, 500, int64(i), nil))
			synctest.Wait() // for the zeroer
		}
		check := func(segs []*segment) {
			t.Helper()
			for _, s := range segs {
				if info, err := e.fs.Stat(l.path(segmentName(s.number))); err != nil || info.Size != s.size {
					t.Errorf("segment %d: %d bytes of file, %d of data: %v", s.number, info.Size, s.size, err)
				}
			}
		}
		segs := l.core.segs
		check(segs[:len(segs)-1])
		if l.space.frontier <= l.core.active().size {
			t.Error("no space was made ahead: the test tests nothing")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		check(segs)
		e.com.Close()
	})
}

// TestL3AppendsDoNotPassTheFrontier: while zeros are not synced, nothing is written behind them.
func TestL3AppendsDoNotPassTheFrontier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _, faults, _ := onDisks(t)
		l, _ := e.open()
		hold, at := make(chan struct{}), int64(-1)
		zeros := faults.Inject(faultfs.Rule{
			Ops: faultfs.OpWrite, Match: func(c faultfs.Call) bool { return segmentFiles(c) && c.Len >= minAhead },
			Before: func(c faultfs.Call) { at = c.Off; <-hold },
		})
		for i := 0; zeros.Hits() == 0; i++ {
			must(t, l, batch(1, 50, int64(i), nil))
			synctest.Wait()
		}
		w := newWaiter()
		if _, err := l.Append(Append{Batch: batch(1, 50, 1, nil), Waiter: w}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if size := l.core.active().size; len(w.ch) != 0 || size > at {
			t.Errorf("the data reaches %d, the zeroer works from %d on", size, at)
		}
		close(hold)
		if err := <-w.ch; err != nil {
			t.Error(err)
		}
		l.Abandon(nil)
		e.com.Close()
	})
}

// TestL2CleanFlag: it is taken back durably before anything that is appended after it is acknowledged.
func TestL2CleanFlag(t *testing.T) {
	for _, flush := range []int64{1, 1000} {
		e, disk, _, _ := onDisks(t)
		e.cfg.FlushMessages = flush
		l, _ := e.open()
		must(t, l, batch(1, 50, 1, nil))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l, rec := e.open()
		if !rec.Clean {
			t.Errorf("after a clean stop: %+v", rec)
		}
		must(t, l, batch(1, 50, 2, nil))
		must(t, l, batch(1, 50, 3, nil))
		page, err := vfs.ReadFile(disk.CrashClone(crashfs.Lose), "d/t-7/segment_000.wal")
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := latestMark(page); !ok || m.flags != 0 {
			t.Errorf("flush.messages=%d: the mark on disk has flags %b", flush, m.flags)
		}
		for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep} {
			if _, rec := survives(t, disk.CrashClone(m), e.cfg); rec.Clean || rec.End < 2 {
				t.Errorf("flush.messages=%d, mode %d: %+v", flush, m, rec)
			}
		}
		l.Abandon(nil)
	}
}

// TestL4Verbatim: what is stored is what was sent but for base offset and leader epoch.
func TestL4Verbatim(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	if err := l.BeginEpoch(9); err != nil {
		t.Fatal(err)
	}
	must(t, l, batch(5, 100, 1, nil))
	sent := batch(3, 300, 5, &record.Producer{ID: 4, Epoch: 1, Sequence: 0})
	orig := bytes.Clone(sent)
	must(t, l, sent)
	r, err := l.Read(5, l.End(), 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.ReadAll(nil)
	r.Release()
	if err != nil {
		t.Fatal(err)
	}
	b := record.Batch(got)
	if b.BaseOffset() != 5 || b.LeaderEpoch() != 9 {
		t.Errorf("stamped with offset %d, epoch %d", b.BaseOffset(), b.LeaderEpoch())
	}
	if !bytes.Equal(got[16:], orig[16:]) || !bytes.Equal(got[8:12], orig[8:12]) {
		t.Error("other bytes than base offset and leader epoch have changed")
	}
	l.Abandon(nil)
}

// TestL5Identity: another topic's directory does not open.
func TestL5Identity(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	must(t, l, batch(1, 10, 1, nil))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	found := e.id
	e.id = model.TopicID{9}
	_, _, err := e.tryOpen()
	var id *IdentityError
	if !errors.As(err, &id) || !errors.Is(err, ErrIdentity) || id.Found != found || id.Want != e.id {
		t.Errorf("got %v", err)
	}
	if n := e.com.OpenFiles(); n != 0 {
		t.Errorf("%d files are left open", n)
	}
}
