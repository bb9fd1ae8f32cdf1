package sim

import (
	"errors"
	"hash/fnv"
	"io"
	"log/slog"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/wal"
)

const metaDir = dataDir + "/wal/__meta"

// voters is how many nodes take part in Raft's elections; those beyond are learners.
const voters = 3

// voter is a node's replica of the metadata log: the real member, its disk as events, and the active controller's loop while
// this is it.
type voter struct {
	n       *node
	disk    *quorum.Disk
	member  *quorum.Member
	acting  *authority // while this is the active controller
	term    uint64     // of acting
	waiting map[uint64]proposed
	reads   uint64
	reading map[uint64]*read
	spoken  uint64 // the newest term in which processes before this one have sent something
}

// proposed is an entry that is not applied yet.
type proposed struct {
	term uint64
	done func(error)
}

var discard = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError + 1}))

// replicaID is Raft's name for a replica.
func replicaID(directory image.UUID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(directory[:])
	return h.Sum64()
}

// openVoter starts a node's replica of the metadata log from its disk. It reports whether that worked.
func (n *node) openVoter() bool {
	disk, state, err := quorum.OpenDisk(quorum.DiskOptions{
		Self: quorum.Replica{Node: n.broker(), Directory: n.disk.id}, Found: n.founds(), Inline: true,
		Options: quorum.Options{FS: n.disk.files, Dir: metaDir, ClusterID: clusterID, Now: n.wall, Log: discard, SnapshotEvery: n.w.snapshotEvery,
			Committer: wal.NewStepper(wal.CommitterOptions{FS: n.disk.files, OpenFiles: 4, Now: n.wall}).Committer()},
	})
	if err == nil {
		var m *quorum.Member
		m, err = quorum.NewMember(quorum.MemberOptions{
			Self: quorum.Replica{Node: n.broker(), Directory: n.disk.id}, ClusterID: clusterID, State: state, Older: disk,
			SnapshotEvery: n.w.snapshotEvery, KeepEntries: n.w.snapshotEvery / 2, Log: discard, Broken: n.w.bugs.quorum,
		})
		n.voter = &voter{n: n, disk: disk, member: m, waiting: make(map[uint64]proposed), spoken: n.disk.spoken, reading: make(map[uint64]*read), reads: uint64(n.birth) << 32}
	}
	if err != nil {
		if n.disk.bad == 0 && !n.disk.limited {
			n.w.fail("M3", "%v does not start: %v", n, err)
		}
		n.w.note(n.id, "does not start: its metadata cannot be read")
		return false
	}
	n.metaTick()
	return true
}

// speaks looks whether a replica remembers the terms that it has spoken in: else it could be elected in one of them again (M1).
func (v *voter) speaks(m *pb.Message) {
	d, term := v.n.disk, m.GetTerm()
	switch t := m.GetType(); {
	case t == pb.MsgPreVote, t == pb.MsgPreVoteResp, term == 0:
		return
	case term < v.spoken, term == v.spoken && t == pb.MsgVote:
		v.n.w.fail("M1", "a process of %v has spoken in term %d; the next one does not remember it, and sends %v in term %d", v.n, v.spoken, t, term)
	}
	d.spoken = max(d.spoken, term)
}

// founds tells whether the node begins the cluster: the first one, on the disk that it had first.
func (n *node) founds() bool { return n.id == 1 && n.disk.first }

func (n *node) metaTick() {
	v := n.voter
	v.member.Tick(n.now())
	v.took()
	if v.acting != nil {
		v.acting.tick()
		v.changeMembers()
	}
	n.after(quorum.TickInterval, n.metaTick)
}

// took does what the member asks for.
func (v *voter) took() {
	n, w := v.n, v.n.w
	for {
		e := v.member.Take()
		if err := v.member.Err(); err != nil {
			if n.disk.bad == 0 {
				w.fail("M3", "%v: the metadata log has stopped: %v", n, err)
			}
			w.note(n.id, "stops: its metadata log has failed")
			n.w.after(0, n.guard(func() { w.down(n, 2) }))
			return
		}
		if e.Save != nil {
			n.after(n.disk.syncTime(), func() { v.save(e.Save) })
		}
		if e.Compact != nil {
			n.after(n.disk.syncTime(), func() { v.member.Compacted(v.disk.Compact(e.Compact)); v.took() })
		}
		for _, m := range e.Send {
			v.send(m)
		}
		for _, c := range e.Applied {
			v.applied(c)
		}
		for _, r := range e.Reads {
			if q := v.reading[r.ID]; q != nil {
				q.index = r.Index
			}
		}
		v.answerReads()
		v.act()
		if e.Save == nil && e.Compact == nil && len(e.Send)+len(e.Applied)+len(e.Reads) == 0 {
			return
		}
	}
}

