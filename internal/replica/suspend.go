package replica

import (
	"errors"
	"time"

	"chronik/internal/wal"
)

var (
	errBusy     = errors.New("the log is being cut")
	errOutOfUse = errors.New("the partition is out of use here")
)

// suspend keeps the role from using the log until resume. What is appended meanwhile is refused by the log, which the caller closes.
func (r *Replica) suspend() error {
	m := r.member.Load()
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.unlock()
	switch {
	case m.gone || m.failed != nil:
		return errOutOfUse
	case m.cutting || m.rebuilding != nil:
		return errBusy
	}
	m.cutting = true
	return nil
}

// resume goes on with another log that holds the same. The role and its epoch stay: nobody appends to the log before.
func (r *Replica) resume(l *wal.Log) error {
	if m := r.member.Load(); m != nil {
		return m.resume(l)
	}
	if err := r.begin(l); err != nil {
		l.Abandon(err)
		return err
	}
	r.log.Store(l)
	return r.begin(l) // the metadata may have had another epoch in between
}

func (m *member) resume(l *wal.Log) error {
	m.mu.Lock()
	if m.epoch >= 0 {
		if err := l.BeginEpoch(m.epoch); err != nil {
			m.mu.Unlock()
			l.Abandon(err)
			return err
		}
	}
	m.r.log.Store(l)
	m.log, m.cutting, m.deleting = l, false, 0
	m.moved(time.Now())
	m.wakeAll()
	m.unlock()
	m.assume() // the metadata may have another role by now
	return nil
}
