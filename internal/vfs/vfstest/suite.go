package vfstest

import (
	"errors"
	"slices"
	"testing"

	"chronik/internal/vfs"
)

// TestFS runs the suite. newFS returns a file system and an empty directory of it, fresh at each call.
func TestFS(t *testing.T, newFS func(t *testing.T) (fsys vfs.FS, dir string)) {
	for _, c := range []struct {
		name string
		run  func(*suite)
	}{
		{"CreateAndOpen", (*suite).createAndOpen},
		{"Remove", (*suite).remove},
		{"RemoveAll", (*suite).removeAll},
		{"RenameFile", (*suite).renameFile},
		{"RenameDirectory", (*suite).renameDirectory},
		{"Directories", (*suite).directories},
		{"Lock", (*suite).lock},
		{"Space", (*suite).space},
		{"OpenFileOutlivesItsName", (*suite).openFileOutlivesItsName},
		{"Concurrent", (*suite).concurrent},
		{"ReadWrite", (*suite).readWrite},
		{"Holes", (*suite).holes},
		{"WriteV", (*suite).writeV},
		{"Truncate", (*suite).truncate},
		{"Closed", (*suite).closed},
		{"BadOffsets", (*suite).badOffsets},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys, dir := newFS(t)
			c.run(&suite{T: t, fs: fsys, dir: dir})
		})
	}
}

type suite struct {
	*testing.T
	fs  vfs.FS
	dir string
}

func (s *suite) path(name string) string { return s.dir + "/" + name }

// must fails the test at once if an operation failed that has to work.
func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// wantErr checks the error of an operation that has to fail.
func (s *suite) wantErr(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// fails checks that an operation fails where the contract leaves open how.
func (s *suite) fails(what string, err error) {
	s.Helper()
	if err == nil {
		s.Errorf("%s: succeeded, want an error", what)
	}
}

// put creates a file with content.
func (s *suite) put(name, content string) {
	s.Helper()
	f, err := s.fs.Create(s.path(name))
	s.must(err)
	_, err = f.WriteAt([]byte(content), 0)
	s.must(err)
	s.must(f.Close())
}

// wantContent checks a whole file.
func (s *suite) wantContent(name, want string) {
	s.Helper()
	f, err := s.fs.Open(s.path(name))
	s.must(err)
	defer func() { s.must(f.Close()) }()
	s.wantBytes(f, want)
}

// wantNames checks a directory, whose subdirectories are written with a slash at the end.
func (s *suite) wantNames(dir string, want ...string) {
	s.Helper()
	entries, err := s.fs.ReadDir(dir)
	s.must(err)
	var got []string
	for _, e := range entries {
		if e.IsDir {
			e.Name += "/"
		}
		got = append(got, e.Name)
	}
	if !slices.Equal(got, want) {
		s.Errorf("%s holds %q, want %q", dir, got, want)
	}
}
