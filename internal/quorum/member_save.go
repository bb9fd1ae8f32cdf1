package quorum

import (
	"math"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/image"
)

// saveBytes is from which size on a Save takes no more entries.
const saveBytes = 4 << 20

// Save is one order to the disk. All of it must be durable when Saved is called, in the order that save describes: a
// crash in the middle leaves a beginning.
type Save struct {
	snapshot *snapshot // nil: none. The log is emptied and begins behind it
	// steps are made one after the other. The log is cut to end where the first entry begins.
	steps     []step
	written   voteState // what the last step leaves in raft_state
	entries   []*pb.Entry
	responses []*pb.Message // leave afterwards
	raw       *pb.Snapshot
	hard      voteState // as of its last message
}

// step is a term and vote to be written, nil if they are as they were, and entries to be appended then.
type step struct {
	vote    *voteState
	entries []*pb.Entry
}

// snapshot is one that was received.
type snapshot struct {
	index, term uint64
	data        []byte
}

// Entries is the number of entries to be saved.
func (s *Save) Entries() int { return len(s.entries) }

// Compaction is an order to write the image down and to drop the entries that are in it, but for some.
type Compaction struct {
	image  *image.Image
	config configuration
	// behind is the last entry to be dropped, and its term.
	behind, behindTerm uint64
}

// nextSave begins the next Save if none is under way. It reports whether there was something to do that is done already.
func (m *Member) nextSave() bool {
	if m.save != nil {
		return false
	}
	s, taken := &Save{hard: m.hard}, 0
	for _, msg := range m.queue {
		if m.compaction != nil && !raft.IsEmptySnap(msg.Snapshot) {
			break // both write the snapshot's file, and the older one must not come last
		}
		if !s.absorb(msg) {
			break
		}
		taken++
	}
	if taken == 0 {
		return false
	}
	clear(m.queue[:taken])
	m.queue = m.queue[taken:]
	m.hard = s.hard
	if s.raw != nil {
		s.snapshot = &snapshot{index: s.raw.GetMetadata().GetIndex(), term: s.raw.GetMetadata().GetTerm(), data: s.raw.GetData()}
	}
	s.plan(m.durable, m.unsaved, m.opts.Broken)
	if s.snapshot == nil && len(s.entries) == 0 && s.steps[0].vote == nil {
		// A commit index alone waits for what needs it.
		m.finish(s)
		return true
	}
	m.save, m.saveAge = s, 0
	m.effects.Save = s
	return false
}

// absorb takes one of Raft's orders along, if it only continues what is in the Save.
func (s *Save) absorb(msg *pb.Message) bool {
	snap, es := !raft.IsEmptySnap(msg.Snapshot), msg.Entries
	if snap && (s.raw != nil || len(s.entries) > 0) {
		return false
	}
	if n := len(s.entries); n > 0 && len(es) > 0 && (es[0].GetIndex() != s.entries[n-1].GetIndex()+1 || s.bytes() >= saveBytes) {
		return false
	}
	if snap {
		s.raw = msg.Snapshot
	}
	s.entries = append(s.entries, es...)
	if msg.Term != nil { // else it is as it was
		s.hard.term, s.hard.vote, s.hard.commit = msg.GetTerm(), msg.GetVote(), msg.GetCommit()
	}
	s.responses = append(s.responses, msg.Responses...)
	return true
}

