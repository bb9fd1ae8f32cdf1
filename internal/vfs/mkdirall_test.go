package vfs_test

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

const deep = "/a/b/c"

// killed runs MkdirAll in a process that is killed before its call number n: what it did until then is in the page cache, and stays. It
// reports whether there was such a call.
func killed(t *testing.T, disk *crashfs.FS, n int) (died bool) {
	t.Helper()
	type kill struct{}
	disk.OnOp(func(crashfs.Op) {
		if n == 0 {
			panic(kill{})
		}
		n--
	})
	defer disk.OnOp(nil)
	defer func() {
		if r := recover(); r != nil {
			died = r == kill{}
		}
	}()
	must(t, disk.MkdirAll(deep))
	return false
}

func isDir(fsys vfs.FS, name string) bool {
	info, err := fsys.Stat(name)
	return err == nil && info.IsDir
}

// TestMkdirAllAfterKills: two processes are killed in it, wherever, and the third comes to its end. Then the power goes, and the
// directories are there (D6): also those that the third has found.
func TestMkdirAllAfterKills(t *testing.T) {
	kills := 0
	for first := 0; ; first++ {
		if !killed(t, crashfs.New(1), first) {
			break
		}
		for second := 0; ; second++ {
			disk := crashfs.New(1)
			killed(t, disk, first)
			if !killed(t, disk, second) {
				break
			}
			kills++
			must(t, disk.MkdirAll(deep+"/"))
			if after := disk.Crash(crashfs.Lose); !isDir(after, deep) {
				t.Errorf("killed before call %d, then before call %d, then made: the power took it", first, second)
			}
		}
	}
	if kills < 20 {
		t.Errorf("there were only %d ways to be killed", kills)
	}
}

// TestMkdirAllFindsARenamed: whoever made the directory, and however.
func TestMkdirAllFindsARenamed(t *testing.T) {
	disk := crashfs.New(1)
	must(t, disk.MkdirAll("/x"))
	must(t, disk.Rename("/x", "/a"))
	must(t, disk.MkdirAll("/a"))
	if !isDir(disk.Crash(crashfs.Lose), "/a") {
		t.Error("the power took a directory that was there already (D6)")
	}
}

// failing is a DirMaker that cannot sync one directory.
type failing struct {
	*crashfs.FS
	dir string
	err error
}

func (f failing) SyncDir(name string) error {
	if name == f.dir {
		return &fs.PathError{Op: "sync", Path: name, Err: f.err}
	}
	return f.FS.SyncDir(name)
}

// TestMkdirAllWithoutSync: where a directory cannot be synced at all, what others have made in it is used, but nothing is made. An error
// of the disk is told in either case.
func TestMkdirAllWithoutSync(t *testing.T) {
	for _, c := range []struct {
		err   error
		found bool // whether a directory that is there will do
	}{{syscall.EACCES, true}, {syscall.EINVAL, true}, {syscall.EIO, false}, {vfs.ErrNoSpace, false}} {
		disk := crashfs.New(1)
		must(t, disk.MkdirAll("/a/b"))
		m := failing{disk, "/a", c.err}
		switch err := vfs.MkdirAll(m, "/a/b"); {
		case c.found && err != nil:
			t.Errorf("a directory was there, and its parent's sync failed with %v: got %v", c.err, err)
		case !c.found && !errors.Is(err, c.err):
			t.Errorf("the sync failed with %v: got %v (D4)", c.err, err)
		}
		if err := vfs.MkdirAll(m, "/a/new"); !errors.Is(err, c.err) {
			t.Errorf("a directory was made, and the sync failed with %v: got %v (D4)", c.err, err)
		}
	}
}
