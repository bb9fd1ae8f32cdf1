package quorum

import (
	"errors"
	"path"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
)

// snapshotName holds the image at some index, so that the log before it can go.
const snapshotName = "snapshot"

// keepUp does what is due now and then, after an entry was applied. Nothing of it can fail the entry.
func (q *Local) keepUp(im *image.Image) {
	if im.Index()-q.tried >= q.opts.SnapshotEvery {
		q.tried = im.Index()
		if err := q.snapshot(im); err != nil {
			q.opts.Log.Error("the metadata could not be written down; the log is whole, and it is tried again later",
				"index", im.Index(), "next_attempt", im.Index()+q.opts.SnapshotEvery, "error", err)
		}
	}
	if !q.reserved && im.Index()%reserveEvery == 0 {
		q.reserve()
	}
}

// snapshot writes the image down and then drops the entries that are in it. The order makes it safe at any moment: the
// entries go only when the snapshot is durable.
func (q *Local) snapshot(im *image.Image) error {
	data, err := image.EncodeSnapshot(im)
	if err != nil {
		return err
	}
	if err := replaceFile(q.opts.FS, q.opts.Dir, snapshotName, data); err != nil {
		return err
	}
	_, err = q.log.DeleteBefore(model.Offset(im.Index()))
	return err
}

// The reserve is a file that holds space for the metadata while the disk is full, so that a node can still start, and
// topics can still be deleted, which frees the rest (E3). Nobody reads it.
const (
	reserveName  = "reserve"
	reserveBytes = 256 << 10
	reserveEvery = 64 // entries between two attempts to make it again
)

// reserve makes the file if it is not there. Without space there is none, which is no error.
func (q *Local) reserve() {
	name := path.Join(q.opts.Dir, reserveName)
	if info, err := q.opts.FS.Stat(name); err == nil && info.Size == reserveBytes {
		q.reserved = true
		return
	}
	err := q.opts.FS.MkdirAll(q.opts.Dir)
	if err == nil {
		err = replaceFile(q.opts.FS, q.opts.Dir, reserveName, reserveContent())
	}
	q.reserved = err == nil
	if err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		q.opts.Log.Warn("no space could be set aside for the metadata", "file", name, "error", err)
	}
}

// reserveContent is noise, so that no file system stores less of it.
func reserveContent() []byte {
	data := make([]byte, reserveBytes)
	x := uint32(1)
	for i := range data {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		data[i] = byte(x)
	}
	return data
}

// spend gives the reserve back to the disk, and reports whether there was one. The sync of the directory is what makes
// file systems with a journal free the space.
func (q *Local) spend() bool {
	if !q.reserved {
		return false
	}
	q.reserved = false
	if err := q.opts.FS.Remove(path.Join(q.opts.Dir, reserveName)); err != nil {
		return false
	}
	return q.opts.FS.SyncDir(q.opts.Dir) == nil
}
