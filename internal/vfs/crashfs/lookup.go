package crashfs

import (
	"io/fs"
	"iter"
	"strings"
	"syscall"
)

// parts yields the names on the way from the root to name.
func parts(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(clean(name)[1:], "/") {
			if part != "" && !yield(part) {
				return
			}
		}
	}
}

// find returns what name stands for.
func (f *FS) find(name string) (*node, error) {
	n := f.root
	for part := range parts(name) {
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		if n = n.entries[part]; n == nil {
			return nil, fs.ErrNotExist
		}
	}
	return n, nil
}

// dir returns the directory of that name.
func (f *FS) dir(name string) (*node, error) {
	n, err := f.find(name)
	if err == nil && !n.isDir() {
		return nil, syscall.ENOTDIR
	}
	return n, err
}

// file returns the file of that name.
func (f *FS) file(name string) (*node, error) {
	n, err := f.find(name)
	if err == nil && n.isDir() {
		return nil, syscall.EISDIR
	}
	return n, err
}

// entry returns the directory that name is in, its last part, and what it stands for there: nil for nothing.
func (f *FS) entry(name string) (dir *node, base string, n *node, err error) {
	full := clean(name)
	if full == "/" {
		return nil, "", nil, syscall.EINVAL // the root is in no directory
	}
	slash := strings.LastIndexByte(full, '/')
	if dir, err = f.dir(full[:slash]); err != nil {
		return nil, "", nil, err
	}
	base = full[slash+1:]
	return dir, base, dir.entries[base], nil
}
