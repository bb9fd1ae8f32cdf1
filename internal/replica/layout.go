package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"chronik/internal/model"
	"chronik/internal/vfs"
)

// layout is where partitions live on one disk:
//
//	wal/partitions/{topic}-{partition}/   one log each
//	wal/deleted/{topicID}-{partition}/    on its way out; nothing here is ever read again (L5)
type layout struct {
	fs   vfs.FS
	root string // the data directory
}

func (d layout) partitions() string { return path.Join(d.root, "wal", "partitions") }
func (d layout) deleted() string    { return path.Join(d.root, "wal", "deleted") }

func (d layout) partition(tp model.TopicPartition) string {
	return path.Join(d.partitions(), tp.String())
}

// prepare makes the directories and finishes removals that an earlier run began.
func (d layout) prepare() error {
	if err := d.fs.MkdirAll(d.partitions()); err != nil {
		return err
	}
	if err := d.fs.MkdirAll(d.deleted()); err != nil {
		return err
	}
	return d.emptyDeleted()
}

func (d layout) emptyDeleted() error {
	entries, err := d.fs.ReadDir(d.deleted())
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, d.fs.RemoveAll(path.Join(d.deleted(), e.Name)))
	}
	return errors.Join(errs...)
}

// bury takes a partition's directory out of the way in one durable step, so that a topic created again under
// the name starts from nothing. What is left to be done is to remove the grave; "": there was nothing to bury.
func (d layout) bury(dir string, id model.TopicID, partition int32) (grave string, err error) {
	if grave, err = d.freeGrave(fmt.Sprintf("%s-%d", id, partition)); err != nil {
		return "", err
	}
	if err := d.fs.Rename(dir, grave); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil // the log was never opened, or an earlier attempt got this far
		}
		return "", err
	}
	return grave, errors.Join(d.fs.SyncDir(d.partitions()), d.fs.SyncDir(d.deleted()))
}

// discard buries a partition's directory and removes the files.
func (d layout) discard(dir string, id model.TopicID, partition int32) error {
	grave, err := d.bury(dir, id, partition)
	if err != nil || grave == "" {
		return err
	}
	return d.fs.RemoveAll(grave)
}

// freeGrave picks a name that no unfinished removal holds.
func (d layout) freeGrave(name string) (string, error) {
	grave := path.Join(d.deleted(), name)
	for n := 1; ; n++ {
		_, err := d.fs.Stat(grave)
		if errors.Is(err, fs.ErrNotExist) {
			return grave, nil
		}
		if err != nil {
			return "", err
		}
		grave = path.Join(d.deleted(), fmt.Sprintf("%s.%d", name, n))
	}
}
