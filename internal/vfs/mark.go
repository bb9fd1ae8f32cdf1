package vfs

import (
	"errors"
	"io/fs"
	"path"
)

// A mark is an empty file: that it is there says something.

// PutMark makes a mark. Once it has returned nil, the mark survives a loss of power (D6), also one that was there already: whoever made
// it may have been killed before it was durable.
func PutMark(fsys FS, name string) error {
	f, err := fsys.Create(name)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

// TakeMark removes a mark, and tells whether there was one; after an error it does not. Once it has returned nil, no loss of power brings
// the mark back (D6), not even where there was none any more. There is none in a directory that is not there.
func TakeMark(fsys FS, name string) (was bool, err error) {
	err = fsys.Remove(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	was = err == nil
	if err = fsys.SyncDir(path.Dir(name)); err != nil && (was || !errors.Is(err, fs.ErrNotExist)) {
		return false, err
	}
	return was, nil
}
