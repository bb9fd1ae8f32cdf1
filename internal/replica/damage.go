package replica

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// damage is what is wrong with a log of which bytes are not those that were durable (L2): a bit has flipped, a file is too short. The disk has not failed
// (that is D3, see diskfailure.go), and what is whole is served as before.
//
// Where others have the records, the log is set aside and copied anew from the leader, see quarantine. That loses what this replica alone may have, and
// what it has acknowledged. So it waits until nothing relies on either:
//
//   - the metadata have another leader, and this replica in neither ISR nor ELR: no election counts on it (R4);
//   - this broker had no role in the leader epoch: whatever it had acknowledged was to another leader, or in another incarnation, and no proposal on its way
//     takes it back into the ISR because of it (R3).
//
// A leader resigns to bring that about, if another in-sync member is in service; it goes on leading until that has taken over. A start tells the
// controller of the loss with the registration, and is out of the ISR then, if the others suffice. Until then, and where there is nobody else, the replica
// leads or follows as if nothing were wrong, but for the reads that it refuses.
type damage struct {
	err   error       // matches wal.ErrCorrupt
	noted atomic.Bool // for the starts to come; nothing is done before, as the directory may have another log in it afterwards
	// told: the registration that is to come tells of it, and changes what the metadata say; until that is known here, there is no role to take.
	told bool
}

// damagedName marks the directory of a log that was found damaged: damage in the middle of a log is not met by an opening.
const damagedName = "damaged"

// storage is what callers are told of an error of the log. Damage has consequences besides.
func (r *Replica) storage(err error) error {
	if errors.Is(err, wal.ErrCorrupt) {
		r.foundDamage(err)
	}
	return storage(r.partition, err)
}

// foundDamage follows damage that a log in use has met. It does not wait for the disk.
func (r *Replica) foundDamage(err error) {
	d := &damage{err: err}
	if !r.damage.CompareAndSwap(nil, d) {
		return
	}
	r.reportDamage(err)
	m := r.member.Load()
	if m == nil {
		return
	}
	r.set.jobs.do(func() {
		if m.removed() {
			return // the directory may be another topic's by now
		}
		if err := r.set.noteDamage(r); err != nil {
			r.set.env.Log.Error("it could not be noted that a log is damaged: after a restart it has to be found again", "partition", r.partition.String(), "error", err)
		}
		d.noted.Store(true)
		m.assume() // the ticker has to look after it from now on
	})
}

// noteDamage makes it known to the starts to come, which tell the controller.
func (s *Set) noteDamage(r *Replica) error {
	l, err := r.Log()
	if err != nil {
		return err
	}
	return errors.Join(s.noteCut(r, l.End()), vfs.PutMark(s.env.FS, path.Join(r.dir(), damagedName)))
}

// damageAtOpen returns what is wrong with a log that was just opened: what recovery has met, or an earlier process.
func (s *Set) damageAtOpen(r *Replica, rec wal.Recovery) (error, error) {
	if rec.Corruption != nil || r.member.Load() == nil {
		return rec.Corruption, nil
	}
	_, err := s.env.FS.Stat(path.Join(r.dir(), damagedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return errMarked, nil
}

var errMarked = errors.Join(wal.ErrCorrupt, errors.New("damage was met while the server ran before"))

// reportDamage says what is wrong, and what to do about it.
func (r *Replica) reportDamage(err error) {
	what := "nothing else: the log is set aside and copied anew once another replica leads and this one is out of sync, after the next start of this node at the latest"
	if r.member.Load() == nil {
		what = "no other replica has the records. Stop the server and restore the directory from a backup; or go on without them: " +
			"kafka-delete-records.sh moves the log's start behind the damage; or, to begin anew with nothing, stop the server and move the directory away"
	}
	r.set.env.Log.Error("a log is damaged below its synced end: the records there are not served", "partition", r.partition.String(), "dir", r.dir(), "error", err, "to_do", what)
}

// removed tells whether the replica has no role any more.
func (m *member) removed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gone
}

// wantsOut tells whether a leader should let another one lead, because its log is damaged. The caller holds the mutex.
func (m *member) wantsOut() bool {
	if d := m.r.damage.Load(); d == nil || !d.noted.Load() || m.leader == nil {
		return false
	}
	grant := m.set.grant.Load()
	return slices.ContainsFunc(m.state.ISR, func(id model.BrokerID) bool {
		_, live := grant.live(id)
		return live && id != m.set.env.Node
	})
}

// offerLead asks for another leader, now and then.
func (m *member) offerLead(now time.Time) {
	if m.wantsOut() && !now.Before(m.resignAt) {
		m.resignAt = now.Add(m.set.env.Replication.Retry)
		m.out.resign, m.out.epoch = replication.LogFailed, m.leader.Epoch()
	}
}

// setAside decides about the role of a replica whose log is damaged: it is set aside, or has to wait for the metadata, or, with false, goes on as any other. The caller
// holds the mutex.
func (m *member) setAside(a *Assignment, s *replication.State) bool {
	d := m.r.damage.Load()
	if d == nil || !d.noted.Load() || m.cutting {
		return false
	}
	self := m.set.env.Node
	if d.told && !m.set.followed.Load() {
		return true
	}
	inside := slices.Contains(s.ISR, self) || slices.Contains(a.State.ELR, self)
	if inside || s.Leader == self || s.Leader == model.NoBroker || s.LeaderEpoch <= m.epoch {
		return false
	}
	m.endRole()
	done := make(chan struct{})
	m.rebuilding = done
	m.set.leaving.all.Go(func() {
		defer close(done)
		m.rebuild(d)
	})
	return true
}

// Followed tells that all partitions are as the newest image has them. It follows the Ensures of each change: at the Registered of a change
// they are as in the image before. Only the first one after the registration is news, for those who wait for it.
func (s *Set) Followed() {
	if s.grant.Load() == nil || s.followed.Load() {
		return
	}
	s.followed.Store(true)
	for r := range s.All {
		if m := r.member.Load(); m != nil && r.damage.Load() != nil {
			m.assume()
		}
	}
}
