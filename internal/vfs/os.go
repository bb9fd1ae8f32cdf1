package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	filePerm = 0o640 // records are nobody's business but the broker's and its operators'
	dirPerm  = 0o750
)

// OS returns the file system of the operating system. Its files implement FDer.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Create(name string) (File, error) {
	return openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (osFS) Open(name string) (File, error) { return openFile(name, os.O_RDWR) }

func openFile(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, filePerm)
	if err != nil {
		return nil, MarkNoSpace(err)
	}
	return &osFile{f: f, fd: f.Fd()}, nil
}

func (osFS) Remove(name string) error    { return os.Remove(name) }
func (osFS) RemoveAll(name string) error { return os.RemoveAll(name) }

func (osFS) Rename(oldName, newName string) error {
	return MarkNoSpace(os.Rename(oldName, newName)) // the new directory may have to grow
}

func (o osFS) MkdirAll(name string) error { return MkdirAll(o, name) }

// Mkdir implements DirMaker.
func (osFS) Mkdir(name string) error { return MarkNoSpace(os.Mkdir(name, dirPerm)) }

func (osFS) ReadDir(name string) ([]DirEntry, error) {
	found, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	entries := make([]DirEntry, len(found))
	for i, e := range found {
		entries[i] = DirEntry{Name: e.Name(), IsDir: e.IsDir()}
	}
	return entries, nil
}

func (osFS) Stat(name string) (Info, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	if info.IsDir() {
		return Info{IsDir: true}, nil
	}
	return Info{Size: info.Size()}, nil
}

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	// The directory was opened for this sync alone, so a Close that fails has nothing to tell about it.
	defer d.Close()
	return MarkNoSpace(syncDir(d))
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, MarkNoSpace(err)
	}
	if err := flock(f); err != nil {
		f.Close() // the error to report is the lock's
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f, nil
}

func (osFS) Space(name string) (total, free uint64, err error) {
	if total, free, err = diskSpace(name); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return total, free, nil
}

// osFile is an open file of the operating system.
type osFile struct {
	f  *os.File
	fd uintptr // f's; valid until Close, which the contract puts after every other call
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n := readCached(f.fd, p, off)
	if n == len(p) {
		return n, nil
	}
	rest, err := f.f.ReadAt(p[n:], off+int64(n))
	return n + rest, err
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	return n, MarkNoSpace(err)
}

func (f *osFile) WriteVAt(bufs [][]byte, off int64) (int64, error) {
	n, err := f.writeV(bufs, off)
	return n, f.mark("write", err)
}

func (f *osFile) Sync() error { return f.mark("fdatasync", f.datasync()) }

func (f *osFile) Truncate(size int64) error { return MarkNoSpace(f.f.Truncate(size)) }

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Close() error { return MarkNoSpace(f.f.Close()) }

// FD implements FDer.
func (f *osFile) FD() uintptr { return f.fd }

// mark gives an error of a system call its operation and path.
func (f *osFile) mark(op string, err error) error {
	if err == nil {
		return nil
	}
	return MarkNoSpace(&fs.PathError{Op: op, Path: f.f.Name(), Err: err})
}
