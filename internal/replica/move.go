package replica

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"

	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wait"
	"chronik/internal/wal"
)

// What a Move refuses.
var (
	// ErrNoDir: the broker has no such data directory.
	ErrNoDir = errors.New("the broker has no such data directory")
	// ErrNoReplica: the broker does not hold the partition yet. If it ever does, it will lie in the directory that was asked for.
	ErrNoReplica = errors.New("the broker does not hold a replica of the partition")
)

// move is a replica on its way to another data directory.
//
// The log's files are copied while it is in use, until little is missing. Then it is closed, the rest copied, and the copy takes its place: the
// log is out of use for that moment, and callers are told to try again. On the disk:
//
//  1. the copy is made in wal/moving of the other directory, where nobody looks for logs;
//  2. whole and synced, it gets the file "moved", and is renamed to where partitions are: from now on it is what a start finds, as "moved" wins;
//  3. what it was copied from is moved out of the way, durably;
//  4. the log is opened in its new place, and only now takes appends; "moved" is removed.
//
// So wherever the power fails there is one log, or two of which nobody has added anything to either. A move that is cut short begins anew at
// the next start.
type move struct {
	r      *Replica
	to     *disk
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	bytes int64
	next  model.Offset
}

const (
	movingName = "moving"
	movedName  = "moved"
	// nearlyBytes is how much may be missing when the log is closed for the last step; moveRounds how often it is tried to get there.
	nearlyBytes = 1 << 20
	moveRounds  = 64
	movePause   = 50 * time.Millisecond // while the log is being cut
	// parallelMoves is few: the disks have other work.
	parallelMoves = 2
)

func (d layout) moving() string { return path.Join(d.root, "wal", movingName) }

