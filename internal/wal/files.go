package wal

import (
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
	open map[fileKey]*file
	idle file // head of the ring of files without holders: idle.older is the one released last
	tick uint64
}

// fileKey names a file of a log: that of a segment (fileNumber), or the index.
type fileKey struct {
	log    *Log
	number int64
}

// indexNumber stands for the index file.
const indexNumber = -1

func (k fileKey) path() string {
	if k.number == indexNumber {
		return k.log.path(indexName)
	}
	return k.log.path(segmentName(k.number))
}

// segmentFile opens a segment, or the index, through the cache. The caller must release it.
func (l *Log) segmentFile(number int64) (*file, error) {
	return l.committer.files.get(fileKey{l, number})
}

// forgetFile is fileCache.forget.
func (l *Log) forgetFile(number int64) { l.committer.files.forget(fileKey{l, number}) }

// file is an open file that several holders share.
type file struct {
	vfs.File
	key   fileKey
	name  string // its path
	cache *fileCache
	refs  int   // guarded by the cache
	newer *file // in the ring of idle files, if refs is 0
	older *file
	last  uint64 // tick of the last release
	gone  bool   // not in the cache any more: closed at the last release
}

func newFileCache(fs vfs.FS, limit int) *fileCache {
	c := &fileCache{fs: fs, cap: limit, open: make(map[fileKey]*file)}
	c.idle.newer, c.idle.older = &c.idle, &c.idle
	return c
}

// get returns the file with a reference for the caller, opening it if needed.
func (c *fileCache) get(key fileKey) (*file, error) {
	if f := c.lookup(key); f != nil {
		return f, nil
	}
	vf, err := c.fs.Open(key.path())
	if err != nil {
		return nil, err
	}
	return c.put(key, vf), nil
}

// put hands an open file to the cache and returns it with a reference. If another caller was faster, its
// file is returned and vf closed.
func (c *fileCache) put(key fileKey, vf vfs.File) *file {
	name := key.path()
	c.mu.Lock()
	f, ok := c.open[key]
	if ok {
		c.hold(f)
	} else {
		f = &file{File: vf, key: key, name: name, cache: c, refs: 1}
		c.open[key] = f
	}
	victim := c.victim()
	c.mu.Unlock()
	if ok {
		_ = vf.Close() // nothing was written through it
	}
	if victim != nil {
		_ = victim.File.Close() // synced long ago, or never written to
	}
	return f
}

func (c *fileCache) lookup(key fileKey) *file {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.open[key]
	if f != nil {
		c.hold(f)
	}
	return f
}

func (c *fileCache) hold(f *file) {
	if f.refs == 0 {
		f.unlink()
	}
	f.refs++
}

// link puts a file into the ring behind its head.
func (f *file) link(head *file) {
	f.newer, f.older = head, head.older
	head.older.newer = f
	head.older = f
}

func (f *file) unlink() {
	f.newer.older, f.older.newer = f.older, f.newer
	f.newer, f.older = nil, nil
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
			f.link(&c.idle)
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
	f := c.idle.newer // around the ring: the oldest
	if f == &c.idle {
		return nil // all are in use: the bound gives way
	}
	f.unlink()
	delete(c.open, f.key)
	return f
}

// forget takes a file out of the cache, because its name means another file from now on, or none. Those who
// hold it may go on reading.
func (c *fileCache) forget(key fileKey) {
	c.mu.Lock()
	f := c.open[key]
	if f == nil {
		c.mu.Unlock()
		return
	}
	delete(c.open, key)
	f.gone = true
	unused := f.refs == 0
	if unused {
		f.unlink()
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
	for f := c.idle.newer; f != &c.idle; f = c.idle.newer {
		if c.tick-f.last < ticks {
			break
		}
		f.unlink()
		delete(c.open, f.key)
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
