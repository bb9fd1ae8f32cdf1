package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/record/compress"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// replayBytes is how much of the log is read at once.
const replayBytes = 1 << 20

// recover builds the image from the snapshot, if there is one, and the entries behind it.
func (q *Local) recover(rec wal.Recovery) (*image.Image, error) {
	if rec.Corruption != nil {
		return nil, fmt.Errorf("%w; without it no topic can be told from another: restore %s from a backup", rec.Corruption, q.opts.Dir)
	}
	im, err := q.readSnapshot()
	if err != nil {
		return nil, err
	}
	q.snapped = im.Index()
	if int64(rec.Start) > int64(im.Index()) {
		return nil, fmt.Errorf("it begins at index %d, but the newest snapshot is of %d: restore %s from a backup",
			rec.Start+1, im.Index(), path.Join(q.opts.Dir, snapshotName))
	}
	if uint64(rec.End) < im.Index() {
		return nil, fmt.Errorf("it ends at index %d, but the snapshot is of %d: restore the segments in %s from a backup",
			rec.End, im.Index(), q.opts.Dir)
	}
	return q.replay(im, rec.End)
}

func (q *Local) replay(im *image.Image, end model.Offset) (*image.Image, error) {
	for from := model.Offset(im.Index()); from < end; {
		region, err := q.log.Read(from, end, replayBytes, true)
		if err != nil {
			return nil, err
		}
		data, err := region.ReadAll(nil)
		next := region.Next()
		region.Release()
		if err != nil {
			return nil, err
		}
		if im, err = q.applyAll(im, data); err != nil {
			return nil, err
		}
		if next == from || model.Offset(im.Index()) != next {
			return nil, fmt.Errorf("reading from index %d led to %d instead of %d", from+1, im.Index(), next)
		}
		from = next
	}
	return im, nil
}

func (q *Local) applyAll(im *image.Image, data []byte) (*image.Image, error) {
	for len(data) > 0 {
		b, rest, err := record.Next(data)
		if err != nil {
			return nil, err
		}
		data = rest
		if b.LastOffset() < model.Offset(im.Index()) {
			continue // the snapshot holds it already
		}
		commands, err := q.decode(b)
		if err != nil {
			return nil, fmt.Errorf("index %d: %w", b.BaseOffset()+1, err)
		}
		next, _, err := image.Apply(im, commands, uint64(b.LeaderEpoch()), uint64(b.BaseOffset())+1)
		if err != nil && !image.IsConflict(err) {
			return nil, fmt.Errorf("index %d: %w", b.BaseOffset()+1, err)
		}
		im = next
	}
	return im, nil
}

// errEntry: the batch is not one entry of a metadata log.
var errEntry = errors.New("not an entry of a metadata log")

func (q *Local) decode(b record.Batch) ([]*command.Command, error) {
	if b.RecordCount() != 1 || b.Codec() != compress.None {
		return nil, fmt.Errorf("%w: it has %d records", errEntry, b.RecordCount())
	}
	it := record.NewIterator(b.Records(), 1)
	var r record.Record
	if !it.Next(&r) {
		return nil, errors.Join(errEntry, it.Err())
	}
	return command.Decode(q.opts.ClusterID, r.Value)
}

// snapshotName holds the image at some index, so that the log before it can go.
const snapshotName = "snapshot"

func (q *Local) readSnapshot() (*image.Image, error) {
	data, err := readFile(q.opts.FS, path.Join(q.opts.Dir, snapshotName))
	if errors.Is(err, fs.ErrNotExist) {
		return image.New(q.opts.ClusterID), nil
	}
	if err != nil {
		return nil, err
	}
	return image.DecodeSnapshot(q.opts.ClusterID, data)
}

// maybeSnapshot writes the image down every so often, and then drops the entries that are in it. Being unable to is no
// reason to stop: the log is whole, and the next entry tries again.
func (q *Local) maybeSnapshot(im *image.Image) error {
	if im.Index()-q.snapped < q.opts.SnapshotEvery {
		return nil
	}
	data, err := image.EncodeSnapshot(im)
	if err == nil {
		err = replaceFile(q.opts.FS, q.opts.Dir, snapshotName, data)
	}
	if err == nil {
		q.snapped = im.Index()
		_, err = q.log.DeleteBefore(model.Offset(im.Index()))
	}
	if err != nil {
		q.opts.Log.Error("the metadata could not be written down; it is tried again with the next change", "index", im.Index(), "error", err)
	}
	return nil
}

func readFile(f vfs.FS, name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	n, err := file.ReadAt(data, 0)
	if int64(n) == size {
		return data, nil
	}
	return nil, fmt.Errorf("reading %s: %d bytes of %d: %w", name, n, size, err)
}

// replaceFile puts data under a name in one durable step: a crash leaves the old content or the new (D6).
func replaceFile(f vfs.FS, dir, name string, data []byte) error {
	tmp := path.Join(dir, name+".tmp")
	if err := f.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeFile(f, tmp, data); err != nil {
		return err
	}
	if err := f.Rename(tmp, path.Join(dir, name)); err != nil {
		return err
	}
	return f.SyncDir(dir)
}

func writeFile(f vfs.FS, name string, data []byte) error {
	file, err := f.Create(name)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
