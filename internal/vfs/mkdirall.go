package vfs

import (
	"errors"
	"io/fs"
	"path"
	"syscall"
)

// DirMaker is what MkdirAll needs of a file system.
type DirMaker interface {
	// Mkdir makes one directory; fs.ErrExist if the name is taken.
	Mkdir(name string) error
	// Stat and SyncDir are as those of FS.
	Stat(name string) (Info, error)
	SyncDir(name string) error
}

// MkdirAll is FS.MkdirAll, for those that implement it.
//
// Its rule: nothing is made in a directory whose own entry may not be durable. So where a directory is found, whoever made it
// through here had all that is above it durable, and only its own entry is in doubt: a process that is killed between the making and
// the sync leaves it in the page cache, which a later loss of power takes (D6).
func MkdirAll(m DirMaker, name string) error {
	name = path.Clean(name)
	parent := path.Dir(name)
	info, err := m.Stat(name)
	switch {
	case err == nil && info.IsDir:
		return settle(m, name, parent)
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if parent != name {
		if err := MkdirAll(m, parent); err != nil {
			return err
		}
	}
	// Somebody else may make it at the same time. Then the parent is synced twice, rather than not yet.
	if err := m.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return m.SyncDir(parent)
}

// settle makes the entry of a directory that was found durable. Where this user may not read the parent, or it is on a file system that
// cannot sync, as under a mount, the directory is somebody else's work, which is taken as it is.
func settle(m DirMaker, name, parent string) error {
	if parent == name {
		return nil // a root is in no directory
	}
	err := m.SyncDir(parent)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
