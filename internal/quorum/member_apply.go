package quorum

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
)

// nextApply applies what is committed, unless there is a change of the configuration in it whose commit is not saved yet: a
// member that acted on it, and came back from a crash among the voters of before, might find no majority of these. It reports whether it did.
func (m *Member) nextApply() bool {
	if len(m.applies) == 0 {
		return false
	}
	msg := m.applies[0]
	for _, e := range msg.Entries {
		if e.GetType() == pb.EntryConfChangeV2 && e.GetIndex() > max(m.durable.commit, m.image.Index()) && !m.opts.Broken.ForgetCommit {
			return false
		}
	}
	m.applies[0] = nil
	m.applies = m.applies[1:]
	m.apply(msg)
	return true
}

// apply applies committed entries, which are durable here. Those that waited while a snapshot took their place are over.
func (m *Member) apply(msg *pb.Message) {
	for _, e := range msg.Entries {
		if e.GetIndex() <= m.image.Index() {
			continue
		}
		if err := m.applyEntry(e); err != nil {
			m.fail(fmt.Errorf("index %d: %w", e.GetIndex(), err))
			return
		}
	}
	for _, r := range msg.Responses {
		m.step(r)
	}
	m.nameFounder()
	m.settle()
}

// applyEntry leads from one image to the next. Entries of Raft's own only move the index.
func (m *Member) applyEntry(e *pb.Entry) error {
	var commands []*command.Command
	var err error
	switch {
	case e.GetType() == pb.EntryConfChangeV2:
		err = m.reconfigure(e)
	case len(e.Data) > 0:
		commands, err = command.Decode(m.opts.ClusterID, e.Data)
	}
	if err != nil {
		return err
	}
	next, delta, err := image.Apply(m.image, commands, e.GetTerm(), e.GetIndex())
	if err != nil && !image.IsConflict(err) {
		return err
	}
	m.image = next
	m.effects.Applied = append(m.effects.Applied, Change{Index: e.GetIndex(), Term: e.GetTerm(), Image: next, Delta: delta, Conflict: err})
	return nil
}

func (m *Member) reconfigure(e *pb.Entry) error {
	var cc pb.ConfChangeV2
	if err := proto.Unmarshal(e.Data, &cc); err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	added, err := decodeReplicas(cc.Context)
	if err != nil {
		return err
	}
	cs := m.node.ApplyConfChange(&cc)
	m.config = configuration{state: cs, replicas: m.config.replicas.with(added, cs)}
	m.named = true
	m.owed = m.role.leading && len(cs.VotersOutgoing) == 0 // else another change follows, by itself
	return nil
}

// incoming is a received snapshot, decoded.
type incoming struct {
	index, term uint64
	image       *image.Image
	config      configuration
}

// receive checks a snapshot before Raft hears of it: one that cannot be read must not take the place of a log.
func (m *Member) receive(msg *pb.Message) bool {
	meta := msg.GetSnapshot().GetMetadata()
	im, c, err := decodeSnapshot(m.opts.ClusterID, msg.GetSnapshot().GetData())
	if err == nil && (c == nil || im.Index() != meta.GetIndex() || im.Term() != meta.GetTerm() || !proto.Equal(c.state, meta.GetConfState())) {
		err = fmt.Errorf("%w: it is not what the message around it says", image.ErrSnapshot)
	}
	if err != nil {
		m.opts.Log.Error("a metadata snapshot was refused", "from", m.config.replicas[msg.GetFrom()].Node, "index", meta.GetIndex(), "error", err)
		return false
	}
	m.incoming = &incoming{index: im.Index(), term: im.Term(), image: im, config: *c}
	return true
}

// install puts a received snapshot, which is durable, in the place of log and image.
func (m *Member) install(s *snapshot) {
	in := m.incoming
	if in == nil || in.index != s.index || in.term != s.term {
		im, c, err := decodeSnapshot(m.opts.ClusterID, s.data) // another one has come meanwhile
		if err != nil {
			m.fail(err)
			return
		}
		in = &incoming{image: im, config: *c}
	}
	m.incoming = nil
	m.log.restart(s.index, s.term)
	m.image, m.config, m.named = in.image, in.config, true
	m.tried = s.index
	m.effects.Applied = append(m.effects.Applied, Change{Index: s.index, Term: s.term, Image: in.image})
}
