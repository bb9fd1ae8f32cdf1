package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// rejoin is what a person can do about a voter that lost something.
const rejoin = "remove this node from the quorum, empty its data directory and let it join again"

// OpenDisk opens a directory and reads what is in it. A directory that was a standalone node's becomes the first
// voter's, for good: nothing in its log changes, and entries of Raft's own follow (M5).
func OpenDisk(o DiskOptions) (*Disk, *State, error) {
	o.setDefaults()
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, nil, err
	}
	log, rec, err := openLog(o.Options)
	if err != nil {
		return nil, nil, err
	}
	d := &Disk{opts: o, log: log, reserve: reserve{fs: o.FS, dir: o.Dir, log: o.Log}}
	s, err := d.recover(rec)
	if err != nil {
		log.Abandon(err)
		if d.state != nil {
			_ = d.state.file.Close()
		}
		return nil, nil, fmt.Errorf("the metadata log in %s: %w", o.Dir, err)
	}
	d.reserve.fill()
	return d, s, nil
}

func (d *Disk) recover(rec wal.Recovery) (*State, error) {
	if rec.Corruption != nil {
		return nil, fmt.Errorf("%w; %s", rec.Corruption, rejoin)
	}
	s := &State{}
	if err := d.readSnapshot(s); err != nil {
		return nil, err
	}
	var err error
	if d.state, s.vote, err = openState(d.opts.FS, d.opts.Dir); err != nil {
		return nil, err
	}
	if d.state != nil && s.vote.directory != d.opts.Self.Directory {
		return nil, fmt.Errorf("%w: it is of directory %s, and this is %s; do not copy it between nodes", ErrVoteState, s.vote.directory, d.opts.Self.Directory)
	}
	if err := d.checkBounds(s, rec); err != nil {
		return nil, err
	}
	if err := d.load(s); err != nil {
		return nil, err
	}
	if d.state == nil {
		if err := d.begin(s); err != nil {
			return nil, err
		}
	}
	if s.entries.lastTerm > s.vote.term {
		return nil, fmt.Errorf("%w: it is of term %d, and the log has entries of term %d; %s", ErrVoteState, s.vote.term, s.entries.lastTerm, rejoin)
	}
	if s.vote.founder && !s.named {
		self := []Replica{d.opts.Self}
		s.config.state = &pb.ConfState{Voters: []uint64{d.opts.Self.id()}}
		s.config.replicas = s.config.replicas.with(self, s.config.state)
	}
	// A commit index counts what was in the log when it was written; a full disk may have had it cut and written again.
	s.vote.commit = max(min(s.vote.commit, s.entries.last), s.image.Index())
	return s, nil
}

func (d *Disk) readSnapshot(s *State) error {
	s.config = configuration{state: &pb.ConfState{}}
	name := path.Join(d.opts.Dir, snapshotName)
	data, err := vfs.ReadFile(d.opts.FS, name)
	if errors.Is(err, fs.ErrNotExist) {
		s.image = image.New(d.opts.ClusterID)
		return nil
	}
	if err != nil {
		return err
	}
	im, c, err := decodeSnapshot(d.opts.ClusterID, data)
	if err != nil {
		return fmt.Errorf("%s: %w; %s", name, err, rejoin)
	}
	s.image = im
	if c != nil {
		s.config, s.named = *c, true
	}
	return nil
}

// checkBounds holds log and snapshot against each other. A crash while a received snapshot was being installed leaves
// the log of before beside it: unless that has the snapshot's last entry, it goes.
func (d *Disk) checkBounds(s *State, rec wal.Recovery) error {
	index, term := s.image.Index(), s.image.Term()
	if uint64(rec.Start) > index {
		return fmt.Errorf("it begins at index %d, but the newest snapshot is of %d; %s", rec.Start+1, index, rejoin)
	}
	if uint64(rec.Start) == index || rec.Start == rec.End {
		return nil
	}
	stale := uint64(rec.End) < index
	if !stale {
		err := d.each(offsetOf(index), rec.End, func(e *pb.Entry) bool {
			// If it is missing, the log began anew behind the snapshot.
			stale = e.GetIndex() == index && e.GetTerm() != term
			return false
		})
		if err != nil {
			return err
		}
	}
	if !stale {
		return nil
	}
	if !s.named || d.state == nil {
		return fmt.Errorf("it ends at index %d, or has another entry there, but the snapshot is of %d; restore the segments in %s from a backup",
			rec.End, index, d.opts.Dir)
	}
	d.opts.Log.Info("the metadata log of before a snapshot is dropped", "snapshot", index, "log_start", rec.Start, "log_end", rec.End)
	return d.log.Truncate(d.log.Start())
}

// load reads the entries behind the snapshot.
func (d *Disk) load(s *State) error {
	index := s.image.Index()
	s.entries = entries{limit: cacheBytes}
	s.entries.restart(index, s.image.Term())
	var failed error
	err := d.each(model.Offset(index), d.log.End(), func(e *pb.Entry) bool {
		if e.GetType() != pb.EntryNormal || len(e.Data) == 0 {
			if d.state == nil {
				failed = fmt.Errorf("%w: it is missing, but the log is a quorum's; %s", ErrVoteState, rejoin)
				return false
			}
		}
		s.changes = withChanges(s.changes, []*pb.Entry{e})
		failed = s.entries.append([]*pb.Entry{e})
		return failed == nil
	})
	return errors.Join(err, failed)
}

// begin makes raft_state, from when on this is a replica of a quorum.
func (d *Disk) begin(s *State) error {
	if s.named {
		return fmt.Errorf("%w: it is missing, but the snapshot is a quorum's; %s", ErrVoteState, rejoin)
	}
	s.vote = voteState{directory: d.opts.Self.Directory}
	if s.entries.last > 0 || d.opts.Found {
		// What one voter has synced is committed. Elections begin above its term.
		s.vote.founder, s.vote.term, s.vote.commit = true, max(s.entries.lastTerm, localTerm), s.entries.last
	}
	var err error
	d.state, err = createState(d.opts.FS, d.opts.Dir, s.vote)
	return err
}
