package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// replayBytes is how much of the log is read at once.
const replayBytes = 1 << 20

// recover builds the image from the snapshot, if there is one, and the entries behind it. Entries that nobody was told
// about may be among them: wal.Open has synced whatever it accepted, so they count.
func (q *Local) recover(rec wal.Recovery) (*image.Image, error) {
	if rec.Corruption != nil {
		return nil, fmt.Errorf("%w; without it no topic can be told from another: restore %s from a backup", rec.Corruption, q.opts.Dir)
	}
	im, err := q.readSnapshot()
	if err != nil {
		return nil, err
	}
	q.tried = im.Index()
	if uint64(rec.Start) > im.Index() {
		return nil, fmt.Errorf("it begins at index %d, but the newest snapshot is of %d: restore %s from a backup",
			rec.Start+1, im.Index(), path.Join(q.opts.Dir, snapshotName))
	}
	if uint64(rec.End) < im.Index() {
		return nil, fmt.Errorf("it ends at index %d, but the snapshot is of %d: restore the segments in %s from a backup",
			rec.End, im.Index(), q.opts.Dir)
	}
	return q.replay(im, rec.End)
}

func (q *Local) readSnapshot() (*image.Image, error) {
	name := path.Join(q.opts.Dir, snapshotName)
	data, err := vfs.ReadFile(q.opts.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		return image.New(q.opts.ClusterID), nil
	}
	if err != nil {
		return nil, err
	}
	im, err := image.DecodeSnapshot(q.opts.ClusterID, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; restore the whole directory from a backup", name, err)
	}
	return im, nil
}

func (q *Local) replay(im *image.Image, end model.Offset) (*image.Image, error) {
	var buf []byte
	for from := model.Offset(im.Index()); from < end; {
		region, err := q.log.Read(from, end, replayBytes, true)
		if err != nil {
			return nil, err
		}
		data, err := region.ReadAll(buf[:0])
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
		from, buf = next, data
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
		index := uint64(b.BaseOffset()) + 1 // M5
		commands, err := q.decode(b)
		if err != nil {
			return nil, fmt.Errorf("index %d: %w", index, err)
		}
		next, _, err := image.Apply(im, commands, uint64(b.LeaderEpoch()), index)
		if err != nil && !image.IsConflict(err) {
			return nil, err
		}
		im = next
	}
	return im, nil
}

func (q *Local) decode(b record.Batch) ([]*command.Command, error) {
	e, err := decodeEntry(b)
	if err != nil {
		return nil, err
	}
	if e.GetType() != pb.EntryNormal || len(e.Data) == 0 {
		return nil, fmt.Errorf("%w of one node: it is part of a quorum; start the node with --peers", ErrEntry)
	}
	return command.Decode(q.opts.ClusterID, e.Data)
}
