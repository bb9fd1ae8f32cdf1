package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sync/errgroup"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// openLog opens one partition's log. A directory that belongs to another topic of the same name is moved
// away first (L5).
func (s *Set) openLog(r *Replica) (*wal.Log, error) {
	if r.after != nil {
		<-r.after
	}
	d := r.disk.Load()
	if d == nil {
		err := errors.New("it lies in a data directory that cannot be used or is gone: bring that back and start the server again, or delete the topic. " +
			"To have it begin anew, empty, delete the notes in wal/data_dirs of the first data directory")
		return nil, errors.Join(err, s.noteCut(r, model.NoOffset))
	}
	if err := d.failure(); err != nil {
		return nil, errors.Join(fmt.Errorf("its data directory cannot be used: %w", err), s.noteCut(r, model.NoOffset))
	}
	l, rec, err := s.open(r)
	if id := new(wal.IdentityError); errors.As(err, &id) {
		s.env.Log.Warn("a directory belonged to an earlier topic of the same name; it is moved away and removed",
			"partition", r.partition.String(), "found", id.Found.String(), "want", r.topicID.String())
		if err := errors.Join(s.noteMissing(r), d.discard(r.dir(), id.Found, r.partition.Partition)); err != nil {
			return nil, err
		}
		l, rec, err = s.open(r)
	}
	var cause error
	if err == nil {
		if cause, err = s.damageAtOpen(r, rec); err == nil && cause != nil {
			err = s.noteCut(r, rec.End)
		}
		if err != nil {
			l.Abandon(err)
		}
	}
	if err != nil {
		err = errors.Join(err, s.noteCut(r, model.NoOffset))
		s.env.Log.Error("a partition's log cannot be opened; the partition is offline",
			"partition", r.partition.String(), "dir", r.dir(), "error", err)
		if diskError(err) {
			s.diskFailed(d, err)
		}
		return nil, err
	}
	if cause != nil {
		r.reportDamage(cause)
		d := &damage{err: cause, told: r.member.Load() != nil && s.grant.Load() == nil}
		d.noted.Store(true)
		r.damage.Store(d)
	}
	s.reportRecovery(r, rec)
	return l, nil
}

func (s *Set) open(r *Replica) (*wal.Log, wal.Recovery, error) {
	if err := s.prepare(r); err != nil {
		return nil, wal.Recovery{}, err
	}
	return wal.Open(wal.Options{
		FS: s.env.FS, Dir: r.dir(), Partition: r.partition, TopicID: r.topicID,
		Config: r.spec.Load().Log, Committer: r.disk.Load().commit, Now: s.clock.now, Observer: r,
		BeforeCut: func(end model.Offset) error { return s.noteCut(r, end) },
	})
}

// OpenAll opens the logs that nobody has asked for yet, a few at a time, until all are open or ctx ends.
func (s *Set) OpenAll(ctx context.Context) {
	const parallel = 4 // opening waits for the disk more than for the processor
	var g errgroup.Group
	g.SetLimit(parallel)
	for r := range s.All {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			_, _ = r.Log() // a failure is logged, and told again to whoever asks for the partition
			return nil
		})
	}
	_ = g.Wait()
}

// RemoveStrays moves away the directories of partitions that the metadata does not know: their topics were
// deleted while this broker was down. It must run after the metadata were applied.
func (s *Set) RemoveStrays() error {
	for _, d := range s.disks.all {
		if d.failure() != nil {
			continue
		}
		err := s.removeStrays(d)
		if err != nil && d.first {
			return err
		}
		if err != nil {
			s.diskFailed(d, err)
		}
	}
	return nil
}

func (s *Set) removeStrays(d *disk) error {
	entries, err := s.env.FS.ReadDir(d.partitions())
	if err != nil {
		return err
	}
	for _, e := range entries {
		tp, err := model.ParseTopicPartition(e.Name)
		if err != nil || !e.IsDir || s.Get(tp) != nil || s.leaving.before(tp) != nil {
			continue // a stranger's file is not ours to delete
		}
		dir := path.Join(d.partitions(), e.Name)
		s.env.Log.Info("removing the directory of a partition that no topic has", "dir", dir)
		if err := d.discard(dir, model.TopicID{}, tp.Partition); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.disks.drop(tp)
	}
	return s.resumeMoves(d)
}
