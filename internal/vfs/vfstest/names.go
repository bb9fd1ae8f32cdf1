package vfstest

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"

	"chronik/internal/vfs"
)

func (s *suite) createAndOpen() {
	_, err := s.fs.Open(s.path("a"))
	s.wantErr("open what is not there", err, fs.ErrNotExist)
	_, err = s.fs.Create(s.path("no/a"))
	s.wantErr("create in a directory that is not there", err, fs.ErrNotExist)
	s.put("a", "one")
	_, err = s.fs.Create(s.path("a"))
	s.wantErr("create a name that is taken", err, fs.ErrExist)
	s.wantContent("a", "one")
	_, err = s.fs.Open(s.dir)
	s.fails("open a directory as a file", err)
	_, err = s.fs.Create(s.path("a/b"))
	s.fails("create below a file", err)
}

func (s *suite) remove() {
	s.wantErr("remove what is not there", s.fs.Remove(s.path("a")), fs.ErrNotExist)
	s.put("a", "one")
	s.must(s.fs.Remove(s.path("a")))
	_, err := s.fs.Stat(s.path("a"))
	s.wantErr("stat of a removed file", err, fs.ErrNotExist)
	s.must(s.fs.MkdirAll(s.path("d")))
	s.put("d/x", "")
	s.fails("remove a directory that is not empty", s.fs.Remove(s.path("d")))
	s.wantNames(s.path("d"), "x")
	s.must(s.fs.Remove(s.path("d/x")))
	s.must(s.fs.Remove(s.path("d")))
	s.wantNames(s.dir)
}

func (s *suite) removeAll() {
	s.must(s.fs.RemoveAll(s.path("nothing")))
	s.must(s.fs.RemoveAll(s.path("nothing/below")))
	s.must(s.fs.MkdirAll(s.path("d/e/f")))
	s.put("d/x", "1")
	s.put("d/e/f/y", "2")
	s.put("dx", "3")
	s.must(s.fs.RemoveAll(s.path("d")))
	s.wantNames(s.dir, "dx")
	s.must(s.fs.RemoveAll(s.path("dx")))
	s.wantNames(s.dir)
}

func (s *suite) renameFile() {
	s.wantErr("rename what is not there", s.fs.Rename(s.path("a"), s.path("b")), fs.ErrNotExist)
	s.put("a", "one")
	s.must(s.fs.Rename(s.path("a"), s.path("b")))
	s.wantNames(s.dir, "b")
	s.wantContent("b", "one")
	s.put("a", "two, longer")
	s.must(s.fs.Rename(s.path("a"), s.path("b")))
	s.wantNames(s.dir, "b")
	s.wantContent("b", "two, longer")
	s.must(s.fs.Rename(s.path("b"), s.path("b")))
	s.wantContent("b", "two, longer")

	s.must(s.fs.MkdirAll(s.path("d")))
	s.must(s.fs.Rename(s.path("b"), s.path("d/b")))
	s.wantNames(s.dir, "d/")
	s.wantContent("d/b", "two, longer")
	s.wantErr("rename into a directory that is not there", s.fs.Rename(s.path("d/b"), s.path("no/b")), fs.ErrNotExist)
	s.put("c", "")
	s.fails("rename a file over a directory", s.fs.Rename(s.path("c"), s.path("d")))
	s.wantNames(s.dir, "c", "d/")
}

func (s *suite) renameDirectory() {
	s.must(s.fs.MkdirAll(s.path("d/e")))
	s.put("d/e/x", "one")
	s.must(s.fs.Rename(s.path("d"), s.path("n")))
	s.wantNames(s.dir, "n/")
	s.wantContent("n/e/x", "one")
	s.must(s.fs.MkdirAll(s.path("m")))
	s.must(s.fs.Rename(s.path("n/e"), s.path("m/e")))
	s.wantNames(s.path("n"))
	s.wantContent("m/e/x", "one")
	s.put("f", "file")
	s.fails("rename a directory over a file", s.fs.Rename(s.path("m"), s.path("f")))
	s.fails("rename a directory over another", s.fs.Rename(s.path("n"), s.path("m")))
	s.fails("rename a directory into itself", s.fs.Rename(s.path("m"), s.path("m/e/below")))
	s.wantNames(s.dir, "f", "m/", "n/")
}

