package powercut

import (
	"io"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// cable stands between one process and its disk. Unplugged, nothing of the process reaches the disk any more, while
// the disk and its page cache live on: that is a process that was killed.
//
// One write or sync, the failAt-th of the process, fails. After a failed sync the disk holds what it likes, and the next
// sync proves nothing (D3). As on Linux, whoever has the file open at that time is told once, with its own next sync.
//
// A sync takes its time before it takes effect: the power can go while somebody waits for it.
//
// A lie is a sync that returns nil and does nothing. A broker that forgets to sync looks like that to its disk.
type cable struct {
	vfs.FS
	unplugged atomic.Bool
	lies      func(kind crashfs.Kind, name string) bool // nil: never
	latency   time.Duration
	failAt    int64
	calls     atomic.Int64           // writes and syncs
	bad       atomic.Pointer[string] // the file whose sync has failed
	log       *slog.Logger
}

// failed tells whether the disk has failed the process.
func (c *cable) failed() bool { return c.failAt > 0 && c.calls.Load() >= c.failAt }

// fails tells whether this write or sync does.
func (c *cable) fails(kind crashfs.Kind, name string) bool {
	if c.calls.Add(1) != c.failAt {
		return false
	}
	c.log.Warn("the disk fails", "operation", kind, "file", name)
	return true
}

// isBad tells whether a sync of the file has failed.
func (c *cable) isBad(name string) bool {
	bad := c.bad.Load()
	return bad != nil && *bad == name
}

func (c *cable) do(call func() error) error {
	if c.unplugged.Load() {
		return crashfs.ErrCrashed
	}
	return call()
}

// get is do for calls with a result.
func get[T any](c *cable, call func() (T, error)) (result T, err error) {
	err = c.do(func() (err error) {
		result, err = call()
		return err
	})
	return result, err
}

func (c *cable) sync(kind crashfs.Kind, name string, call func() error) error {
	return c.do(func() error {
		if c.lies != nil && c.lies(kind, name) {
			return nil
		}
		return call()
	})
}

func (c *cable) Create(name string) (vfs.File, error) {
	f, err := get(c, func() (vfs.File, error) { return c.FS.Create(name) })
	return c.plug(f, err, name)
}

func (c *cable) Open(name string) (vfs.File, error) {
	f, err := get(c, func() (vfs.File, error) { return c.FS.Open(name) })
	return c.plug(f, err, name)
}

func (c *cable) plug(f vfs.File, err error, name string) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	file := &cabledFile{File: f, cable: c, name: name}
	file.told.Store(c.isBad(name)) // it happened before
	return file, nil
}

func (c *cable) Remove(name string) error {
	return c.do(func() error { return c.FS.Remove(name) })
}

func (c *cable) RemoveAll(name string) error {
	return c.do(func() error { return c.FS.RemoveAll(name) })
}

func (c *cable) Rename(oldName, newName string) error {
	return c.do(func() error { return c.FS.Rename(oldName, newName) })
}

func (c *cable) MkdirAll(name string) error {
	return c.do(func() error { return c.FS.MkdirAll(name) })
}

func (c *cable) ReadDir(name string) ([]vfs.DirEntry, error) {
	return get(c, func() ([]vfs.DirEntry, error) { return c.FS.ReadDir(name) })
}

func (c *cable) Stat(name string) (vfs.Info, error) {
	return get(c, func() (vfs.Info, error) { return c.FS.Stat(name) })
}

func (c *cable) SyncDir(name string) error {
	return c.sync(crashfs.OpSyncDir, name, func() error { return c.FS.SyncDir(name) })
}

func (c *cable) Lock(name string) (io.Closer, error) {
	return get(c, func() (io.Closer, error) { return c.FS.Lock(name) })
}

// cabledFile is an open file of the process. Close needs no cable: the system does it when a process is gone.
type cabledFile struct {
	vfs.File
	cable *cable
	name  string
	told  atomic.Bool // that a sync of the file has failed
}

func (f *cabledFile) ReadAt(p []byte, off int64) (int, error) {
	return get(f.cable, func() (int, error) { return f.File.ReadAt(p, off) })
}

func (f *cabledFile) WriteAt(p []byte, off int64) (int, error) {
	if f.cable.fails(crashfs.OpWrite, f.name) {
		return 0, syscall.EIO
	}
	return get(f.cable, func() (int, error) { return f.File.WriteAt(p, off) })
}

func (f *cabledFile) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	if f.cable.fails(crashfs.OpWrite, f.name) {
		return 0, syscall.EIO
	}
	return get(f.cable, func() (int64, error) { return f.File.WriteVAt(bufs, off) })
}

func (f *cabledFile) Sync() error {
	if f.cable.latency > 0 {
		<-time.After(f.cable.latency)
	}
	if f.cable.fails(crashfs.OpSync, f.name) {
		f.told.Store(true)
		f.cable.bad.Store(&f.name)
		f.File.(interface{ SyncFailed() }).SyncFailed()
		return syscall.EIO
	}
	err := f.cable.sync(crashfs.OpSync, f.name, f.File.Sync)
	if err == nil && f.cable.isBad(f.name) && !f.told.Swap(true) {
		return syscall.EIO
	}
	return err
}

func (f *cabledFile) Truncate(size int64) error {
	return f.cable.do(func() error { return f.File.Truncate(size) })
}

func (f *cabledFile) Size() (int64, error) {
	return get(f.cable, f.File.Size)
}
