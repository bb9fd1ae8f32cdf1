package quorum

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/image"
)

// TickInterval is the time between two ticks. The other times count ticks: a leader is heard each 100 ms, and missed after
// 500 ms to 1 s, so that a node whose processor stalls for half a second is not voted out.
const (
	TickInterval   = 50 * time.Millisecond
	heartbeatTicks = 2
	electionTicks  = 10
	// stallTicks is how long a leader's own disk may take while a decision waits, before it hands over (R8).
	stallTicks = 40
)

const (
	maxMessageBytes = 1 << 20 // of entries in one message, one entry at least
	maxInflight     = 64      // messages under way to one follower
	// defaultKeepEntries is how many entries stay behind a snapshot for followers that are a little late.
	defaultKeepEntries = 1000
)

// Broken are rules that a test breaks on purpose, to show that it finds out.
type Broken struct {
	SendBeforeSync bool // M1: votes and acknowledgements leave before what they promise is durable
	SendBeforeTerm bool // M1: a leader speaks in a term that its disk does not know yet
	CommitAhead    bool // M1: the commit index is saved before the entries that it counts
	ForgetCommit   bool // M1: a change of the configuration is applied without that being saved
	SettleEarly    bool // a change of the configuration counts as done when its leader has applied it
}

// MemberOptions says which replica it is and what its disk holds.
type MemberOptions struct {
	Self          Replica
	ClusterID     string
	State         *State       // from the disk; the member owns it
	Older         OlderEntries // the disk
	SnapshotEvery uint64       // entries between two snapshots; 0 is the default
	KeepEntries   uint64       // entries that stay behind a snapshot; 0 is the default
	CacheBytes    int          // of entries in memory; 0 is the default
	Log           *slog.Logger // nil: slog.Default
	Broken        Broken
}

// Member is one replica of the metadata log, without its disk, its network and its clock: it is told what has happened
// and answers what is to be done. It has one user at a time. After each input Take returns what has come of it.
//
// The inputs are Tick, Step, Propose, ProposeChange, ReadIndex, TransferTo, and Saved and Compacted, which end what Effects had asked for.
type Member struct {
	opts    MemberOptions
	id      uint64
	node    *raft.RawNode
	log     entries
	image   *image.Image
	config  configuration
	named   bool // an entry or a snapshot says what the configuration is
	durable voteState
	hard    voteState // as far as orders to the disk were made
	now     time.Time
	err     error // nothing advances any more (M3)

	role role

	queue    []*pb.Message // MsgStorageAppend that no Save holds yet
	save     *Save         // under way
	saveAge  int           // ticks since it began
	held     []*pb.Message // of a term that is not durable yet
	incoming *incoming     // a snapshot that was received
	applies  []*pb.Message // MsgStorageApply that wait for unsaved
	unsaved  []uint64      // configuration changes in the log that durable.commit does not count yet

	compaction *Compaction // under way
	tried      uint64      // index of the last one
	pending    uint64      // index of the newest configuration change that may not be applied yet, or of the entry that settles it
	owed       bool        // that entry is yet to be proposed
	settling   bool        // it was proposed, and its index is what comes next
	captured   *pb.Entry   // the entry of the last proposal
	contacts   map[uint64]*contact
	reign      int // ticks since this member began to lead
	before     predecessor
	reads      []*pb.Message // that came too early to be answered

	effects Effects
}

// role is what Raft says that this member is.
type role struct {
	term, leader uint64
	leading      bool
}

// Effects are what is to be done. Everything may be done at once and in any order, but Applied, which is in order.
type Effects struct {
	// Send may leave now: all that it relies on is durable (M1). It may also be lost.
	Send []*pb.Message
	// Save is to be made durable, then Saved called. There is at most one at a time.
	Save *Save
	// Compact is to be written down, then Compacted called. There is at most one at a time; it may overlap with a Save.
	Compact *Compaction
	// Applied are the committed entries since, durable here, in order.
	Applied []Change
	// Reads are the answers to ReadIndex.
	Reads []Read
}

// Change is one applied entry, or a snapshot in the place of many.
type Change struct {
	Index, Term uint64
	Image       *image.Image
	Delta       *image.Delta // nil for a snapshot: compare the images
	Conflict    error        // why the commands had no effect
}

// NewMember starts from what the disk holds.
func NewMember(o MemberOptions) (*Member, error) {
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = defaultSnapshotEvery
	}
	if o.KeepEntries == 0 {
		o.KeepEntries = defaultKeepEntries
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = cacheBytes
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := o.State
	m := &Member{opts: o, id: o.Self.id(), log: s.entries, image: s.image, config: s.config, named: s.named,
		durable: s.vote, hard: s.vote, contacts: make(map[uint64]*contact), tried: s.image.Index()}
	m.unsaved = uncounted(s.changes, s.vote.commit)
	m.log.older, m.log.limit = o.Older, o.CacheBytes
	m.log.evict()
	if err := m.start(); err != nil {
		return nil, err
	}
	m.input(func() error {
		// Nobody else could be leader, unless the configuration changes with what is committed and was not applied yet: then it is too early to say.
		if m.alone() && !slices.ContainsFunc(s.changes, func(i uint64) bool { return m.image.Index() < i && i <= s.vote.commit }) {
			return m.node.Campaign()
		}
		return nil
	})
	return m, m.err
}

