package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"chronik/internal/wal"
)

// diskFailed ends the use of a data directory (D3). Where there are several, a failure that one log met is that of all logs
// beside it. The first directory goes on with its other logs: without it there would be nothing left. It returns at once.
func (s *Set) diskFailed(d *disk, err error) {
	if d == nil || d.first || !d.failed.CompareAndSwap(nil, &err) {
		return
	}
	s.env.Log.Error("a data directory has failed: its partitions are offline until it is seen to and the server is started again", "dir", d.root, "error", err)
	s.leaving.all.Go(func() {
		if err := s.disks.note(d); err != nil {
			s.env.Log.Error("the first data directory fails too", "error", err)
		}
	})
	for r := range s.All {
		if r.disk.Load() == d {
			s.leaving.all.Go(func() { r.lose(err) })
		}
	}
}

// lose ends the use of the log, because its data directory has failed. It may wait for the disk.
func (r *Replica) lose(cause error) {
	err := fmt.Errorf("%w: %s: its data directory has failed: %w", ErrStorage, r.partition, cause)
	r.open.Do(func() {})
	r.unusable(err)
	l := r.log.Swap(nil)
	if m := r.member.Load(); m != nil {
		m.lose(err)
	}
	r.parked.wakeAll()
	if l != nil {
		l.Abandon(err)
	}
}

// lose is fenced for a log that nothing is known to be wrong with, or that was never opened.
func (m *member) lose(err error) {
	m.mu.Lock()
	opened := m.log != nil
	m.cutting = false
	m.mu.Unlock()
	if opened {
		m.fenced(err)
		return
	}
	m.offline(err)
}

// diskError tells whether an error says that the disk does not work, rather than what is on it.
func diskError(err error) bool {
	for _, known := range []error{wal.ErrCorrupt, wal.ErrIdentity, wal.ErrFenced, wal.ErrNoSpace, fs.ErrNotExist} {
		if errors.Is(err, known) {
			return false
		}
	}
	var number syscall.Errno
	return errors.As(err, &number)
}
