package quorum

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"path"

	"chronik/internal/vfs"
)

// The reserve is a file that holds space for the metadata while the disk is full, so that a node can still start, and
// topics can still be deleted, which frees the rest (E3). Nobody reads it.
const (
	reserveName  = "reserve"
	reserveBytes = 256 << 10
	reserveEvery = 64 // entries between two attempts to make it again
)

// reserve is that file. It has one user at a time.
type reserve struct {
	fs   vfs.FS
	dir  string
	log  *slog.Logger
	held bool // it is on the disk
}

// fill makes the file if it is not there. Without space there is none, which is no error.
func (r *reserve) fill() {
	name := path.Join(r.dir, reserveName)
	if info, err := r.fs.Stat(name); err == nil && info.Size == reserveBytes {
		r.held = true
		return
	}
	err := r.fs.MkdirAll(r.dir)
	if err == nil {
		err = vfs.ReplaceFile(r.fs, name, reserveContent())
	}
	r.held = err == nil
	if err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		r.log.Warn("no space could be set aside for the metadata", "file", name, "error", err)
	}
}

// reserveContent is noise, so that no file system stores less of it.
func reserveContent() []byte {
	data := make([]byte, 0, reserveBytes)
	for x := uint64(1); len(data) < reserveBytes; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data = binary.LittleEndian.AppendUint64(data, x)
	}
	return data
}

// spend gives the reserve back to the disk, and reports whether there was one. The sync of the directory is what makes
// file systems with a journal free the space.
func (r *reserve) spend() bool {
	if !r.held {
		return false
	}
	r.held = false
	if err := r.fs.Remove(path.Join(r.dir, reserveName)); err != nil {
		return false
	}
	return r.fs.SyncDir(r.dir) == nil
}
