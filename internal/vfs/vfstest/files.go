package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"

	"chronik/internal/vfs"
)

// wantBytes checks an open file's length and content.
func (s *suite) wantBytes(f vfs.File, want string) {
	s.Helper()
	size, err := f.Size()
	s.must(err)
	if size != int64(len(want)) {
		s.Errorf("length %d, want %d", size, len(want))
		return
	}
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, 0); n != len(want) || (err != nil && !errors.Is(err, io.EOF)) {
		s.Errorf("read %d bytes with error %v, want %d", n, err, len(want))
		return
	}
	if string(got) != want {
		at := 0
		for got[at] == want[at] {
			at++
		}
		s.Errorf("content differs from byte %d of %d on", at, len(want))
	}
}

func (s *suite) create(name string) vfs.File {
	s.Helper()
	f, err := s.fs.Create(s.path(name))
	s.must(err)
	s.Cleanup(func() { f.Close() }) // some tests close it themselves
	return f
}

func (s *suite) write(f vfs.File, content string, off int64) {
	s.Helper()
	if n, err := f.WriteAt([]byte(content), off); n != len(content) || err != nil {
		s.Fatalf("wrote %d of %d bytes: %v", n, len(content), err)
	}
}

func (s *suite) readWrite() {
	f := s.create("a")
	s.wantBytes(f, "")
	s.write(f, "hello", 0)
	s.write(f, "p!", 3)
	s.wantBytes(f, "help!")
	s.write(f, "", 100) // a write of nothing does not change the length
	s.wantBytes(f, "help!")
	s.must(f.Sync())

	for _, c := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 5, "help!", nil},
		{1, 3, "elp", nil},
		{3, 10, "p!", io.EOF},
		{5, 1, "", io.EOF},
		{500, 1, "", io.EOF},
		{0, 0, "", nil},
	} {
		p := make([]byte, c.n)
		n, err := f.ReadAt(p, c.off)
		// io.ReaderAt leaves open whether a read that ends exactly at the end of the file says so.
		if string(p[:n]) != c.want || (c.err != nil && !errors.Is(err, c.err)) || (c.err == nil && err != nil && !errors.Is(err, io.EOF)) {
			s.Errorf("ReadAt(%d bytes at %d) = %q, %v; want %q, %v", c.n, c.off, p[:n], err, c.want, c.err)
		}
	}

	second, err := s.fs.Open(s.path("a"))
	s.must(err)
	s.write(second, "H", 0)
	s.wantBytes(f, "Help!")
	s.must(second.Close())
}

func (s *suite) holes() {
	f := s.create("a")
	s.write(f, "end", 10_000)
	s.wantBytes(f, strings.Repeat("\x00", 10_000)+"end")
	s.write(f, "start", 0)
	s.write(f, "mid", 4094) // across what is a page to many
	s.wantBytes(f, "start"+strings.Repeat("\x00", 4089)+"mid"+strings.Repeat("\x00", 10_000-4097)+"end")
}

func (s *suite) writeV() {
	f := s.create("a")
	n, err := f.WriteVAt(nil, 0)
	if n != 0 || err != nil {
		s.Errorf("a write of nothing: %d, %v", n, err)
	}
	bufs := [][]byte{nil, []byte("one,"), {}, []byte("two,"), bytes.Repeat([]byte("x"), 5000), nil}
	n, err = f.WriteVAt(bufs, 2)
	if n != 5008 || err != nil {
		s.Errorf("gathering write: %d, %v", n, err)
	}
	s.wantBytes(f, "\x00\x00one,two,"+strings.Repeat("x", 5000))
	if string(bufs[1]) != "one," || len(bufs) != 6 || len(bufs[4]) != 5000 {
		s.Error("the caller's buffers were changed")
	}

	// More buffers than any system takes in one call.
	var many [][]byte
	var want strings.Builder
	for i := range 2500 {
		b := bytes.Repeat([]byte{byte('a' + i%26)}, i%7)
		many = append(many, b)
		want.Write(b)
	}
	g := s.create("b")
	n, err = g.WriteVAt(many, 0)
	if n != int64(want.Len()) || err != nil {
		s.Errorf("gathering write of %d buffers: %d, %v", len(many), n, err)
	}
	s.wantBytes(g, want.String())
}

func (s *suite) truncate() {
	f := s.create("a")
	s.write(f, strings.Repeat("x", 9000), 0)
	s.must(f.Truncate(5000))
	s.wantBytes(f, strings.Repeat("x", 5000))
	s.must(f.Truncate(9000)) // what was cut off must not come back
	s.wantBytes(f, strings.Repeat("x", 5000)+strings.Repeat("\x00", 4000))
	s.must(f.Truncate(1 << 30)) // takes no space
	size, err := f.Size()
	s.must(err)
	if size != 1<<30 {
		s.Errorf("length %d after extending", size)
	}
	s.must(f.Truncate(0))
	s.wantBytes(f, "")
	s.write(f, "y", 2)
	s.wantBytes(f, "\x00\x00y")
	s.must(f.Sync())
}

func (s *suite) closed() {
	f := s.create("a")
	s.must(f.Close())
	_, err := f.ReadAt(make([]byte, 1), 0)
	s.wantErr("read after close", err, fs.ErrClosed)
	_, err = f.WriteAt([]byte("x"), 0)
	s.wantErr("write after close", err, fs.ErrClosed)
	s.wantErr("close after close", f.Close(), fs.ErrClosed)
}

func (s *suite) badOffsets() {
	f := s.create("a")
	s.write(f, "abc", 0)
	_, err := f.ReadAt(make([]byte, 1), -1)
	s.fails("read at a negative offset", err)
	_, err = f.WriteAt([]byte("x"), -1)
	s.fails("write at a negative offset", err)
	_, err = f.WriteVAt([][]byte{[]byte("x")}, -1)
	s.fails("gathering write at a negative offset", err)
	s.fails("truncate to a negative length", f.Truncate(-1))
	s.wantBytes(f, "abc")
}
