package wal

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs/crashfs"
)

// TestCopy: a log that is appended to, deleted from and cut while it is copied is the same log in the other directory, with what it
// remembers of producers whose batches are gone.
func TestCopy(t *testing.T) {
	for _, what := range []string{"appends", "a truncation", "a restart", "a deletion"} {
		e, disk, _, _ := onDisks(t)
		e.cfg.SegmentBytes = 1500
		l, _ := e.open()
		seq := int32(0)
		add := func(n int) {
			for range n {
				must(t, l, batch(2, 300, 1, &record.Producer{ID: 7, Epoch: 0, Sequence: seq}))
				seq += 2
			}
		}
		add(12)
		if err := disk.MkdirAll("other/t-7"); err != nil {
			t.Fatal(err)
		}
		c := l.CopyTo("other/t-7")
		if n, err := c.CatchUp(t.Context()); err != nil || n == 0 || c.Next() != 24 {
			t.Fatalf("%s: %d bytes, up to %d: %v", what, n, c.Next(), err)
		}
		if n, err := c.CatchUp(t.Context()); err != nil || n != 0 {
			t.Fatalf("%s: %d bytes once more: %v", what, n, err)
		}
		switch what {
		case "a truncation":
			if err := l.Truncate(9); err != nil {
				t.Fatal(err)
			}
			seq = 8
			must(t, l, batch(2, 200, 99, &record.Producer{ID: 7, Epoch: 0, Sequence: seq}))
		case "a restart":
			if err := l.Restart(100); err != nil {
				t.Fatal(err)
			}
			must(t, l, batch(1, 200, 99, nil))
		case "a deletion":
			if _, err := l.DeleteBefore(24); err != nil {
				t.Fatal(err)
			}
		default:
			add(5)
		}
		if _, err := c.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := must(t, l, batch(1, 100, 5, nil))
		whole, start, producers := contents(t, l), l.Start(), l.Producers()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := disk.CrashClone(crashfs.Lose)
		com := NewCommitter(CommitterOptions{FS: after})
		moved := &env{t: t, fs: after, com: com, dir: "other/t-7", id: e.id, cfg: e.cfg}
		m, rec := moved.open()
		if !rec.Clean || rec.Corruption != nil || m.Start() != start || m.End() != last.LastOffset+1 {
			t.Errorf("%s: the copy is %+v, want %d to %d", what, rec, start, last.LastOffset+1)
		}
		if got := contents(t, m); !bytes.Equal(got, whole) {
			t.Errorf("%s: the copy has %d bytes that are not the %d of the log", what, len(got), len(whole))
		}
		if got := m.Producers(); len(got) != len(producers) || len(got) > 0 && got[0].LastSeq != producers[0].LastSeq {
			t.Errorf("%s: the copy knows the producers %+v, want %+v", what, got, producers)
		}
		m.Abandon(nil)
		com.Close()
	}
}

// TestCopyIsCancelled: it ends between two pieces, with the context's error.
func TestCopyIsCancelled(t *testing.T) {
	e, disk, _, _ := onDisks(t)
	l, _ := e.open()
	must(t, l, batch(1, 100, 1, nil))
	if err := disk.MkdirAll("other"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := l.CopyTo("other")
	if _, err := c.CatchUp(ctx); !errors.Is(err, context.Canceled) || c.Next() != model.Offset(0) {
		t.Errorf("up to %d: %v", c.Next(), err)
	}
	l.Abandon(nil)
}
