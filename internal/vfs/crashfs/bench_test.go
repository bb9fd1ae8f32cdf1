package crashfs

import (
	"bytes"
	"errors"
	"testing"
)

// BenchmarkAppendSync is the load of a log: a record, a sync.
func BenchmarkAppendSync(b *testing.B) {
	f := New(1)
	h, err := f.Create("a")
	if err != nil {
		b.Fatal(err)
	}
	p := bytes.Repeat([]byte("r"), 300)
	b.ReportAllocs()
	off := int64(0)
	for b.Loop() {
		if _, err := h.WriteAt(p, off%(64<<20)); err != nil {
			b.Fatal(err)
		}
		if err := h.Sync(); err != nil {
			b.Fatal(err)
		}
		off += int64(len(p))
	}
}

// BenchmarkCrashClone takes disks of 16 MiB with a torn tail of 1 MiB.
func BenchmarkCrashClone(b *testing.B) {
	f := New(1)
	h, err := f.Create("a")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := h.WriteAt(bytes.Repeat([]byte("r"), 16<<20), 0); err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(h.Sync(), f.SyncDir("/")); err != nil {
		b.Fatal(err)
	}
	if _, err := h.WriteAt(bytes.Repeat([]byte("t"), 1<<20), 16<<20); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.CrashClone(Random)
	}
}
