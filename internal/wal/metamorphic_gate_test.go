package wal_test

import (
	"errors"
	"io"
	"path"

	"chronik/internal/vfs"
	"chronik/internal/vfs/crashfs"
)

// gate stands between a log and its disk. Once shut it lets nothing through: the process is dead. While it
// is open, pretend may have calls answered without anything being done: a disk that lies, which is how a log
// that forgets something looks to its disk.
type gate struct {
	vfs.FS
	shut    bool
	pretend func(op crashfs.Kind, name string, size int64) bool
	deaf    bool // a sync that failed has not
	trace   func(format string, args ...any)
	made    func(name string) // a file is created
	fed     func(name string) // batches are written to it
}

var errDead = errors.New("the process is dead")

// pass tells whether a call goes on; if not, err is its result.
func (g *gate) pass(op crashfs.Kind, name string, size int64) (goOn bool, err error) {
	if g.trace != nil {
		g.trace("    disk: %v %s %d", op, path.Base(name), size)
	}
	switch {
	case g.shut:
		return false, errDead
	case g.pretend != nil && g.pretend(op, name, size):
		return false, nil
	}
	return true, nil
}

func (g *gate) do(op crashfs.Kind, name string, call func() error) error {
	if goOn, err := g.pass(op, name, 0); !goOn {
		return err
	}
	return call()
}

func (g *gate) Create(name string) (vfs.File, error) {
	f, err := g.file(name, g.FS.Create)
	if err == nil && g.made != nil {
		g.made(name)
	}
	return f, err
}

func (g *gate) Open(name string) (vfs.File, error) { return g.file(name, g.FS.Open) }

func (g *gate) file(name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	if g.shut {
		return nil, errDead
	}
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	return &gateFile{f, g, name}, nil
}

func (g *gate) Remove(name string) error {
	return g.do(crashfs.OpRemove, name, func() error { return g.FS.Remove(name) })
}

func (g *gate) RemoveAll(name string) error {
	return g.do(crashfs.OpRemoveAll, name, func() error { return g.FS.RemoveAll(name) })
}

func (g *gate) Rename(oldName, newName string) error {
	return g.do(crashfs.OpRename, oldName, func() error { return g.FS.Rename(oldName, newName) })
}

func (g *gate) MkdirAll(name string) error {
	return g.do(crashfs.OpMkdir, name, func() error { return g.FS.MkdirAll(name) })
}

func (g *gate) SyncDir(name string) error {
	return g.do(crashfs.OpSyncDir, name, func() error { return g.FS.SyncDir(name) })
}

func (g *gate) ReadDir(name string) ([]vfs.DirEntry, error) {
	if g.shut {
		return nil, errDead
	}
	return g.FS.ReadDir(name)
}

func (g *gate) Stat(name string) (vfs.Info, error) {
	if g.shut {
		return vfs.Info{}, errDead
	}
	return g.FS.Stat(name)
}

func (g *gate) Lock(name string) (io.Closer, error) {
	if g.shut {
		return nil, errDead
	}
	return g.FS.Lock(name)
}

type gateFile struct {
	vfs.File
	gate *gate
	name string
}

func (f *gateFile) ReadAt(p []byte, off int64) (int, error) {
	if f.gate.shut {
		return 0, errDead
	}
	return f.File.ReadAt(p, off)
}

func (f *gateFile) WriteAt(p []byte, off int64) (int, error) {
	if goOn, err := f.gate.pass(crashfs.OpWrite, f.name, int64(len(p))); !goOn {
		return len(p), err
	}
	return f.File.WriteAt(p, off)
}

func (f *gateFile) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	var total int64
	for _, b := range bufs {
		total += int64(len(b))
	}
	if goOn, err := f.gate.pass(crashfs.OpWrite, f.name, total); !goOn {
		return total, err
	}
	if f.gate.fed != nil {
		f.gate.fed(f.name)
	}
	return f.File.WriteVAt(bufs, off)
}

func (f *gateFile) Sync() error {
	err := f.gate.do(crashfs.OpSync, f.name, f.File.Sync)
	if f.gate.deaf && err != errDead {
		return nil
	}
	return err
}

func (f *gateFile) Truncate(size int64) error {
	if goOn, err := f.gate.pass(crashfs.OpTruncate, f.name, size); !goOn {
		return err
	}
	return f.File.Truncate(size)
}

func (f *gateFile) Size() (int64, error) {
	if f.gate.shut {
		return 0, errDead
	}
	return f.File.Size()
}
