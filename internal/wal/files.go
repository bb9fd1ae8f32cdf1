package wal

import (
	"container/list"
	"sync"

	"chronik/internal/vfs"
)

// fileCache keeps the files of all logs of one device open while they are in use, and a bounded number of
// them after that, least recently used first out. An idle partition holds no descriptor.
//
// Whoever has written to a file keeps its reference until the sync, so that no error of writing back is
// lost with a close.
type fileCache struct {
	fs  vfs.FS
	cap int

	mu   sync.Mutex
	open map[string]*file
	idle list.List // of *file without holders, the one released last in front
	tick uint64
}

// file is an open file that several holders share.
type file struct {
	vfs.File
	name  string
	cache *fileCache
	refs  int           // guarded by the cache
	elem  *list.Element // in idle, if refs is 0
	last  uint64        // tick of the last release
	gone  bool          // not in the cache any more: closed at the last release
}

func newFileCache(fs vfs.FS, limit int) *fileCache {
	return &fileCache{fs: fs, cap: limit, open: make(map[string]*file)}
}

// get returns the file with a reference for the caller, opening it if needed.
func (c *fileCache) get(name string) (*file, error) {
	if f := c.lookup(name); f != nil {
		return f, nil
	}
	vf, err := c.fs.Open(name)
	if err != nil {
		return nil, err
	}
	return c.put(name, vf), nil
}

// put hands an open file to the cache and returns it with a reference. If another caller was faster, its
// file is returned and vf closed.
func (c *fileCache) put(name string, vf vfs.File) *file {
	if f := c.lookup(name); f != nil {
		_ = vf.Close() // nothing was written through it
		return f
	}
	c.mu.Lock()
	f, ok := c.open[name]
	if ok {
		c.hold(f)
	} else {
		f = &file{File: vf, name: name, cache: c, refs: 1}
		c.open[name] = f
	}
	victim := c.victim()
	c.mu.Unlock()
	if ok {
		_ = vf.Close()
	}
	if victim != nil {
		_ = victim.File.Close() // synced long ago, or never written to
	}
	return f
}

func (c *fileCache) lookup(name string) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.open[name]
	if f != nil {
		c.hold(f)
	}
	return f
}

func (c *fileCache) hold(f *file) {
	if f.refs == 0 && f.elem != nil {
		c.idle.Remove(f.elem)
		f.elem = nil
	}
	f.refs++
}

// release ends one holder's use.
func (f *file) release() {
	c := f.cache
	c.mu.Lock()
	f.refs--
	var victim *file
	if f.refs == 0 {
		if f.gone {
			victim = f
		} else {
			f.last = c.tick
			f.elem = c.idle.PushFront(f)
			victim = c.victim()
		}
	}
	c.mu.Unlock()
	if victim != nil {
		_ = victim.File.Close()
	}
}

// victim takes the file that must make room out of the cache, nil if there is room.
func (c *fileCache) victim() *file {
	if len(c.open) <= c.cap {
		return nil
	}
	back := c.idle.Back()
	if back == nil {
		return nil // all are in use: the bound gives way
	}
	f := c.idle.Remove(back).(*file)
	delete(c.open, f.name)
	return f
}

// forget takes a file out of the cache, because its name is about to mean another file or none. Those who
// hold it may go on reading.
func (c *fileCache) forget(name string) {
	c.mu.Lock()
	f := c.open[name]
	if f == nil {
		c.mu.Unlock()
		return
	}
	delete(c.open, name)
	f.gone = true
	unused := f.refs == 0
	if unused {
		c.idle.Remove(f.elem)
	}
	c.mu.Unlock()
	if unused {
		_ = f.File.Close()
	}
}

// sweep begins a new tick and closes the files that nobody has used for some.
func (c *fileCache) sweep(ticks uint64) {
	c.mu.Lock()
	c.tick++
	var old []*file
	for back := c.idle.Back(); back != nil; back = c.idle.Back() {
		f := back.Value.(*file)
		if c.tick-f.last < ticks {
			break
		}
		c.idle.Remove(back)
		delete(c.open, f.name)
		old = append(old, f)
	}
	c.mu.Unlock()
	for _, f := range old {
		_ = f.File.Close()
	}
}

// closeAll closes what nobody uses.
func (c *fileCache) closeAll() { c.sweep(0) }

// len is the number of open files.
func (c *fileCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
