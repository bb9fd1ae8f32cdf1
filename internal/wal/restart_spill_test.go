package wal

import (
	"syscall"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/vfs/faultfs"
	"chronik/internal/wal/producer"
)

// TestL6RestartForgetsAHalfWrittenSnapshot: a snapshot file whose writing failed last of all, when its name was to be made durable, is
// there all the same. A log that begins anew below what that file knows must not learn its producers from it.
func TestL6RestartForgetsAHalfWrittenSnapshot(t *testing.T) {
	e, disk, faults, _ := onDisks(t)
	e.cfg.SegmentBytes = 12_000 // the marks of the last one leave the producers to their file
	l, _ := e.open()
	for id := range model.ProducerID(crowd) {
		must(t, l, batch(1, 100, 1, &record.Producer{ID: id}))
	}
	failed := faults.Inject(faultfs.Rule{Ops: faultfs.OpSyncDir, Err: syscall.EIO})
	for range 3 { // outgrown, taken, written
		l.keepUp()
	}
	failed.Stop()
	if _, err := disk.Stat(e.dir + "/" + producer.FileName); err != nil {
		t.Fatalf("the snapshot was not written: %v", err)
	}
	if err := l.Restart(0); err != nil {
		t.Fatal(err)
	}
	for id := range model.ProducerID(crowd) {
		must(t, l, batch(1, 50, 1, &record.Producer{ID: crowd + id}))
	}
	faults.Inject(faultfs.Rule{Ops: faultfs.OpCreate, Match: faultfs.Base("segment_*"), Err: syscall.EIO})
	for range 200 { // the last segment is sealed, and the next one does not come to be
		if _, err := try(l, batch(1, 100, 1, nil)); err != nil {
			break
		}
	}
	for _, m := range []crashfs.Mode{crashfs.Lose, crashfs.Keep, crashfs.Random} {
		again := newEnv(t, disk.CrashClone(m), e.dir)
		again.cfg = e.cfg
		l2, _ := again.open()
		for _, p := range l2.Producers() {
			if p.Producer < crowd {
				t.Fatalf("producer %d is remembered from before the restart", p.Producer)
			}
		}
		l2.Abandon(nil)
	}
	l.Abandon(nil)
}
