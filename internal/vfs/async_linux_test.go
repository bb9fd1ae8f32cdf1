//go:build linux && (amd64 || arm64)

package vfs

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAsyncSyncsAtOnce has more syncs under way than the kernel was asked to take.
func TestAsyncSyncsAtOnce(t *testing.T) {
	if sharedSyncs() == nil {
		t.Skip("this kernel has no asynchronous I/O")
	}
	f, err := OS().Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all sync.WaitGroup
	for i := range int64(3 * maxAsync) {
		all.Go(func() {
			if _, err := f.WriteAt([]byte{1}, i); err != nil {
				t.Error(err)
			}
			if err := SyncParked(f); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s := sharedSyncs()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) != 0 {
		t.Errorf("%d syncs are still waited for", len(s.waiting))
	}
}

// TestAsyncSyncRefused: what cannot be synced asynchronously is left to the blocking call, which says why.
func TestAsyncSyncRefused(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if err, ok := asyncDatasync(w.Fd()); ok {
		t.Errorf("a pipe was synced, with %v", err)
	}
	f := &osFile{f: w, fd: ^uintptr(0)}
	if err := f.SyncParked(); !errors.Is(err, unix.EBADF) {
		t.Errorf("syncing a descriptor that is none: %v", err)
	}
}

func BenchmarkSync(b *testing.B) {
	dir := b.TempDir()
	for _, c := range []struct {
		name string
		sync func(fd uintptr) error
	}{
		{"blocking", func(fd uintptr) error { return unix.Fdatasync(int(fd)) }},
		{"async", func(fd uintptr) error {
			err, ok := asyncDatasync(fd)
			if !ok {
				b.Skip("this kernel has no asynchronous I/O")
			}
			return err
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := OS().Create(filepath.Join(dir, c.name))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			page := make([]byte, 4096)
			if _, err := f.WriteAt(page, 0); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.WriteAt(page, 0); err != nil {
					b.Fatal(err)
				}
				if err := c.sync(f.(FDer).FD()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
