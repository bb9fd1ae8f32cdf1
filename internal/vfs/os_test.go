package vfs_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"chronik/internal/vfs"
	"chronik/internal/vfs/vfstest"
)

func TestOS(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() })
}

func TestMarkNoSpace(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		err := vfs.MarkNoSpace(&fs.PathError{Op: "write", Path: "data/segment", Err: errno})
		if !errors.Is(err, vfs.ErrNoSpace) || !errors.Is(err, errno) {
			t.Errorf("%v is not both ErrNoSpace and %v", err, errno)
		}
		if !strings.Contains(err.Error(), "write data/segment") {
			t.Errorf("%q does not name the file", err)
		}
		if _, ok := errors.AsType[*fs.PathError](err); !ok {
			t.Errorf("%v hides its PathError", err)
		}
	}
	if vfs.MarkNoSpace(nil) != nil {
		t.Error("nil became an error")
	}
	if errors.Is(vfs.MarkNoSpace(syscall.EIO), vfs.ErrNoSpace) {
		t.Error("an I/O error counts as a full disk")
	}
}

// TestOSLockNamesTheFile: the message is what an operator sees who starts a broker twice.
func TestOSLockNamesTheFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	held, err := vfs.OS().Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := vfs.OS().Lock(name); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want an error that names %s", err, name)
	}
}
