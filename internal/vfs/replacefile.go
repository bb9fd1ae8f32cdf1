package vfs

import (
	"errors"
	"io/fs"
	"path"
)

// TempSuffix ends the name under which ReplaceFile writes. A file of such a name is what an attempt has left that was cut short:
// nobody needs it, and whoever finds it may remove it.
const TempSuffix = ".tmp"

// ReplaceFile puts data under a name in one durable step, whether the name is taken or free (D6). Once it has returned nil, the new
// content survives a loss of power. Whenever the power goes, and whichever error is returned, the name has its old content or the
// new one, whole; a name that was free may still be. After an error, nothing says which of the two the next crash leaves, until another
// ReplaceFile has returned nil; an error before the content had its name gives back the space that it took.
//
// It is for small files. Two calls for one name must not overlap.
func ReplaceFile(fsys FS, name string, data []byte) error {
	tmp := name + TempSuffix
	if err := fsys.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := writeSynced(fsys, tmp, data)
	if err == nil {
		err = fsys.Rename(tmp, name) // after the sync: else the name could have the new length and none of its bytes
	}
	if err != nil {
		_ = fsys.Remove(tmp) // else the next attempt does it
		return err
	}
	return fsys.SyncDir(path.Dir(name))
}

// writeSynced makes a file whose content is durable, though not yet its name.
func writeSynced(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
