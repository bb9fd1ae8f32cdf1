package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// Cuts lists the logs that lost records, now or at an earlier start of which the controller was not told. It is complete when all logs were
// opened, see OpenAll. told must be called when a registration with these cuts was answered, and not before.
func (s *Set) Cuts() (cuts []Cut, told func() error) {
	known, all, told := s.env.Losses.list()
	for r := range s.All {
		id := partitionID{r.topicID, r.partition.Partition}
		if _, named := known[id]; all && !named {
			known[id] = r.leftover()
		}
	}
	for id, end := range known {
		cuts = append(cuts, Cut{id.topic, id.num, end})
	}
	return cuts, told
}

// leftover is where a log ends that may have ended later.
func (r *Replica) leftover() model.Offset {
	l, err := r.Log()
	if err != nil || l.Failure() != nil {
		return model.NoOffset
	}
	return l.End()
}

// noteCut remembers that a log has lost what it had from end on, before it does.
func (s *Set) noteCut(r *Replica, end model.Offset) error {
	if err := s.env.Losses.Note(Cut{r.topicID, r.partition.Partition, end}); err != nil {
		return fmt.Errorf("remembering that the log of %s lost records: %w", r.partition, err)
	}
	return nil
}

// noteMissing remembers that a log is not there at all although this broker may have acknowledged what was in it: it is in the ISR or the
// ELR of a partition with other replicas, which has a directory from the day on that it is known here.
func (s *Set) noteMissing(r *Replica) error {
	a := r.assigned.Load()
	if a == nil || s.grant.Load() != nil || a.alone(s.env.Node) {
		return nil
	}
	if !slices.Contains(a.State.ISR, s.env.Node) && !slices.Contains(a.State.ELR, s.env.Node) {
		return nil
	}
	return s.noteCut(r, 0)
}

// prepare sees to it that a partition has a directory, if it has other replicas or there are several places to look for it, and that one
// which had a directory and has it no longer is known. A full disk keeps nobody from opening a log.
func (s *Set) prepare(r *Replica) error {
	a := r.assigned.Load()
	if !s.disks.several() && (s.env.Losses == nil || a == nil || a.alone(s.env.Node)) {
		return nil
	}
	_, err := s.env.FS.Stat(r.dir())
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.noteMissing(r); err != nil {
		return err
	}
	if err := s.env.FS.MkdirAll(r.dir()); err != nil && !errors.Is(err, vfs.ErrNoSpace) {
		return err
	}
	return nil
}

// reportRecovery says what the recovery of a log has found.
func (s *Set) reportRecovery(r *Replica, rec wal.Recovery) {
	if rec.TruncatedBytes > 0 {
		s.env.Log.Info("cut a torn tail that was never acknowledged",
			"partition", r.partition.String(), "bytes", rec.TruncatedBytes, "end", int64(rec.End))
	}
}
