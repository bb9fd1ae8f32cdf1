package vfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFullDisk writes to the device that is always full.
func TestFullDisk(t *testing.T) {
	const full = "/dev/full"
	if _, err := os.Stat(full); err != nil {
		t.Skip("this system has no ", full)
	}
	f, err := OS().Open(full)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.WriteAt([]byte("x"), 0)
	wantFull(t, "WriteAt", err)
	_, err = f.WriteVAt([][]byte{[]byte("x"), []byte("y")}, 0)
	wantFull(t, "WriteVAt", err)
}

func wantFull(t *testing.T, op string, err error) {
	t.Helper()
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "/dev/full") {
		t.Errorf("%s: got %v, want ErrNoSpace with the path", op, err)
	}
}

// TestAdvance covers the writes that end early, which a disk with space does not produce on demand.
func TestAdvance(t *testing.T) {
	bufs := [][]byte{[]byte("ab"), nil, []byte("cde"), []byte("f"), nil}
	const all = "abcdef"
	for first := 0; first <= len(all); first++ {
		for second := 0; first+second <= len(all); second++ {
			rest, skip := advance(bufs, 0, first)
			rest, skip = advance(rest, skip, second)
			if len(rest) > 0 && skip >= len(rest[0]) {
				t.Fatalf("after %d and %d bytes: nothing left in the first buffer", first, second)
			}
			if got := string(bytes.Join(rest, nil)[skip:]); got != all[first+second:] {
				t.Errorf("after %d and %d bytes: %q is left, want %q", first, second, got, all[first+second:])
			}
		}
	}
}

func TestFD(t *testing.T) {
	f, err := OS().Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("abc"), 0); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3)
	if _, err := unix.Pread(int(f.(FDer).FD()), p, 0); err != nil || string(p) != "abc" {
		t.Errorf("read %q through the descriptor: %v", p, err)
	}
}

func BenchmarkWriteVAt(b *testing.B) {
	f, err := OS().Create(filepath.Join(b.TempDir(), "a"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 300)
	}
	b.ReportAllocs()
	b.SetBytes(64 * 300)
	for b.Loop() {
		if _, err := f.WriteVAt(bufs, 0); err != nil {
			b.Fatal(err)
		}
	}
}
