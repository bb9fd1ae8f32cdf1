package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"

	"chronik/internal/vfs"
	"chronik/internal/wal/journal"
)

// Replay says what OpenJournal found.
type Replay struct {
	Segments int   // that were written to
	Bytes    int64 // that were written again
	Skipped  int   // segments that are gone, or belong to another topic now
	// Rot is damage to records that were durable, nil if none was met: some logs may lack their last offsets. What
	// is whole was replayed.
	Rot error
}

// OpenJournal brings the segments of a device to what they were when the process or the power ended: it writes
// again, and syncs, what only the journal holds for certain, and then empties the journal. It must come before the
// logs are opened. If it fails nothing is lost, and it may be tried again. An error that matches journal.ErrDamaged
// says that nothing can be replayed.
//
// Bytes that are in a segment already are written all the same: they may be in the page cache only, left
// there by a sync that failed (D3). Space for them was there when they were written first; if something else has taken
// it meanwhile, the error says so and matches vfs.ErrNoSpace.
func OpenJournal(o JournalOptions) (*Journal, Replay, error) {
	if o.HalfBytes <= 0 {
		o.HalfBytes = defaultHalfBytes
	}
	root := path.Clean(o.Root)
	dir := path.Join(root, journalDir)
	var out Replay
	held, err := journal.Read(o.FS, dir)
	if errors.Is(err, journal.ErrDamaged) {
		if err := o.rotten(err); err != nil {
			return nil, out, err
		}
		return nil, out, fmt.Errorf("%w; restore %s from a replica or a backup, or move it away to start without the last records of some partitions", err, dir)
	}
	if err != nil {
		return nil, out, fmt.Errorf("reading the journal in %s: %w", dir, err)
	}
	out.Rot = held.Rot
	if err := out.replay(o.FS, root, held.Ranges); err != nil {
		if errors.Is(err, vfs.ErrNoSpace) {
			err = fmt.Errorf("%w; free space on the disk of %s and start again", err, root)
		}
		return nil, out, fmt.Errorf("replaying the journal in %s: %w", dir, err)
	}
	if err := o.rotten(out.Rot); err != nil {
		return nil, out, err
	}
	if !held.Empty {
		if err := journal.Clear(o.FS, dir); err != nil {
			return nil, out, err
		}
	}
	return &Journal{files: journal.New(journal.Options{FS: o.FS, Dir: dir, HalfBytes: o.HalfBytes}), root: root}, out, nil
}

// rotten tells of records that are lost, if any are.
func (o *JournalOptions) rotten(rot error) error {
	if rot == nil || o.Rotten == nil {
		return nil
	}
	if err := o.Rotten(rot); err != nil {
		return fmt.Errorf("remembering that the journal lost records: %w", err)
	}
	return nil
}

// place is a segment file, of a log that may be gone.
type place struct {
	journal.Key
	number int64
}

// replay writes the ranges of each segment in the order in which they were written first.
func (r *Replay) replay(fsys vfs.FS, root string, ranges []journal.Range) error {
	var order []place
	byPlace := make(map[place][]journal.Range)
	for _, x := range ranges {
		p := place{x.Key, x.Segment}
		if byPlace[p] == nil {
			order = append(order, p)
		}
		byPlace[p] = append(byPlace[p], x)
	}
	for _, p := range order {
		name := path.Join(root, p.Dir, segmentName(p.number))
		if err := r.replaySegment(fsys, name, p, byPlace[p]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (r *Replay) replaySegment(fsys vfs.FS, name string, p place, ranges []journal.Range) error {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		r.Skipped++ // deleted since, with all that it held
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, headerBytes)
	if _, err := f.ReadAt(page, 0); err != nil && err != io.EOF {
		return err
	}
	id, err := decodeIdentity(page)
	if errors.Is(err, errHeaderVersion) {
		return err
	}
	if err != nil { // the header was durable before the first record
		r.Rot = errors.Join(r.Rot, fmt.Errorf("%s: %w: its last records cannot be put back", name, err))
		return nil
	}
	if id.topicID != p.TopicID || id.partition != p.Partition || id.number != p.number {
		r.Skipped++ // the topic was deleted, and another one has its name
		return nil
	}
	end := int64(headerBytes)
	for i := range ranges {
		n, err := f.WriteVAt(ranges[i].Bufs, ranges[i].Pos)
		if err != nil {
			return err
		}
		r.Bytes += n
		end = max(end, ranges[i].Pos+n)
	}
	r.Segments++
	if m, ok := latestMark(page); ok && m.flags&markSealed != 0 {
		return syncLength(f, max(end, m.pos))
	}
	return syncLength(f, math.MaxInt64)
}

// syncLength makes a segment durable with its length. After a sync that failed the length may be one that only memory knows
// and takes for durable (D3): it must change to count, and change back. Zeros from end on are cut off: an earlier replay was
// cut short here.
func syncLength(f vfs.File, end int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if err := f.Truncate(size + headerBytes); err != nil { // a hole, which takes no space and reads as zeros
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if end < size {
		scan := newScanner(f, end, size, false)
		zero, err := scan.zeroUntil(end)
		scan.close()
		if err != nil {
			return err
		}
		if zero {
			size = end
		}
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}