func (m *Member) start() (err error) {
	defer m.recovered(&err)
	m.node, err = raft.NewRawNode(&raft.Config{
		ID: m.id, ElectionTick: electionTicks, HeartbeatTick: heartbeatTicks, Storage: (*storage)(m),
		Applied: m.image.Index(), AsyncStorageWrites: true,
		MaxSizePerMsg: maxMessageBytes, MaxCommittedSizePerReady: 4 * maxMessageBytes, MaxInflightMsgs: maxInflight,
		CheckQuorum: true, PreVote: true, DisableProposalForwarding: true,
		Logger: raftLogger{m.opts.Log.With("replica", m.opts.Self.Node)},
	})
	return err
}

// alone tells whether this is the only voter.
func (m *Member) alone() bool {
	cs := m.config.state
	return len(cs.Voters) == 1 && cs.Voters[0] == m.id && len(cs.VotersOutgoing) == 0
}

// Err says why nothing advances any more, nil while it does (M3).
func (m *Member) Err() error { return m.err }

// Take returns what is to be done since it was last called.
func (m *Member) Take() Effects {
	e := m.effects
	m.effects = Effects{}
	return e
}

// Image is that of the newest applied entry.
func (m *Member) Image() *image.Image { return m.image }

// Tick tells that a TickInterval has passed.
func (m *Member) Tick(now time.Time) {
	m.now = now
	m.input(func() error {
		if m.save != nil {
			m.saveAge++
		}
		m.node.Tick()
		m.reign++
		m.before.ticks++
		m.handOver()
		m.settle()
		return nil
	})
}

// Step gives it a message of another replica. What is not for it, or not whole, is dropped.
func (m *Member) Step(now time.Time, msg *pb.Message) {
	m.now = now
	if msg.GetTo() != m.id || raft.IsLocalMsg(msg.GetType()) {
		return // for the directory that this node had before, perhaps
	}
	m.input(func() error {
		if msg.GetType() == pb.MsgSnap && !m.receive(msg) {
			return nil
		}
		if msg.GetType() == pb.MsgReadIndex && m.holdRead(msg) {
			return nil
		}
		err := m.node.Step(msg)
		m.heard(msg)
		m.before.hear(msg, m.role)
		if errors.Is(err, raft.ErrStepPeerNotFound) || errors.Is(err, raft.ErrProposalDropped) {
			return nil
		}
		return err
	})
}

// Propose puts data into the log, if this is the active controller. It is committed when Applied has an entry of this
// index and term; if the index comes with another term, or a snapshot in its place, it may be lost. ErrNotController and ErrBusy have
// changed nothing.
func (m *Member) Propose(data []byte) (index, term uint64, err error) {
	if !m.Active() {
		return 0, 0, m.notController()
	}
	return m.propose(func() error { return m.node.Propose(data) })
}

func (m *Member) propose(do func() error) (index, term uint64, err error) {
	m.captured = nil
	m.input(func() error {
		if err = do(); errors.Is(err, raft.ErrProposalDropped) {
			err = ErrBusy
		}
		return nil
	})
	if err == nil {
		err = m.err
	}
	if err != nil {
		return 0, 0, err
	}
	return m.captured.GetIndex(), m.captured.GetTerm(), nil
}

// Active tells whether this is the active controller: the leader, with all of the terms before applied.
func (m *Member) Active() bool {
	return m.err == nil && m.role.leading && m.image.Term() == m.role.term && m.belongs()
}

// belongs tells whether this replica has a vote.
func (m *Member) belongs() bool {
	return slices.Contains(m.config.state.Voters, m.id) || slices.Contains(m.config.state.VotersOutgoing, m.id)
}

// Leader is the leader's replica and the term, as far as they are known.
func (m *Member) Leader() (leader Replica, term uint64, known bool) {
	r, ok := m.config.replicas[m.role.leader]
	return r, m.role.term, ok
}

// replica finds who Raft means.
func (m *Member) replica(id uint64) (Replica, bool) {
	r, ok := m.config.replicas[id]
	return r, ok
}

func (m *Member) notController() error {
	if m.err != nil {
		return m.err
	}
	e := &NotControllerError{Leader: noNode, Term: m.role.term}
	if r, ok := m.config.replicas[m.role.leader]; ok && m.role.leader != m.id {
		e.Leader = r.Node
	}
	return e
}

