package quorum

import (
	"errors"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// A change of the configuration takes effect when it is applied, so a voter that has it in its log, and does not know that it is
// committed, counts the voters of before. If the leader is lost for good just then, it may have the longest log, so that nobody
// else is elected, and wait for the votes of those who are gone. Two things see to it that a minority may be lost:
//
// Whoever has applied a change has saved that it is committed (nextApply), and nobody appends an entry behind a change
// that he knows to be committed without saving that first (Save.plan).
//
// When the leader has applied a change, it appends an empty entry. It goes to each follower with the news that the change is committed, or later.
// So whoever has that entry knows the configuration, for good. Once the entry is committed the change is settled: any
// majority of the new voters has one among them that has it, so the longest log among them does, too.
//
// The same holds for the first entry of a leader's term, with respect to the changes that the leader has applied before.

// settled tells whether the last change of the configuration is settled.
func (m *Member) settled() bool {
	return m.Active() && !m.owed && !m.settling && m.pending <= m.image.Index() && len(m.config.state.VotersOutgoing) == 0
}

// settle proposes the entry that settles a change. While leadership is being transferred it cannot; the next leader's first entry does it then.
func (m *Member) settle() {
	if !m.owed || !m.role.leading {
		return
	}
	if m.opts.Broken.SettleEarly {
		m.owed = false
		return
	}
	switch err := m.node.Propose(nil); {
	case errors.Is(err, raft.ErrProposalDropped):
	case err != nil:
		m.fail(err)
	default:
		m.owed, m.settling = false, true
	}
}

// noteSettling learns the index of the entry: it is the newest one in the next order to append.
func (m *Member) noteSettling(msg *pb.Message) {
	if n := len(msg.Entries); n > 0 && m.settling {
		m.pending, m.settling = msg.Entries[n-1].GetIndex(), false
	}
}

// noteSaved keeps up with which configuration changes of the log are not counted by the commit index on the disk.
func (m *Member) noteSaved(s *Save) {
	if s.snapshot != nil {
		m.unsaved = nil
	}
	m.unsaved = uncounted(withChanges(m.unsaved, s.entries), m.durable.commit)
}

// withChanges are the configuration changes of a log at whose end entries are put.
func withChanges(changes []uint64, es []*pb.Entry) []uint64 {
	if len(es) == 0 {
		return changes
	}
	first := es[0].GetIndex()
	changes = slices.DeleteFunc(slices.Clone(changes), func(i uint64) bool { return i >= first })
	for _, e := range es {
		if e.GetType() == pb.EntryConfChangeV2 {
			changes = append(changes, e.GetIndex())
		}
	}
	return changes
}

// uncounted are the changes behind a commit index.
func uncounted(changes []uint64, commit uint64) []uint64 {
	for len(changes) > 0 && changes[0] <= commit {
		changes = changes[1:]
	}
	return changes
}
