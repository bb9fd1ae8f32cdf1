package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// quarantineName is the directory of logs that were set aside, for a person to look at. Nothing here is read or removed by the server.
const quarantineName = "quarantine"

func (d layout) quarantine() string { return path.Join(d.root, "wal", quarantineName) }

// parallelRebuilds is few: the disk has other work.
const parallelRebuilds = 2

var errRebuilding = errors.New("its damaged log is being set aside, to be copied anew from the leader")

// rebuild sets a damaged log aside and begins anew, empty; from then on the replica is any follower that has nothing yet. On the disk:
//
//  1. the log's directory is renamed into wal/quarantine, durably. A start that comes after this finds no log of a partition of whose ISR and ELR the node
//     is no member, and makes an empty one; a start before finds the damaged log as it was;
//  2. what the journal holds of the log is declared void, so that a replay does not bring it into the new one (L3);
//  3. the new log is opened.
//
// If a step fails, the partition is offline here until the next start.
func (m *member) rebuild(d *damage) {
	r, s := m.r, m.set
	s.rebuilds <- struct{}{}
	defer func() { <-s.rebuilds }()
	s.moves.Lock() // nothing may begin to copy the log
	defer s.moves.Unlock()
	if v := r.moving.Load(); v != nil {
		v.stop()
	}
	m.mu.Lock()
	old := m.log
	if gone := m.gone; gone || old == nil {
		m.rebuilding = nil
		m.mu.Unlock()
		return
	}
	m.log, m.failed = nil, nil
	r.unusable(fmt.Errorf("%w: %s: %w", ErrStorage, r.partition, errRebuilding))
	r.log.Store(nil)
	m.mu.Unlock()
	old.Abandon(errRebuilding)
	l, err := s.replaceLog(r, d)
	if err != nil {
		s.env.Log.Error("a damaged log could not be set aside; the partition is offline here until the server is started again",
			"partition", r.partition.String(), "dir", r.dir(), "error", err)
		err = fmt.Errorf("%w: %s: setting its damaged log aside: %w", ErrStorage, r.partition, err)
		r.unusable(err)
		if diskError(err) {
			s.diskFailed(r.disk.Load(), err)
		}
		m.mu.Lock()
		m.rebuilding = nil
		m.mu.Unlock()
		m.offline(err)
		return
	}
	m.startOver(l)
}

// rebuilt returns what waits for the end of a rebuild, if there is one.
func (r *Replica) rebuilt() (wait func()) {
	m := r.member.Load()
	if m == nil {
		return func() {}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if done := m.rebuilding; done != nil {
		return func() { <-done }
	}
	return func() {}
}

// startOver goes on with the new log.
func (m *member) startOver(l *wal.Log) {
	m.mu.Lock()
	m.rebuilding = nil
	if m.gone || m.failed != nil {
		m.mu.Unlock()
		l.Abandon(errOutOfUse)
		return
	}
	m.deleting = 0
	m.r.damage.Store(nil)
	m.r.log.Store(l)
	m.mu.Unlock()
	m.assume()
}

// replaceLog moves the directory away and opens a new log.
func (s *Set) replaceLog(r *Replica, d *damage) (*wal.Log, error) {
	disk := r.disk.Load()
	to, err := disk.isolate(r.partition)
	if err != nil {
		return nil, err
	}
	s.env.Log.Error("a damaged log was set aside; the replica is copied anew from the leader. Look at what is damaged, and delete the directory when all replicas are in sync",
		"partition", r.partition.String(), "dir", to, "damage", d.err)
	if err := disk.commit.Arrive(r.dir(), r.partition, r.topicID); err != nil {
		return nil, err
	}
	l, rec, err := s.open(r)
	if err == nil && rec.End > 0 {
		err = fmt.Errorf("the new log in %s is not empty", r.dir())
		l.Abandon(err)
	}
	return l, err
}

// isolate renames a partition's directory into the quarantine, in one durable step.
func (d layout) isolate(tp model.TopicPartition) (to string, err error) {
	if err := d.fs.MkdirAll(d.quarantine()); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		to = path.Join(d.quarantine(), fmt.Sprintf("%s.%d", tp, n))
		_, err := d.fs.Stat(to)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if err := d.fs.Rename(d.partition(tp), to); err != nil {
		return "", err
	}
	return to, errors.Join(d.fs.SyncDir(d.partitions()), d.fs.SyncDir(d.quarantine()))
}
