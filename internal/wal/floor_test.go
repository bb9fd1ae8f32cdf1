package wal

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal/producer"
)

// TestT1TruncationRemembersTheDeleted: a truncation goes back behind all that the log has told its marks and its snapshot
// file of producers. Those whose batches were deleted before are known all the same, now and after a crash.
func TestT1TruncationRemembersTheDeleted(t *testing.T) {
	for name, producers := range map[string]int{"in the marks": 3, "in a file": crowd} {
		for _, reopen := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				e, disk, _, _ := onDisks(t)
				e.cfg.SegmentBytes = 1200
				l, _ := e.open()
				sent := fillAndDelete(t, l, producers)
				for i := range 6 {
					must(t, l, batch(1, 100, 1, &record.Producer{ID: crowd + 1, Sequence: int32(i)}))
					l.keepUp()
					l.keepUp()
				}
				if reopen {
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					l, _ = e.open()
				}
				if err := l.Truncate(l.Start() + 1); err != nil {
					t.Fatal(err)
				}
				for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
					again := newEnv(t, disk.CrashClone(m), e.dir)
					again.cfg = e.cfg
					l2, _ := again.open()
					checkRetries(t, l2, sent)
					l2.Abandon(nil)
				}
				checkRetries(t, l, sent)
				l.Abandon(nil)
			})
		}
	}
}

// fillAndDelete has producers write a batch each and deletes all of them.
func fillAndDelete(t *testing.T, l *Log, producers int) (sent []record.Batch) {
	t.Helper()
	for id := range producers {
		b := batch(1, 500, int64(id), &record.Producer{ID: model.ProducerID(id)})
		sent = append(sent, bytes.Clone(b))
		must(t, l, b)
	}
	for range 3 { // so that nothing of what was written is left
		must(t, l, batch(1, 1000, 1, nil))
	}
	if _, err := l.DeleteBefore(l.End() - 1); err != nil {
		t.Fatal(err)
	}
	return sent
}

// checkRetries sends batches again, which the log must know.
func checkRetries(t *testing.T, l *Log, sent []record.Batch) {
	t.Helper()
	for _, b := range sent {
		out, err := try(l, bytes.Clone(b))
		if err != nil || !out.Duplicate {
			t.Fatalf("producer %d's retry, %d are known: %+v, %v", b.ProducerID(), len(l.Producers()), out, err)
		}
	}
}

// TestT1FloorsGoWithTheirSegments: there are no more of these files than segments, and none is left of a log that begins anew.
func TestT1FloorsGoWithTheirSegments(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 1200
	l, _ := e.open()
	count := func(l *Log) (files int) {
		t.Helper()
		entries, err := e.fs.ReadDir(e.dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if _, ok := parseFloorName(entry.Name); ok {
				files++
			}
		}
		if n := len(l.core.floors); n != files || n > len(l.core.segs) {
			t.Fatalf("the log knows of %d floors, there are %d, and %d segments", n, files, len(l.core.segs))
		}
		return files
	}
	for range 3 {
		fillAndDelete(t, l, 3)
		if count(l) == 0 {
			t.Fatal("the test tests nothing")
		}
	}
	stray := e.dir + "/" + floorName(0) // of a segment that is gone: left by a process that died in a deletion
	if f, err := disk.Create(stray); err != nil {
		t.Fatal(err)
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.Abandon(nil)
	l, _ = e.open()
	count(l)
	if err := l.Restart(7); err != nil {
		t.Fatal(err)
	}
	if n := count(l); n != 0 {
		t.Errorf("%d floors of a log that has begun anew", n)
	}
	l.Abandon(nil)
}

// TestFloorsAreTakenAsSegmentsBegin: where many producers write much, a deletion does not read what it deletes.
func TestFloorsAreTakenAsSegmentsBegin(t *testing.T) {
	e, disk, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 100_000
	l, _ := e.open()
	var sent []record.Batch
	for id := range model.ProducerID(crowd) {
		b := batch(1, 500, 1, &record.Producer{ID: id})
		sent = append(sent, bytes.Clone(b))
		must(t, l, b)
	}
	for range 3 {
		must(t, l, batch(1, 60_000, 1, nil))
		l.keepUp()
	}
	unread := faults.Inject(faultfs.Rule{Ops: faultfs.OpRead, Match: faultfs.Base("segment_000.wal"), Err: syscall.EIO})
	end := l.core.segs[1].base
	if _, err := l.DeleteBefore(end); err != nil {
		t.Fatal(err)
	}
	unread.Stop()
	if err := l.Truncate(end); err != nil {
		t.Fatal(err)
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep} {
		again := newEnv(t, disk.CrashClone(m), e.dir)
		again.cfg = e.cfg
		l2, _ := again.open()
		checkRetries(t, l2, sent)
		l2.Abandon(nil)
	}
	checkRetries(t, l, sent)
	l.Abandon(nil)
}

// TestT1FloorsAreCopied with their log.
func TestT1FloorsAreCopied(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	e.cfg.SegmentBytes = 1200
	l, _ := e.open()
	sent := fillAndDelete(t, l, 3)
	for i := range 6 {
		must(t, l, batch(1, 100, 1, &record.Producer{ID: crowd, Sequence: int32(i)}))
	}
	if err := disk.MkdirAll("other/t-7"); err != nil {
		t.Fatal(err)
	}
	c := l.CopyTo("other/t-7")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.dir = "other/t-7"
	l, _ = e.open()
	if err := l.Truncate(l.Start() + 1); err != nil {
		t.Fatal(err)
	}
	checkRetries(t, l, sent)
	l.Abandon(nil)
}

// TestE3NoSpaceForAFloor: on a full disk a deletion does without.
func TestE3NoSpaceForAFloor(t *testing.T) {
	e, _, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 1200
	l, _ := e.open()
	for id := range model.ProducerID(3) {
		must(t, l, batch(1, 1000, 1, &record.Producer{ID: id}))
	}
	faults.LimitSpace(0, syscall.ENOSPC)
	if _, err := l.DeleteBefore(l.End() - 1); err != nil || len(l.core.segs) != 1 {
		t.Errorf("deleting on a full disk: %v, %d segments are left", err, len(l.core.segs))
	}
	faults.UnlimitSpace()
	l.Abandon(nil)
	l, _ = e.open()
	if n := len(l.Producers()); n != 3 {
		t.Errorf("%d producers are remembered of 3", n)
	}
	l.Abandon(nil)
}

// TestT1AnUnreadableFloorIsNoneMissing: a disk that fails while a log is opened makes it forget nobody: it does not open, and does the
// next time.
func TestT1AnUnreadableFloorIsNoneMissing(t *testing.T) {
	e, disk, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 1200
	l, _ := e.open()
	sent := fillAndDelete(t, l, crowd)
	for i := range 6 {
		must(t, l, batch(1, 100, 1, &record.Producer{ID: crowd + 1, Sequence: int32(i)}))
	}
	l.Abandon(nil)
	if err := disk.RemoveAll(e.dir + "/" + producer.FileName); err != nil { // as a truncation that was cut short does
		t.Fatal(err)
	}
	broken := faults.Inject(faultfs.Rule{Ops: faultfs.OpRead, Match: faultfs.Base(floorPrefix + "*"), Err: syscall.EIO})
	if _, _, err := e.tryOpen(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("opened with %v, want the disk's error", err)
	}
	broken.Stop()
	l, _ = e.open()
	checkRetries(t, l, sent)
	l.Abandon(nil)
}