// save does what the disk was ordered to. Without space it is tried again (E3).
func (v *voter) save(s *quorum.Save) {
	err := v.disk.Save(s)
	if errors.Is(err, quorum.ErrNoSpace) {
		v.n.after(100*time.Millisecond, func() { v.save(s) })
		return
	}
	v.member.Saved(err)
	v.took()
}

func (v *voter) send(m *pb.Message) {
	w := v.n.w
	v.speaks(m)
	for _, to := range w.nodes[1:] {
		if replicaID(to.disk.id) != m.GetTo() {
			continue
		}
		w.net.send(v.n.id, to.id, func() {
			to.guard(func() {
				if to.voter != nil {
					to.voter.member.Step(to.now(), m)
					to.voter.took()
				}
			})()
		})
		if m.GetType() == pb.MsgSnap {
			v.n.after(50*time.Millisecond, func() { v.member.Snapshotted(m.GetTo(), true); v.took() })
		}
	}
}

// applied follows the metadata, and tells who has proposed it.
func (v *voter) applied(c quorum.Change) {
	n := v.n
	n.w.learned(n, c)
	n.adopt(c.Image)
	if p, ok := v.waiting[c.Index]; ok {
		delete(v.waiting, c.Index)
		switch {
		case p.term != c.Term:
			p.done(errLost)
		default:
			p.done(c.Conflict)
		}
	}
}

// act begins and ends the time as active controller.
func (v *voter) act() {
	_, term, _ := v.member.Leader()
	if v.acting != nil && (!v.member.Active() || term != v.term) {
		v.depose()
	}
	if v.acting != nil || !v.member.Active() {
		return
	}
	n := v.n
	n.w.note(n.id, "is the active controller in term %d", int64(term))
	n.w.heads(n, term)
	v.term = term
	v.acting = &authority{
		w: n.w, self: n.id, static: n.w.static, sessions: v.inherit(controller.NewSessions(sessionTimeout, quorum.TickInterval)),
		image: v.member.Image, now: n.now, propose: v.propose, confirm: func(then func()) { v.read(func(any) { then() }) },
	}
	v.acting.form()
}

// inherit has the session of the controller before begin when it was heard last.
func (v *voter) inherit(s *controller.Sessions) *controller.Sessions {
	who, silence, known := v.member.Predecessor()
	if !known || who.Node == v.n.broker() {
		return s
	}
	if n := v.member.Image().Node(who.Node); n != nil && n.Directory == who.Directory {
		s.Unheard(n.ID, n.Epoch, silence)
		v.n.w.stats[inheritances]++
	}
	return s
}

func (v *voter) depose() {
	a := v.acting
	v.acting = nil
	a.end()
	for _, index := range sortedKeys(v.waiting) {
		p := v.waiting[index]
		delete(v.waiting, index)
		p.done(errLost)
	}
}

func (v *voter) propose(commands []*command.Command, done func(error)) {
	data, err := command.Encode(clusterID, commands)
	if err != nil {
		v.n.w.fail("M4", "the controller's commands: %v", err)
		return
	}
	index, term, err := v.member.Propose(data)
	if err != nil {
		v.n.w.after(0, v.n.guard(func() { done(errLost) }))
		return
	}
	v.waiting[index] = proposed{term, done}
	v.n.after(0, v.took)
}

// changeMembers takes in who should take part and does not: as a learner, and as a voter when it has caught up. A node that has
// come back with an empty disk is another replica; the one before goes first (KIP-853).
func (v *voter) changeMembers() {
	s := v.member.Status()
	for _, n := range v.n.w.nodes[1:] {
		want := quorum.Replica{Node: n.broker(), Directory: n.disk.id}
		st, has, votes := findReplica(s, n.broker())
		var c quorum.ConfigChange
		switch {
		case n == v.n:
			continue
		case has && st.Replica != want:
			c.Remove = []quorum.Replica{st.Replica}
		case !has:
			c.Learn = []quorum.Replica{want}
		case !votes && st.CaughtUpEnough && int(n.id) <= voters:
			c.Promote = []quorum.Replica{want}
		default:
			continue
		}
		if _, _, err := v.member.ProposeChange(c); err == nil {
			v.n.w.note(v.n.id, "changes the quorum for node %d: %d go, %d learn, %d vote", int64(n.id), int64(len(c.Remove)), int64(len(c.Learn)), int64(len(c.Promote)))
			v.n.w.stats[memberships]++
		}
		v.took()
		return
	}
}

func findReplica(s quorum.Status, id model.BrokerID) (st quorum.ReplicaStatus, has, votes bool) {
	for _, r := range s.Voters {
		if r.Node == id {
			return r, true, true
		}
	}
	for _, r := range s.Observers {
		if r.Node == id {
			return r, true, false
		}
	}
	return st, false, false
}
