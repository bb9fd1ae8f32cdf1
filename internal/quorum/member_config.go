package quorum

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// maxReplicas bounds the voters and learners of a cluster.
const maxReplicas = 250

// ConfigChange is a change of who takes part. It is made as a whole, with joint consensus if it needs it: at every moment
// a majority of the voters before and of those after must agree. From two voters to one, both must stay up until it is done.
type ConfigChange struct {
	Learn   []Replica // become learners: they get the log and have no vote
	Promote []Replica // become voters
	Remove  []Replica // leave
}

// Errors of a ConfigChange that was refused; nothing has changed.
var (
	// ErrBusy says that another change of the quorum, or a transfer of its leadership, is under way. Retry.
	ErrBusy = errors.New("the metadata quorum is being changed already; retry when that is done")
	// ErrMembership says that the change does not fit the quorum as it is.
	ErrMembership = errors.New("the metadata quorum cannot be changed so")
)

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMembership, fmt.Sprintf(format, args...))
}

// ProposeChange puts a configuration change into the log, as Propose does with data.
func (m *Member) ProposeChange(c ConfigChange) (index, term uint64, err error) {
	if !m.Active() {
		return 0, 0, m.notController()
	}
	if !m.settled() {
		return 0, 0, ErrBusy
	}
	cc, err := m.confChange(c)
	if err != nil {
		return 0, 0, err
	}
	return m.proposeConfChange(cc)
}

func (m *Member) proposeConfChange(cc *pb.ConfChangeV2) (index, term uint64, err error) {
	index, term, err = m.propose(func() error { return m.node.ProposeConfChange(cc) })
	if err == nil && m.captured.GetType() != pb.EntryConfChangeV2 {
		return 0, 0, ErrBusy // Raft has put an empty entry in its place
	}
	if err == nil {
		m.pending = index
	}
	return index, term, err
}

// confChange checks a change against the configuration. Raft panics on what cannot be applied, so nothing of that kind
// may get into the log.
func (m *Member) confChange(c ConfigChange) (*pb.ConfChangeV2, error) {
	cc := &pb.ConfChangeV2{}
	add := func(t pb.ConfChangeType, r Replica) {
		cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: t.Enum(), NodeId: proto.Uint64(r.id())})
	}
	cs := m.config.state
	voters := len(cs.Voters)
	for _, r := range c.Learn {
		if err := m.checkAdd(r); err != nil {
			return nil, err
		}
		if slices.Contains(cs.Voters, r.id()) {
			return nil, refused("%s is a voter already", r)
		}
		add(pb.ConfChangeAddLearnerNode, r)
	}
	for _, r := range c.Promote {
		if !slices.Contains(cs.Learners, r.id()) {
			return nil, refused("%s is no learner: only a learner that has caught up can become a voter", r)
		}
		add(pb.ConfChangeAddNode, r)
		voters++
	}
	for _, r := range c.Remove {
		if _, ok := m.config.replicas[r.id()]; !ok {
			return nil, refused("%s does not belong to it", r)
		}
		if r.id() == m.id {
			return nil, refused("%s leads it: let another voter lead first", r)
		}
		if slices.Contains(cs.Voters, r.id()) {
			voters--
		}
		add(pb.ConfChangeRemoveNode, r)
	}
	ids := make(map[uint64]bool)
	for _, s := range cc.Changes {
		if ids[s.GetNodeId()] {
			return nil, refused("a replica is named twice")
		}
		ids[s.GetNodeId()] = true
	}
	switch {
	case voters < 1:
		return nil, refused("no voter would be left")
	case len(cc.Changes) == 0:
		return nil, refused("the change is empty")
	case len(m.config.replicas)+len(c.Learn) > maxReplicas:
		return nil, refused("it would have more than %d members", maxReplicas)
	}
	cc.Context = encodeReplicas(slices.Concat(c.Learn, c.Promote))
	return cc, nil
}

// checkAdd refuses a second replica of a node: a directory that was lost goes first (KIP-853).
func (m *Member) checkAdd(r Replica) error {
	if old, ok := m.config.replicas.ofNode(r.Node); ok && old.Directory != r.Directory {
		return refused("%s is not the replica that node %d was taken in with, which is %s: remove that one first", r, r.Node, old)
	}
	if other, ok := m.config.replicas[r.id()]; ok && other != r {
		return refused("%s has the directory of %s", r, other)
	}
	return nil
}

// nameFounder has a log that began with one voter say so in an entry, before anybody else takes part: who joins
// later learns the configuration from the log alone (M5).
func (m *Member) nameFounder() {
	if m.named || m.pending > m.image.Index() || !m.Active() {
		return
	}
	cc := &pb.ConfChangeV2{
		Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddNode.Enum(), NodeId: proto.Uint64(m.id)}},
		Context: encodeReplicas([]Replica{m.opts.Self}),
	}
	m.pending = m.image.Index() + 1 // that it is not done twice; it is set right when it is applied
	if err := m.node.ProposeConfChange(cc); err != nil && !errors.Is(err, raft.ErrProposalDropped) {
		m.fail(err)
	}
}

// TransferTo asks another voter to lead. Whether it comes to that is seen in Leader.
func (m *Member) TransferTo(r Replica) error {
	if !m.role.leading {
		return m.notController()
	}
	if !slices.Contains(m.config.state.Voters, r.id()) {
		return refused("%s is no voter", r)
	}
	m.input(func() error {
		m.node.TransferLeader(r.id())
		return nil
	})
	return m.err
}

// Snapshotted tells whether the sending of a snapshot to a replica, by Raft's name for it, has worked.
func (m *Member) Snapshotted(to uint64, ok bool) {
	m.input(func() error {
		status := raft.SnapshotFinish
		if !ok {
			status = raft.SnapshotFailure
		}
		m.node.ReportSnapshot(to, status)
		return nil
	})
}

// Unreachable tells that a message to a replica was lost.
func (m *Member) Unreachable(to uint64) {
	m.input(func() error {
		m.node.ReportUnreachable(to)
		return nil
	})
}

// handOver has another voter lead if something waits and the own disk does not answer: nothing can be applied
// here until it does (M1), but the others go on (R8). Who was removed while it led goes on leading until another one can,
// because only it may know that its removal is committed.
func (m *Member) handOver() {
	stalled := m.save != nil && m.saveAge >= stallTicks
	if !m.role.leading || !stalled && m.belongs() {
		return
	}
	best, match := raft.None, uint64(0)
	m.node.WithProgress(func(id uint64, typ raft.ProgressType, p tracker.Progress) {
		if id != m.id && typ == raft.ProgressTypePeer && p.RecentActive && p.State == tracker.StateReplicate && p.Match > match {
			best, match = id, p.Match
		}
	})
	if best == raft.None || m.node.BasicStatus().LeadTransferee != raft.None {
		return
	}
	m.opts.Log.Warn("another voter is to lead the metadata quorum", "to", m.config.replicas[best].Node,
		"removed", !m.belongs(), "disk_stalled_ms", m.saveAge*int(TickInterval.Milliseconds()))
	m.node.TransferLeader(best)
}
