package faultfs

import (
	"io"
	"io/fs"
	"sync"

	"chronik/internal/vfs"
)

// FS is the file system that fails. It implements vfs.FS.
type FS struct {
	inner vfs.FS

	mu     sync.Mutex
	faults []*Fault
	space  ledger
}

// New wraps a file system. Without rules and limit it behaves like inner.
func New(inner vfs.FS) *FS {
	return &FS{inner: inner, space: ledger{inner: inner, files: make(map[string]*blocks)}}
}

// fail names a call in its error.
func fail(op, name string, err error) error {
	return vfs.MarkNoSpace(&fs.PathError{Op: op, Path: name, Err: err})
}

// call asks the rules about a call, and then makes it.
func (f *FS) call(c Call, verb string, do func() error) error {
	if r := f.check(c); r != nil {
		return fail(verb, c.Name, r.Err)
	}
	return do()
}

// Create implements vfs.FS.
func (f *FS) Create(name string) (h vfs.File, err error) {
	err = f.call(Call{Op: OpCreate, Name: name}, "create", func() error {
		h, err = f.opened(name, func(name string) (vfs.File, error) {
			created, err := f.inner.Create(name)
			if err == nil {
				f.space.drop(name) // whoever had the name before is gone, by a way that does not lead through here
			}
			return created, err
		})
		return err
	})
	return h, err
}

// Open implements vfs.FS.
func (f *FS) Open(name string) (h vfs.File, err error) {
	err = f.call(Call{Op: OpOpen, Name: name}, "open", func() error {
		h, err = f.opened(name, f.inner.Open)
		return err
	})
	return h, err
}

func (f *FS) opened(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	f.space.mu.Lock()
	defer f.space.mu.Unlock()
	inner, err := open(name)
	if err != nil {
		return nil, err
	}
	f.space.learn(name)
	b := f.space.files[clean(name)]
	if b == nil { // removed already by somebody who does not pass here
		b = new(blocks)
	}
	b.opens++
	return &file{fs: f, inner: inner, name: name, blocks: b}, nil
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return f.call(Call{Op: OpRemove, Name: name}, "remove", func() error {
		return f.space.removing(name, f.inner.Remove)
	})
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	return f.call(Call{Op: OpRemove, Name: name}, "remove", func() error {
		return f.space.removing(name, f.inner.RemoveAll)
	})
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldName, newName string) error {
	return f.call(Call{Op: OpRename, Name: oldName, NewName: newName}, "rename", func() error {
		return f.space.renaming(oldName, newName, f.inner.Rename)
	})
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(name string) error {
	return f.call(Call{Op: OpMkdir, Name: name}, "mkdir", func() error { return f.inner.MkdirAll(name) })
}

// ReadDir implements vfs.FS.
func (f *FS) ReadDir(name string) (entries []vfs.DirEntry, err error) {
	err = f.call(Call{Op: OpReadDir, Name: name}, "readdir", func() error {
		entries, err = f.inner.ReadDir(name)
		return err
	})
	return entries, err
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (info vfs.Info, err error) {
	err = f.call(Call{Op: OpStat, Name: name}, "stat", func() error {
		info, err = f.inner.Stat(name)
		return err
	})
	return info, err
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(name string) error {
	return f.call(Call{Op: OpSyncDir, Name: name}, "fsync", func() error { return f.inner.SyncDir(name) })
}

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (held io.Closer, err error) {
	err = f.call(Call{Op: OpLock, Name: name}, "lock", func() error {
		held, err = f.inner.Lock(name)
		return err
	})
	return held, err
}

// Space implements vfs.FS. Under a limit it reports what the limit leaves.
func (f *FS) Space(name string) (total, free uint64, err error) {
	err = f.call(Call{Op: OpStat, Name: name}, "statfs", func() error {
		total, free, err = f.inner.Space(name)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return total, f.space.cap(free), nil
}
