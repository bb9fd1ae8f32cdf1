package quorum

import (
	"errors"
	"fmt"
	"path"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// Disk keeps what a Member must not forget, in data/wal/__meta. Save and Compact return when all is durable; each has
// one caller at a time, and both may run while the other methods are called from another goroutine.
type Disk struct {
	opts    DiskOptions
	log     *wal.Log
	state   *stateFile
	reserve reserve
	saves   int // since the reserve was looked at
}

// DiskOptions says which directory it is, and whose.
type DiskOptions struct {
	Options
	Self Replica
	// Found has an empty directory begin a new cluster, with this replica as its first voter. Without it the replica
	// waits to be taken in by others. A directory that a Local log has used is a first voter's, too (M5).
	Found bool
	// Inline commits on the caller's goroutine, for a simulator.
	Inline bool
}

// State is what a disk holds: where a Member starts.
type State struct {
	vote    voteState
	image   *image.Image // of the snapshot
	config  configuration
	named   bool // something says what the configuration is
	entries entries
	changes []uint64 // indexes of the configuration changes in the log
}

// Image is that of the snapshot; entries may follow it.
func (s *State) Image() *image.Image { return s.image }

// Empty tells whether nothing is known yet: the replica waits to be taken in.
func (s *State) Empty() bool {
	return s.entries.last == 0 && !s.named && !s.vote.founder
}

// Save makes one order durable: first term and vote, then the snapshot, then the entries; see Save's plan. ErrNoSpace means that the disk is full: the same order may be tried again, from
// the start, once there is space (E3). Any other error is final (D3).
func (d *Disk) Save(s *Save) error {
	err := d.save(s)
	if errors.Is(err, vfs.ErrNoSpace) && d.reserve.spend() {
		err = d.save(s)
	}
	if d.saves++; !d.reserve.held && err == nil && d.saves%reserveEvery == 0 {
		d.reserve.fill()
	}
	if errors.Is(err, vfs.ErrNoSpace) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

func (d *Disk) save(s *Save) error {
	for i, step := range s.steps {
		if step.vote != nil {
			if err := d.state.write(*step.vote); err != nil {
				return fmt.Errorf("writing %s: %v", stateName, err) // whatever it is: the slot may hold anything now
			}
		}
		if i == 0 {
			if err := d.cut(s); err != nil {
				return err
			}
		}
		if err := d.append(step.entries); err != nil {
			return err
		}
	}
	return nil
}

// cut makes the log end where the entries of an order begin.
func (d *Disk) cut(s *Save) error {
	if s.snapshot != nil {
		if err := vfs.ReplaceFile(d.opts.FS, path.Join(d.opts.Dir, snapshotName), s.snapshot.data); err != nil {
			return err
		}
		return d.log.Truncate(d.log.Start())
	}
	if len(s.entries) == 0 {
		return nil
	}
	return d.log.Truncate(offsetOf(s.entries[0].GetIndex()))
}

// append writes entries at the end of the log. Behind a snapshot that was received the offsets have a gap.
func (d *Disk) append(es []*pb.Entry) error {
	wait := make(waiter, len(es))
	queued, failed := 0, error(nil)
	for _, e := range es {
		batch, err := encodeEntry(e, d.opts.Now())
		if err == nil {
			_, err = d.log.Append(wal.Append{Batch: batch, Waiter: wait, Origin: producer.Replication, Inline: d.opts.Inline || len(es) == 1})
		}
		if err != nil {
			failed = err
			break
		}
		queued++
	}
	for range queued {
		if err := <-wait; err != nil && failed == nil {
			failed = err
		}
	}
	if errors.Is(failed, wal.ErrNoSpace) {
		return fmt.Errorf("%w: %w", vfs.ErrNoSpace, failed)
	}
	return failed
}

// Compact writes an image down and then drops the entries before it, but for some. An error leaves the log as it was.
func (d *Disk) Compact(c *Compaction) error {
	data, err := encodeSnapshot(c.image, c.config)
	if err != nil {
		return err
	}
	if err := vfs.ReplaceFile(d.opts.FS, path.Join(d.opts.Dir, snapshotName), data); err != nil {
		return err
	}
	_, err = d.log.DeleteBefore(model.Offset(c.behind))
	return err
}

// ReadEntries implements OlderEntries.
func (d *Disk) ReadEntries(lo, hi, maxBytes uint64) (out []*pb.Entry, err error) {
	total := uint64(0)
	err = d.each(offsetOf(lo), offsetOf(hi), func(e *pb.Entry) bool {
		if total += uint64(size(e)); total > maxBytes && len(out) > 0 {
			return false
		}
		out = append(out, e)
		return true
	})
	if err == nil && (len(out) == 0 || out[0].GetIndex() != lo) {
		err = fmt.Errorf("entry %d is missing in the metadata log", lo)
	}
	return out, err
}

// EntryTerm implements OlderEntries.
func (d *Disk) EntryTerm(index uint64) (uint64, error) {
	e := d.log.EpochAt(offsetOf(index))
	if e < 0 {
		return 0, fmt.Errorf("the term of entry %d of the metadata log is not known", index)
	}
	return uint64(e), nil
}

// each reads the entries [from, to) until visit has enough.
func (d *Disk) each(from, to model.Offset, visit func(*pb.Entry) bool) error {
	for from < to {
		region, err := d.log.Read(from, to, replayBytes, true)
		if err != nil {
			return err
		}
		data, err := region.ReadAll(nil)
		next := region.Next()
		region.Release()
		if errors.Is(err, wal.ErrTruncated) {
			continue // behind what is read here
		}
		if err != nil {
			return err
		}
		if next == from {
			return fmt.Errorf("the metadata log ends at index %d instead of %d", from, to)
		}
		for from = next; len(data) > 0; {
			b, rest, err := record.Next(data)
			if err != nil {
				return err
			}
			data = rest
			e, err := decodeEntry(b)
			if err != nil {
				return fmt.Errorf("index %d: %w", b.BaseOffset()+1, err)
			}
			if !visit(e) {
				return nil
			}
		}
	}
	return nil
}

// Close ends the use of the directory, with a clean mark. known is the member at its end: what it knows to be committed is
// written down, so that the next start begins there.
func (d *Disk) Close(known *Member) error {
	if known != nil && known.Err() == nil {
		v := known.durable
		v.commit = max(v.commit, known.image.Index())
		if v != known.durable {
			if err := d.state.write(v); err != nil {
				return errors.Join(err, d.Abandon(err))
			}
		}
	}
	return errors.Join(d.log.Close(), d.state.file.Close())
}

// Abandon ends the use of the directory as a failure does.
func (d *Disk) Abandon(cause error) error {
	d.log.Abandon(cause)
	return d.state.file.Close()
}
