package replica

import (
	"errors"
	"io/fs"
	"net/url"
	"path"

	"chronik/internal/vfs"
)

// failedName is the directory, in the first data directory, of the notes on the others.
const failedName = "failed_dirs"

// failedDirs remembers which data directories have failed, in the first one: an empty file for each, named after it. While a
// directory cannot be used its partitions may be removed and come back in another one; when it can be used again, what it has of
// them is out of date.
type failedDirs struct {
	fs   vfs.FS
	dir  string
	list map[string]bool
}

func readFailedDirs(fsys vfs.FS, dir string) (failedDirs, error) {
	n := failedDirs{fs: fsys, dir: dir, list: make(map[string]bool)}
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	for _, e := range entries {
		n.list[e.Name] = true
	}
	return n, err
}

// has tells whether a directory had failed before this start.
func (n *failedDirs) has(root string) bool { return n.list[url.PathEscape(root)] }

// add notes that a directory has failed.
func (n *failedDirs) add(root string) error {
	if err := n.fs.MkdirAll(n.dir); err != nil {
		return err
	}
	return vfs.PutMark(n.fs, path.Join(n.dir, url.PathEscape(root)))
}

// remove crosses a directory out: whatever in it was out of date is gone.
func (n *failedDirs) remove(root string) error {
	if !n.has(root) {
		return nil
	}
	_, err := vfs.TakeMark(n.fs, path.Join(n.dir, url.PathEscape(root)))
	return err
}
