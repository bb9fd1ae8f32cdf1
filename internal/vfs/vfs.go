// Package vfs is the seam between Chronik and the disk. Everything that touches a file goes through FS,
// so that the same code runs over the operating system (OS), over a disk that loses power (crashfs) and
// over a disk that fails (faultfs).
//
// What survives a power cut, and the only thing that callers may rely on:
//   - bytes of a file: those written before a File.Sync that returned nil;
//   - a file's length, cut or grown, as it was at the last such Sync;
//   - a directory entry (create, rename, remove): changes made before an FS.SyncDir of that directory
//     that returned nil. A synced file whose entry was never synced may be gone.
//
// Everything else may stay, vanish or tear at any 512-byte sector, in any order. After a Sync that
// failed, nothing may be assumed about any byte written since the last good one, and syncing again
// proves nothing (invariant D3).
package vfs

import (
	"errors"
	"io"
)

// SectorSize is the unit, in bytes, that a disk writes whole or not at all.
const SectorSize = 512

// ErrNoSpace is what errors.Is reports for a write that failed because the disk or the quota is full,
// whichever file system said so.
var ErrNoSpace = errors.New("no space left on device")

// FS is a file system. Names are slash-separated paths. All methods may be called from any goroutine.
// Errors match fs.ErrNotExist, fs.ErrExist and ErrNoSpace under errors.Is.
type FS interface {
	// Create makes a new, empty file open for reading and writing; fs.ErrExist if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Remove deletes a file or an empty directory.
	Remove(name string) error
	// RemoveAll deletes a tree; nil if there is none.
	RemoveAll(name string) error
	// Rename replaces newName atomically, whether it exists or not. Directories too, onto a free name.
	Rename(oldName, newName string) error
	// MkdirAll makes a directory and its missing parents, if it is not there yet. Once it has returned nil, all that it has made, and
	// what an earlier call has that did not come to its end, survives a loss of power. It syncs at least one directory.
	MkdirAll(name string) error
	// ReadDir returns the names in a directory, sorted.
	ReadDir(name string) ([]DirEntry, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// SyncDir makes earlier changes to the directory's entries durable.
	SyncDir(name string) error
	// Lock takes an exclusive advisory lock on the named file, making it if needed; ErrLocked if another
	// process or another caller holds it. Closing releases it, and so does the end of the process.
	Lock(name string) (io.Closer, error)
	// Space reports the bytes that the file system holding name has in all, and those still free to us.
	Space(name string) (total, free uint64, err error)
}

// ErrLocked is returned by Lock while somebody else holds the lock.
var ErrLocked = errors.New("the file is locked by another process")

// DirEntry is one name in a directory.
type DirEntry struct {
	Name  string
	IsDir bool
}

// Info describes a file or a directory.
type Info struct {
	Size  int64 // bytes; 0 for a directory
	IsDir bool
}

// File is an open file. Reads and writes name their position, so that any number of goroutines may
// share one; Close must come after the last of them.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// WriteVAt writes the buffers one after the other from off on, as one gathering write where the
	// system has one, and returns the bytes written. Short without an error never happens.
	WriteVAt(bufs [][]byte, off int64) (int64, error)
	// Sync makes the bytes written so far and the file's length durable, whichever way that changed
	// (fdatasync). A failure is final for the file: see the package's comment.
	Sync() error
	// Truncate sets the length: cuts bytes off, or extends by zeros without taking disk space for them.
	Truncate(size int64) error
	// Size returns the length in bytes.
	Size() (int64, error)
}

// FDer is implemented by files that have a descriptor of the operating system, for sendfile. The
// descriptor stays the file's own: it must not be closed, nor used after the file's Close.
type FDer interface {
	FD() uintptr
}

// ParkingSyncer is implemented by files that can be synced without a thread that waits for the disk.
type ParkingSyncer interface {
	// SyncParked is Sync, for callers who would rather spend some ten microseconds more than a thread: the calling goroutine
	// waits, as for a network connection.
	SyncParked() error
}

// SyncParked is f.SyncParked if f can, else f.Sync.
func SyncParked(f File) error {
	if p, ok := f.(ParkingSyncer); ok {
		return p.SyncParked()
	}
	return f.Sync()
}

// Forgetter is implemented by files whose system keeps in memory what was written to them.
type Forgetter interface {
	// Forget says that the bytes [off, off+n), which are synced, will hardly be read soon, so that the memory
	// which holds them can be used for something else. It is advice: reading them goes on to work.
	Forget(off, n int64)
}