func (s *suite) directories() {
	s.must(s.fs.MkdirAll(s.path("a/b/c")))
	s.must(s.fs.MkdirAll(s.path("a/b/c")))
	s.must(s.fs.MkdirAll(s.path("a/b/d")))
	s.wantNames(s.path("a/b"), "c/", "d/")
	s.put("a/z", "12345")
	s.put("a/A", "")
	s.wantNames(s.path("a"), "A", "b/", "z")

	info, err := s.fs.Stat(s.path("a/z"))
	s.must(err)
	if info != (vfs.Info{Size: 5}) {
		s.Errorf("stat of a file: %+v", info)
	}
	info, err = s.fs.Stat(s.path("a/b"))
	s.must(err)
	if info != (vfs.Info{IsDir: true}) {
		s.Errorf("stat of a directory: %+v", info)
	}
	s.must(s.fs.SyncDir(s.path("a")))
	s.wantErr("sync a directory that is not there", s.fs.SyncDir(s.path("no")), fs.ErrNotExist)
	_, err = s.fs.ReadDir(s.path("no"))
	s.wantErr("list a directory that is not there", err, fs.ErrNotExist)
	_, err = s.fs.ReadDir(s.path("a/z"))
	s.fails("list a file", err)
	s.fails("make a directory over a file", s.fs.MkdirAll(s.path("a/z")))
	s.fails("make a directory below a file", s.fs.MkdirAll(s.path("a/z/y")))
}

func (s *suite) lock() {
	held, err := s.fs.Lock(s.path("LOCK"))
	s.must(err)
	_, err = s.fs.Lock(s.path("LOCK"))
	s.wantErr("lock what is locked", err, vfs.ErrLocked)
	s.wantNames(s.dir, "LOCK")
	other, err := s.fs.Lock(s.path("OTHER"))
	s.must(err)
	s.must(held.Close())
	held, err = s.fs.Lock(s.path("LOCK"))
	s.must(err)
	s.must(held.Close())
	s.must(other.Close())
	_, err = s.fs.Lock(s.path("no/LOCK"))
	s.wantErr("lock in a directory that is not there", err, fs.ErrNotExist)
}

func (s *suite) space() {
	total, free, err := s.fs.Space(s.dir)
	s.must(err)
	if total == 0 || free > total {
		s.Errorf("%d of %d bytes free", free, total)
	}
	_, _, err = s.fs.Space(s.path("no"))
	s.wantErr("space of what is not there", err, fs.ErrNotExist)
}

// openFileOutlivesItsName: retention removes segments that a fetch still reads.
func (s *suite) openFileOutlivesItsName() {
	s.put("a", "one")
	removed, err := s.fs.Open(s.path("a"))
	s.must(err)
	s.must(s.fs.Remove(s.path("a")))
	s.put("a", "new")
	s.wantBytes(removed, "one")
	s.must(s.fs.Rename(s.path("a"), s.path("b")))
	renamed, err := s.fs.Open(s.path("b"))
	s.must(err)
	s.must(s.fs.Rename(s.path("b"), s.path("c")))
	_, err = renamed.WriteAt([]byte("er"), 3)
	s.must(err)
	s.must(renamed.Sync())
	s.wantContent("c", "newer")
	s.must(removed.Close())
	s.must(renamed.Close())
}

// concurrent lets goroutines fight for the same names: of those who create one, one succeeds.
func (s *suite) concurrent() {
	const workers, rounds = 4, 20
	var wg sync.WaitGroup
	var created atomic.Int32
	for range workers {
		wg.Go(func() {
			for i := range rounds {
				dir := s.path("d/" + string(rune('a'+i)))
				if err := s.fs.MkdirAll(dir); err != nil {
					s.Error(err)
					return
				}
				f, err := s.fs.Create(dir + "/f")
				if errors.Is(err, fs.ErrExist) {
					continue
				}
				if err != nil {
					s.Error(err)
					return
				}
				created.Add(1)
				if err := errors.Join(f.Sync(), f.Close(), s.fs.SyncDir(dir)); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := created.Load(); got != rounds {
		s.Errorf("%d files created, want %d", got, rounds)
	}
}