// input runs one input and all that follows from it. Raft panics where its rules do not hold any more: that stops
// the member as an I/O error does (M3).
func (m *Member) input(do func() error) {
	if m.err != nil {
		return
	}
	var err error
	defer func() {
		if err != nil && m.err == nil {
			m.err = err
		}
	}()
	defer m.recovered(&err)
	if err = do(); err == nil {
		m.pump()
	}
}

func (m *Member) recovered(err *error) {
	switch r := recover().(type) {
	case nil:
	case raftPanic:
		*err = fmt.Errorf("the metadata log is inconsistent: %s", string(r))
	default:
		*err = fmt.Errorf("the metadata log's protocol failed: %v\n%s", r, debug.Stack())
	}
}

// pump takes from Raft what has come of an input, until there is no more.
func (m *Member) pump() {
	for m.err == nil {
		switch {
		case m.node.HasReady():
			m.ready(m.node.Ready())
		case m.nextReads():
		case m.nextApply():
		case m.nextSave():
		case m.nextCompaction():
		default:
			return
		}
	}
}

func (m *Member) ready(rd raft.Ready) {
	if rd.SoftState != nil || rd.HardState != nil {
		s := m.node.BasicStatus()
		m.become(role{term: s.GetTerm(), leader: s.Lead, leading: s.RaftState == raft.StateLeader})
	}
	m.answered(rd.ReadStates)
	for _, msg := range rd.Messages {
		switch msg.GetTo() {
		case raft.LocalAppendThread:
			if n := len(msg.Entries); n > 0 && m.captured == nil {
				m.captured = msg.Entries[n-1]
			}
			m.noteSettling(msg)
			if m.opts.Broken.SendBeforeSync {
				m.sendEarly(msg)
			}
			m.queue = append(m.queue, msg)
		case raft.LocalApplyThread:
			m.applies = append(m.applies, msg)
		default:
			m.send(msg)
		}
	}
}

func (m *Member) become(r role) {
	if r.leading && !m.role.leading {
		clear(m.contacts)
		m.pending, m.reign = 0, 0
	}
	if r.leading != m.role.leading || r.term != m.role.term {
		m.owed, m.settling = false, false
	}
	if r != m.role {
		m.opts.Log.Info("metadata quorum", "replica", m.opts.Self.Node, "term", r.term, "leading", r.leading, "leader", m.nameOf(r.leader))
	}
	m.role = r
}

// nameOf is a leader as the log calls it: 0 may be a node.
func (m *Member) nameOf(leader uint64) any {
	if r, ok := m.config.replicas[leader]; ok {
		return r.Node
	}
	if leader == raft.None {
		return "none"
	}
	return "one that is not known here yet"
}

// send lets a message go, or holds it back until its term is durable here (M1): a leader that spoke in a term, and then
// forgot it in a crash, could be elected in it again, and give another entry the same index and term. Raft sees to it
// for votes and acknowledgements; in pre-votes the term is only asked about.
func (m *Member) send(msg *pb.Message) {
	asked := msg.GetType() == pb.MsgPreVote || msg.GetType() == pb.MsgPreVoteResp
	if !asked && msg.GetTerm() > m.durable.term && !m.opts.Broken.SendBeforeTerm {
		m.held = append(m.held, msg)
		return
	}
	m.effects.Send = append(m.effects.Send, msg)
}

func (m *Member) sendHeld() {
	held := m.held
	m.held = nil
	for _, msg := range held {
		m.send(msg)
	}
}

// sendEarly is the rule of M1 broken: promises leave before they are kept.
func (m *Member) sendEarly(msg *pb.Message) {
	var kept []*pb.Message
	for _, r := range msg.Responses {
		if r.GetTo() == m.id {
			kept = append(kept, r)
		} else {
			m.effects.Send = append(m.effects.Send, r)
		}
	}
	msg.Responses = kept
}

// step gives Raft what one of its own orders has come to.
func (m *Member) step(msg *pb.Message) {
	err := m.node.Step(msg)
	if err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
		m.fail(err)
	}
}

func (m *Member) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// storage is the member as Raft's storage.
type storage Member

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	v := s.durable
	return &pb.HardState{Term: proto.Uint64(v.term), Vote: proto.Uint64(v.vote), Commit: proto.Uint64(v.commit)}, s.config.state, nil
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	return s.log.read(lo, hi, maxBytes)
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) { return s.log.term(i) }

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) { return s.log.last, nil }

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.log.first, nil }

// Snapshot implements raft.Storage: that of the newest image, whatever the newest file is.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	data, err := encodeSnapshot(s.image, s.config)
	if err != nil {
		return nil, err
	}
	return &pb.Snapshot{Data: data, Metadata: &pb.SnapshotMetadata{
		ConfState: s.config.state, Index: proto.Uint64(s.image.Index()), Term: proto.Uint64(s.image.Term()),
	}}, nil
}
