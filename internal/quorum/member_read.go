package quorum

import (
	"encoding/binary"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Read says that a read is linearizable once index is applied.
type Read struct {
	ID, Index uint64
}

// ReadIndex asks up to where a read must have been applied to be linearizable. The answer may get lost: ask again
// after some ticks, under another ID, and forget the first.
func (m *Member) ReadIndex(id uint64) {
	ctx := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, m.id), id)
	m.input(func() error {
		if msg := (&pb.Message{Type: pb.MsgReadIndex.Enum(), Entries: []*pb.Entry{{Data: ctx}}}); !m.holdRead(msg) {
			m.step(msg)
		}
		return nil
	})
}

// holdRead keeps a question that comes too early, and tells whether it did.
func (m *Member) holdRead(msg *pb.Message) bool {
	if !m.early() {
		return false
	}
	m.reads = append(m.reads, msg)
	return true
}

// early tells whether this member leads, and has not applied an entry of its term yet. How far the log is committed it knows from then on only, if
// there is more of it than the commit index that it has last saved. Raft holds back what it is asked meanwhile; not so the only voter of a
// configuration, which needs nobody to agree: it would tell what it knew before it was restarted (M2).
func (m *Member) early() bool { return m.role.leading && m.image.Term() != m.role.term }

// nextReads asks what came too early, and tells whether there was any.
func (m *Member) nextReads() bool {
	if len(m.reads) == 0 || m.early() {
		return false
	}
	reads := m.reads
	m.reads = nil
	for _, msg := range reads {
		m.step(msg)
	}
	return true
}

// answered takes Raft's answers, those that are to this member's questions.
func (m *Member) answered(states []raft.ReadState) {
	for _, r := range states {
		if len(r.RequestCtx) == 16 {
			m.effects.Reads = append(m.effects.Reads, Read{ID: binary.BigEndian.Uint64(r.RequestCtx[8:]), Index: r.Index})
		}
	}
}
