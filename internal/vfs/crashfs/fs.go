package crashfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"chronik/internal/vfs"
)

// ErrCrashed is what errors.Is reports for every call to a file system after its Crash, and to its open files.
var ErrCrashed = errors.New("crashfs: the power was cut")

// capacity is what Space reports as the size of the disk, in bytes. It is not enforced: see faultfs.
const capacity = 1 << 40

// FS is the file system. It implements vfs.FS.
type FS struct {
	hook   atomic.Pointer[func(Op)]
	counts [numKinds]atomic.Int64

	mu      sync.RWMutex
	root    *node
	journal journal
	rng     *rand.Rand
	crashed bool
}

// node is a file or a directory, whatever names it has.
type node struct {
	entries map[string]*node // of a directory, as its users see it; nil for a file
	durable map[string]*node // of a directory, as the last syncs left it
	content content          // of a file
	locked  bool             // by Lock
}

func newDir() *node {
	return &node{entries: make(map[string]*node), durable: make(map[string]*node)}
}

func (n *node) isDir() bool { return n.entries != nil }

// New makes an empty file system whose crashes are drawn from seed.
func New(seed uint64) *FS {
	return &FS{root: newDir(), rng: rand.New(rand.NewPCG(seed, 0x6372617368))}
}

// Create implements vfs.FS.
func (f *FS) Create(name string) (vfs.File, error) {
	return doOp(f, Op{Kind: OpCreate, Name: name}, func() (vfs.File, error) {
		dir, base, n, err := f.entry(name)
		if err != nil {
			return nil, err
		}
		if n != nil {
			return nil, fs.ErrExist
		}
		n = new(node)
		f.journal.add(nil, edit{dir, base, n})
		return &file{fs: f, node: n, name: name}, nil
	})
}

// Open implements vfs.FS.
func (f *FS) Open(name string) (vfs.File, error) {
	return doOp(f, Op{Kind: OpOpen, Name: name}, func() (vfs.File, error) {
		n, err := f.file(name)
		if err != nil {
			return nil, err
		}
		return &file{fs: f, node: n, name: name}, nil
	})
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	return do(f, Op{Kind: OpRemove, Name: name}, func() error {
		dir, base, n, err := f.entry(name)
		switch {
		case err != nil:
			return err
		case n == nil:
			return fs.ErrNotExist
		case len(n.entries) > 0:
			return syscall.ENOTEMPTY
		}
		f.unlink(dir, base, n)
		return nil
	})
}

// RemoveAll implements vfs.FS. A crash may leave any part of the tree.
func (f *FS) RemoveAll(name string) error {
	return do(f, Op{Kind: OpRemoveAll, Name: name}, func() error {
		dir, base, n, err := f.entry(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if n != nil {
			f.unlinkTree(dir, base, n)
		}
		return nil
	})
}

func (f *FS) unlinkTree(dir *node, name string, n *node) {
	for _, child := range sortedNames(n.entries) {
		f.unlinkTree(n, child, n.entries[child])
	}
	f.unlink(dir, name, n)
}

func (f *FS) unlink(dir *node, name string, n *node) {
	var emptied *node
	if n.isDir() {
		emptied = n
	}
	f.journal.add(emptied, edit{dir, name, nil})
}

// Rename implements vfs.FS.
func (f *FS) Rename(oldName, newName string) error {
	return do(f, Op{Kind: OpRename, Name: oldName, NewName: newName}, func() error {
		oldDir, oldBase, n, err := f.entry(oldName)
		if err != nil {
			return err
		}
		if n == nil {
			return fs.ErrNotExist
		}
		newDir, newBase, target, err := f.entry(newName)
		switch {
		case err != nil:
			return err
		case target == n:
			return nil
		case target != nil && target.isDir():
			return fs.ErrExist
		case target != nil && n.isDir():
			return syscall.ENOTDIR
		case n.isDir() && strings.HasPrefix(clean(newName), clean(oldName)+"/"):
			return syscall.EINVAL
		}
		f.journal.add(nil, edit{oldDir, oldBase, nil}, edit{newDir, newBase, n})
		return nil
	})
}

// MkdirAll implements vfs.FS, by calls of Mkdir, Stat and SyncDir: a crash may fall between them.
func (f *FS) MkdirAll(name string) error { return vfs.MkdirAll(f, name) }

// Mkdir implements vfs.DirMaker.
func (f *FS) Mkdir(name string) error {
	return do(f, Op{Kind: OpMkdir, Name: name}, func() error {
		dir, base, n, err := f.entry(name)
		switch {
		case err != nil:
			return err
		case n != nil:
			return fs.ErrExist
		}
		f.journal.add(nil, edit{dir, base, newDir()})
		return nil
	})
}

// ReadDir implements vfs.FS.
func (f *FS) ReadDir(name string) ([]vfs.DirEntry, error) {
	return doOp(f, Op{Kind: OpReadDir, Name: name}, func() ([]vfs.DirEntry, error) {
		dir, err := f.dir(name)
		if err != nil {
			return nil, err
		}
		entries := make([]vfs.DirEntry, 0, len(dir.entries))
		for _, base := range sortedNames(dir.entries) {
			entries = append(entries, vfs.DirEntry{Name: base, IsDir: dir.entries[base].isDir()})
		}
		return entries, nil
	})
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.Info, error) {
	return doOp(f, Op{Kind: OpStat, Name: name}, func() (vfs.Info, error) {
		n, err := f.find(name)
		if err != nil {
			return vfs.Info{}, err
		}
		return vfs.Info{Size: n.content.size, IsDir: n.isDir()}, nil
	})
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(name string) error {
	return do(f, Op{Kind: OpSyncDir, Name: name}, func() error {
		dir, err := f.dir(name)
		if err != nil {
			return err
		}
		f.journal.syncDir(dir)
		return nil
	})
}

// Lock implements vfs.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	return doOp(f, Op{Kind: OpLock, Name: name}, func() (io.Closer, error) {
		dir, base, n, err := f.entry(name)
		switch {
		case err != nil:
			return nil, err
		case n == nil:
			n = new(node)
			f.journal.add(nil, edit{dir, base, n})
		case n.isDir():
			return nil, syscall.EISDIR
		case n.locked:
			return nil, vfs.ErrLocked
		}
		n.locked = true
		return &lock{fs: f, node: n}, nil
	})
}

// Space implements vfs.FS.
func (f *FS) Space(name string) (total, free uint64, err error) {
	free, err = doOp(f, Op{Kind: OpStat, Name: name}, func() (uint64, error) {
		if _, err := f.find(name); err != nil {
			return 0, err
		}
		return capacity - min(capacity, f.root.used()), nil
	})
	if err != nil {
		return 0, 0, err
	}
	return capacity, free, nil
}

// used returns the bytes that the files of a tree take. Holes take none.
func (n *node) used() (bytes uint64) {
	for _, child := range n.entries {
		bytes += child.used()
	}
	for _, p := range n.content.pages {
		if p != nil {
			bytes += pageSize
		}
	}
	return bytes
}

// lock is what Lock returns.
type lock struct {
	fs   *FS
	node *node
	once sync.Once
}

// Close implements io.Closer.
func (l *lock) Close() error {
	err := error(fs.ErrClosed)
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		l.node.locked = false
		err = nil
	})
	return err
}

func sortedNames(entries map[string]*node) []string {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func clean(name string) string { return path.Clean("/" + name) }
