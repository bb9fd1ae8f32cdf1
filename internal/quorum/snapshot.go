package quorum

import (
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"path"
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
	if !q.reserve.held && im.Index()%reserveEvery == 0 {
		q.reserve.fill()
	}
}

// snapshot writes the image down and then drops the entries that are in it. The order makes it safe at any moment: the
// entries go only when the snapshot is durable.
func (q *Local) snapshot(im *image.Image) error {
	data, err := image.EncodeSnapshot(im)
	if err != nil {
		return err
	}
	if err := vfs.ReplaceFile(q.opts.FS, path.Join(q.opts.Dir, snapshotName), data); err != nil {
		return err
	}
	_, err = q.log.DeleteBefore(model.Offset(im.Index()))
	return err
}
