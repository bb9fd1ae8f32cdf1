//go:build unix

package wal

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// onRealDisk is an env over the operating system's files, with a cache of two open files.
func onRealDisk(t *testing.T) *env {
	t.Helper()
	e := newEnv(t, vfs.OS(), t.TempDir()+"/t-7")
	e.com.Close()
	e.com = NewCommitter(CommitterOptions{FS: e.fs, OpenFiles: 2})
	t.Cleanup(e.com.Close)
	return e
}

// through reads a region by its descriptor, as sendfile does.
func through(t *testing.T, r *Region) []byte {
	t.Helper()
	fd, pos, ok := r.Descriptor()
	if !ok {
		t.Fatal("a file of the operating system has no descriptor")
	}
	b := make([]byte, r.Len())
	if n, err := unix.Pread(int(fd), b, pos); err != nil || n != len(b) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	return b
}

// TestDescriptors: the descriptor stays with its file until Release, whatever else is opened, closed and deleted
// meanwhile, and gives the bytes that a read gives.
func TestDescriptors(t *testing.T) {
	e := onRealDisk(t)
	e.cfg.SegmentBytes = 3000
	l, _ := e.open()
	all := fill(t, l, 60)
	if n := len(l.core.segs); n < 10 {
		t.Fatalf("%d segments, want many", n)
	}
	var held []*Region
	var want [][]byte
	for at := model.Offset(0); at < l.End(); {
		r, err := l.Read(at, l.End(), 1000, true)
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.ReadAll(nil)
		if err != nil {
			t.Fatal(err)
		}
		at = r.Next()
		if len(held) < 8 {
			held, want = append(held, r), append(want, b)
		} else {
			r.Release() // the cache is full: files come and go
		}
	}
	if _, err := l.DeleteBefore(l.End()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.dir + "/" + segmentName(0)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the first segment is still there: %v", err)
	}
	more := fill(t, l, 20)
	for i, r := range held {
		if got := through(t, r); !bytes.Equal(got, want[i]) {
			t.Errorf("region %d: its descriptor gives other bytes than before", i)
		}
		if err := r.Valid(); err != nil {
			t.Errorf("region %d: %v, but nothing was truncated", i, err)
		}
		r.Release()
		if _, _, ok := r.Descriptor(); ok {
			t.Errorf("region %d has a descriptor after its release", i)
		}
	}
	if n := e.com.OpenFiles(); n > 2 {
		t.Errorf("%d files are open, the bound is 2", n)
	}
	if !bytes.Equal(want[0][:len(all[0])], all[0]) || len(more) == 0 {
		t.Error("the first region is not the first batch")
	}
	l.Abandon(nil)
}

// TestValidUntilTruncated: who reads by descriptor learns of a truncation.
func TestValidUntilTruncated(t *testing.T) {
	e := onRealDisk(t)
	l, _ := e.open()
	fill(t, l, 10)
	r, err := l.Read(0, l.End(), 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, l, 10)
	if err := r.Valid(); err != nil {
		t.Errorf("after appends: %v", err)
	}
	if err := l.Truncate(3); err != nil {
		t.Fatal(err)
	}
	if err := r.Valid(); !errors.Is(err, ErrTruncated) {
		t.Errorf("after a truncation: %v, want ErrTruncated", err)
	}
	r.Release()
	l.Abandon(nil)
}

// TestWithoutDescriptors: files of simulated disks have none, so that no byte passes around what they simulate.
func TestWithoutDescriptors(t *testing.T) {
	e, _, _, _ := onDisks(t)
	l, _ := e.open()
	fill(t, l, 3)
	r, err := l.Read(0, l.End(), 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.Descriptor(); ok {
		t.Error("a simulated file has a descriptor")
	}
	r.Release()
	l.Abandon(nil)
}