// Moving tells where a replica is being moved to, how much is copied, and how many offsets are missing; false if it stays where it is.
func (r *Replica) Moving() (dir string, bytes, lag int64, ok bool) {
	m := r.moving.Load()
	l := r.log.Load()
	if m == nil || l == nil {
		return "", 0, 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.to.root, m.bytes, max(0, int64(l.End()-m.next)), true
}

// Move has a replica moved to another data directory, and returns when that has begun. One that is under way to another one is given up. A partition
// that the broker does not hold gets the directory when it comes.
func (s *Set) Move(tp model.TopicPartition, dir string) error {
	to := s.disks.named(dir)
	if to == nil {
		return fmt.Errorf("%w: %q", ErrNoDir, dir)
	}
	if err := to.failure(); err != nil {
		return fmt.Errorf("%w: the data directory %s has failed: %w", ErrStorage, dir, err)
	}
	r := s.Get(tp)
	if r == nil {
		s.disks.want(tp, to)
		return ErrNoReplica
	}
	if _, err := r.Log(); err != nil {
		return err
	}
	s.moves.Lock()
	defer s.moves.Unlock()
	if m := r.moving.Load(); m != nil {
		if m.to == to {
			return nil
		}
		m.stop()
	}
	if r.disk.Load() == to {
		return nil
	}
	if err := s.env.FS.MkdirAll(path.Join(to.moving(), tp.String())); err != nil { // it is found again at the next start
		return storage(tp, err)
	}
	s.begin(r, to)
	return nil
}

// begin starts a move. The caller holds moves.
func (s *Set) begin(r *Replica, to *disk) {
	ctx, cancel := context.WithCancel(s.moves.ctx)
	m := &move{r: r, to: to, cancel: cancel, done: make(chan struct{})}
	r.moving.Store(m)
	s.moves.running.Go(func() {
		defer close(m.done)
		defer cancel()
		defer r.moving.Store(nil)
		select {
		case s.moves.slots <- struct{}{}:
			defer func() { <-s.moves.slots }()
		case <-ctx.Done():
			s.giveUp(m)
			return
		}
		if err := m.run(ctx, s); err != nil && ctx.Err() == nil {
			s.env.Log.Error("a replica could not be moved to another data directory; it stays where it is", "partition", r.partition.String(),
				"to", to.root, "error", err)
			if errors.Is(err, wal.ErrCorrupt) {
				r.foundDamage(err)
			}
			s.giveUp(m)
			return
		}
		s.giveUp(m)
	})
}

// giveUp removes what there is of a copy, unless the broker stops: then the move begins anew at the next start.
func (s *Set) giveUp(m *move) {
	if s.moves.ctx.Err() != nil {
		return
	}
	if err := s.env.FS.RemoveAll(m.path()); err != nil {
		s.env.Log.Warn("what was copied could not be removed; the next start does it", "dir", m.path(), "error", err)
	}
}

// stop gives a move up and waits for its end. What has come too far is completed.
func (m *move) stop() {
	m.cancel()
	<-m.done
}

func (m *move) path() string { return path.Join(m.to.moving(), m.r.partition.String()) }

// run copies until little is missing, and swaps.
func (m *move) run(ctx context.Context, s *Set) error {
	if err := errors.Join(s.env.FS.RemoveAll(m.path()), s.env.FS.MkdirAll(m.path())); err != nil {
		return err
	}
	l, err := m.r.Log()
	if err != nil {
		return err
	}
	c := l.CopyTo(m.path())
	c.Pace = s.throttles.dirs.wait
	for {
		if err := m.catchUp(ctx, c); err != nil {
			return err
		}
		err := m.r.suspend()
		if err == nil {
			return m.swap(s, l, c)
		}
		if !errors.Is(err, errBusy) {
			return err
		}
		if err := wait.For(ctx, movePause); err != nil {
			return err
		}
	}
}

// catchUp copies until little is missing.
func (m *move) catchUp(ctx context.Context, c *wal.Copy) error {
	for range moveRounds {
		n, err := c.CatchUp(ctx)
		m.mu.Lock()
		m.bytes, m.next = c.Bytes(), c.Next()
		m.mu.Unlock()
		if err != nil || n <= nearlyBytes {
			return err
		}
	}
	return nil
}

// swap lets the copy take the log's place. It is not cancelled: what has begun is completed, or the partition is out of use until the next start.
func (m *move) swap(s *Set, l *wal.Log, c *wal.Copy) error {
	r, from := m.r, m.r.disk.Load()
	err := l.Close()
	if err == nil {
		err = c.Finish(context.Background())
	}
	if err == nil {
		err = s.unmark(from, r.partition)
	}
	if err == nil {
		err = m.to.commit.Arrive(m.to.partition(r.partition), r.partition, r.topicID)
	}
	if err == nil {
		err = s.mark(m.path())
	}
	if errors.Is(err, wal.ErrFenced) {
		r.lose(err)
		return err
	}
	if err != nil { // nothing has happened to the log
		return errors.Join(err, s.reopen(r))
	}
	if err := m.exchange(s, from); err != nil {
		r.lose(fmt.Errorf("moving it from %s to %s: %w", from.root, m.to.root, err))
		return err
	}
	s.disks.moved(r.partition, from, m.to)
	r.disk.Store(m.to)
	if err := s.reopen(r); err != nil {
		return err
	}
	s.env.Log.Info("a replica was moved to another data directory", "partition", r.partition.String(), "from", from.root, "to", m.to.root)
	if err := s.unmark(m.to, r.partition); err != nil {
		s.env.Log.Warn("a mark of a move could not be removed; it is harmless", "partition", r.partition.String(), "error", err)
	}
	return nil
}

// exchange renames the copy, and then what it was made from.
func (m *move) exchange(s *Set, from *disk) error {
	f, tp := s.env.FS, m.r.partition
	if err := f.Rename(m.path(), m.to.partition(tp)); err != nil {
		return err
	}
	if err := errors.Join(f.SyncDir(m.to.partitions()), f.SyncDir(m.to.moving())); err != nil {
		return err
	}
	grave, err := from.bury(from.partition(tp), m.r.topicID, tp.Partition)
	if err == nil && grave != "" {
		if err := f.RemoveAll(grave); err != nil {
			s.env.Log.Warn("what was moved could not be removed; the next start does it", "dir", grave, "error", err)
		}
	}
	return err
}

// mark makes a copy the one that counts.
func (s *Set) mark(dir string) error { return vfs.PutMark(s.env.FS, path.Join(dir, movedName)) }

// unmark removes the mark, of which an earlier move may have left one.
func (s *Set) unmark(d *disk, tp model.TopicPartition) error {
	_, err := vfs.TakeMark(s.env.FS, path.Join(d.partition(tp), movedName))
	return err
}

// reopen opens the log where it is now, after it was suspended. If that fails it is out of use.
func (s *Set) reopen(r *Replica) error {
	l, _, err := s.open(r)
	if err == nil {
		err = r.resume(l)
	}
	if err != nil {
		r.lose(err)
	}
	return err
}