// plan makes the steps. Term and vote come first: no log may have entries of a term that its raft_state does not know. How far
// it is committed is written with them, and as soon as that passes a change of the configuration. Two things matter:
//
// It must count nothing that is not in the log already. What stands there may be entries of a deposed leader, which this
// very Save replaces; after a crash they would be taken for committed.
//
// It must be there before an entry is that follows a change which is known to be committed. Else a member that came back from a
// crash might hold an election among voters who are none any more, or have a long log and no majority: see settle. In
// particular, a change that follows another one is never there without it being known that the first one is in force, because a leader
// makes one at a time, and says how far it has come along with the next.
func (s *Save) plan(durable voteState, unsaved []uint64, broken Broken) {
	s.written = durable
	now := step{}
	write := func(upTo uint64) {
		if len(now.entries) > 0 {
			s.steps = append(s.steps, now)
		}
		v := s.hard
		v.commit = max(s.written.commit, min(v.commit, upTo))
		now, s.written = step{vote: &v}, v
	}
	due := func(upTo uint64) bool { // a change is committed, and it is not written that it is
		upTo = min(upTo, s.hard.commit)
		return !broken.ForgetCommit && slices.ContainsFunc(unsaved, func(i uint64) bool { return i > s.written.commit && i <= upTo })
	}
	there := uint64(math.MaxUint64) // up to where the log is as it was
	switch {
	case s.snapshot != nil:
		there, unsaved = durable.commit, nil
	case len(s.entries) > 0:
		there = s.entries[0].GetIndex() - 1
	}
	if broken.CommitAhead {
		there = math.MaxUint64
	}
	if s.hard.term != durable.term || s.hard.vote != durable.vote || broken.CommitAhead && s.hard.commit > durable.commit || due(there) {
		write(there)
	}
	unsaved = withChanges(unsaved, s.entries)
	for _, e := range s.entries {
		if due(e.GetIndex() - 1) {
			write(e.GetIndex() - 1)
		}
		now.entries = append(now.entries, e)
	}
	if n := len(s.entries); n > 0 && due(s.entries[n-1].GetIndex()) {
		write(s.entries[n-1].GetIndex())
	}
	s.steps = append(s.steps, now)
}

func (s *Save) bytes() (n int) {
	for _, e := range s.entries {
		n += size(e)
	}
	return n
}

// SaveAge is for how long the Save under way has been so, in ticks: while this process did not run, its disk is not to blame. It is 0 if there
// is none. What waits behind it is younger.
func (m *Member) SaveAge() time.Duration {
	if m.save == nil {
		return 0
	}
	return time.Duration(m.saveAge) * TickInterval
}

// Saved tells that the Save under way is durable, or why it is not, which is final (D3, M3).
func (m *Member) Saved(err error) {
	m.input(func() error {
		s := m.save
		m.save = nil
		if err == nil {
			m.finish(s)
		}
		return err
	})
}

// finish acts on what is durable now.
func (m *Member) finish(s *Save) {
	m.durable = s.written
	if s.snapshot != nil {
		m.install(s.snapshot)
	}
	if err := m.log.append(s.entries); err != nil {
		m.fail(err)
		return
	}
	m.noteSaved(s)
	m.sendHeld()
	for _, r := range s.responses {
		if r.GetTo() == m.id {
			m.step(r)
		} else {
			m.send(r)
		}
	}
}

// nextCompaction orders a snapshot of the image if one is due.
func (m *Member) nextCompaction() bool {
	index := m.image.Index()
	if m.compaction != nil || index-m.tried < m.opts.SnapshotEvery || m.save != nil && m.save.snapshot != nil {
		return false
	}
	m.tried = index
	c := &Compaction{image: m.image, config: m.config, behind: max(index-min(index, m.opts.KeepEntries), m.log.first-1)}
	var err error
	if c.behindTerm, err = m.log.term(c.behind); err != nil {
		m.fail(err)
		return false
	}
	m.compaction = c
	m.effects.Compact = c
	return false
}

// Compacted tells that the Compaction under way is done, or why not: then it is tried again some entries later.
func (m *Member) Compacted(err error) {
	m.input(func() error {
		c := m.compaction
		m.compaction = nil
		if err == nil {
			m.log.compact(c.behind, c.behindTerm)
			return nil
		}
		m.opts.Log.Error("the metadata could not be written down; the log is whole, and it is tried again later",
			"index", c.image.Index(), "next_attempt", m.tried+m.opts.SnapshotEvery, "error", err)
		return nil
	})
}
