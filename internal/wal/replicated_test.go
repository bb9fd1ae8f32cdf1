package wal

import (
	"bytes"
	"errors"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
	"chronik/internal/wal/producer"
)

// TestReplicatedAppends: batches that another leader has stamped keep their offsets and epochs, may leave gaps
// where that leader has compacted, and are refused where they do not continue the log.
func TestReplicatedAppends(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	follow := func(base model.Offset, epoch model.LeaderEpoch) (record.Batch, error) {
		b := batch(2, 100, int64(base), nil)
		b.SetBaseOffset(base)
		b.SetLeaderEpoch(epoch)
		w := newWaiter()
		if _, err := l.Append(Append{Batch: b, Epoch: epoch, Waiter: w, Origin: producer.Replication}); err != nil {
			return nil, err
		}
		return b, <-w.ch
	}
	var want []byte
	for _, at := range []struct {
		base  model.Offset
		epoch model.LeaderEpoch
	}{{0, 3}, {2, 3}, {10, 4}, {12, 4}, {20, 7}} {
		b, err := follow(at.base, at.epoch)
		if err != nil {
			t.Fatalf("batch at %d: %v", at.base, err)
		}
		want = append(want, b...)
	}
	if _, err := follow(21, 7); !errors.Is(err, ErrOffset) {
		t.Errorf("a batch that overlaps: %v, want ErrOffset", err)
	}
	if _, err := follow(22, 6); !errors.Is(err, ErrEpoch) {
		t.Errorf("a batch of an older epoch: %v, want ErrEpoch", err)
	}
	check := func(l *Log) {
		t.Helper()
		var got []byte
		for at := model.Offset(0); at < l.End(); {
			r, err := l.Read(at, l.End(), 150, true)
			if err != nil {
				t.Fatalf("Read(%d): %v", at, err)
			}
			got, _ = r.ReadAll(got)
			at = r.Next()
			r.Release()
		}
		if !bytes.Equal(got, want) || l.End() != 22 {
			t.Errorf("%d bytes up to %d, want %d up to 22", len(got), l.End(), len(want))
		}
		if r, err := l.Read(5, l.End(), 1, true); err != nil || r.Next() != 12 {
			t.Errorf("a read in the gap: next is %d, %v; want 12", r.Next(), err)
		} else {
			r.Release()
		}
		if epoch, end := l.EpochEnd(5); epoch != 4 || end != 20 {
			t.Errorf("epoch 5 ends as %d at %d, want 4 at 20", epoch, end)
		}
	}
	check(l)
	com := NewCommitter(CommitterOptions{FS: disk})
	defer com.Close()
	after, rec := (&env{t: t, fs: disk.CrashClone(crashfs.Lose), com: com, dir: e.dir, id: e.id, cfg: e.cfg}).open()
	if rec.Corruption != nil {
		t.Fatal(rec.Corruption)
	}
	check(after)
	after.Abandon(nil)
	if err := l.Truncate(11); err != nil || l.End() != 4 {
		t.Errorf("truncated into the batch behind the gap: end %d, %v; want 4", l.End(), err)
	}
	l.Abandon(nil)
}
