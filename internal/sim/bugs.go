package sim

import (
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/controller"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/quorum"
	"chronik/internal/replication"
	"chronik/internal/vfs"
)

// bugs are rules that are broken on purpose, to see that it is found out. The cores are not told: their shell lies to them, or
// does not do what they say; the disk does not do what it says.
type bugs struct {
	skipTruncation   bool // R2: a leader takes a diverged follower as it is
	watermarkFromEnd bool // D1: the watermark is taken from the log ends
	ackBeforeSync    bool // D1: a follower acknowledges as durable what it has only appended
	dropELR          bool // R4: the metadata does not keep the eligible leader replicas
	noMaximalISR     bool // R3: a proposed ISR counts as soon as it is sent
	epochReuse       bool // R1: a leader goes on in its epoch after a restart
	earlyDuplicate   bool // T1: a retry is answered before its original is committed
	ackByOffset      bool // D5: an acknowledgement counts whatever it belongs to
	noEpochFence     bool // R3: the controller takes ISR changes of any epoch for those of the present one
	noResync         bool // L1: recovery does not sync what it accepts
	staleTail        bool // L3: what is cut off stays in the file
	claimsClean      bool // D2: a node says that it was stopped cleanly, whatever has happened
	forgetsJournal   bool // L1: the journal is not replayed
	earlyAnswer      bool // G1: a coordinator answers before its records are committed
	noSeatEpoch      bool // G3: a coordinator goes on in whatever epoch its replica leads
	blindSession     bool // R6: a session that has ended begins anew before the node knows what was decided without it
	loadsEarly       bool // G3: a coordinator loads what is committed, not all that may yet be
	earlyMarkers     bool // T3: markers are sent before it is safe that the transaction ends
	fencedProduce    bool // T3: a leader appends what a fenced producer sends
	unverified       bool // T3: nobody asks whether a partition is of a transaction, unless to make it so
	neverVoid        bool // T3: what is known of a transaction is believed after its marker
	openIsStable     bool // T2: open transactions do not hold the last stable offset
	hastyComplete    bool // T3: a transaction is complete when one of its markers is written
	zombieCommits    bool // T3: whoever is a member of the group, its offsets are taken into a transaction
	ignoresPending   bool // T3: offsets that open transactions will change are taken for stable
	forgetsOwners    bool // G2: a group that becomes one of the new protocol does not know what its classic members have
	deafToDeletions  bool // T4: a coordinator does not hear of topics that were deleted
	forgetsTimers    bool // T4: a coordinator that has loaded does not know when open transactions end
	quorum           quorum.Broken
}

// ack is a follower's acknowledgement on its way.
func (b *bugs) ack(a replication.Ack) replication.Ack {
	if b.ackBeforeSync || b.watermarkFromEnd {
		a.Own.Synced = a.Own.End
	}
	return a
}

// ackAt is an acknowledgement when it has come to the leader.
func (b *bugs) ackAt(r *replica, from nodeID, a replication.Ack) replication.Ack {
	if b.ackByOffset {
		a.LeaderEpoch, a.Subscription = r.leader.Epoch(), r.askedBy[from].number
		a.BrokerEpoch, _ = liveIn(r.n.image)(model.BrokerID(from))
		a.Own.End = min(a.Own.End, r.log.End())
		a.Own.Synced = min(a.Own.Synced, a.Own.End)
	}
	return a
}

// own is the state of a leader's log.
func (b *bugs) own(o replication.Own) replication.Own {
	if b.watermarkFromEnd {
		o.Synced = o.End
	}
	return o
}

// history is what a leader knows of its epochs.
func (b *bugs) history(h replication.History) replication.History {
	if b.skipTruncation {
		return agreeable{h}
	}
	return h
}

// agreeable finds no difference, whatever epoch it is asked for.
type agreeable struct{ replication.History }

// EpochEnd implements replication.History.
func (agreeable) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	return e, math.MaxInt64
}

// proposed is told of a proposal that leaves.
func (b *bugs) proposed(r *replica, p *replication.Proposal) {
	if !b.noMaximalISR {
		return
	}
	im := r.n.image.TopicByID(r.id)
	if im == nil {
		return
	}
	s := stateOf(im.Partitions[r.num])
	s.PartitionEpoch, s.ISR = p.PartitionEpoch+1, nil
	for _, m := range p.ISR {
		s.ISR = append(s.ISR, m.Broker)
	}
	r.leader.ProposalAnswered(p.Number, replication.Committed, s, r.n.now())
}

// change is a proposal when it has come to the controller.
func (b *bugs) change(im *image.Image, m alterRequest) alterRequest {
	t := im.TopicByID(m.change.Topic)
	if !b.noEpochFence || t == nil {
		return m
	}
	p := t.Partitions[m.change.Partition]
	m.change.LeaderEpoch, m.change.PartitionEpoch = p.LeaderEpoch, p.PartitionEpoch
	if n := im.Node(p.Leader); n != nil {
		m.leader, m.epoch = p.Leader, n.Epoch
	}
	isr := []controller.Member{{ID: p.Leader, Epoch: -1}}
	for _, o := range m.change.ISR {
		if o.ID != p.Leader {
			isr = append(isr, controller.Member{ID: o.ID, Epoch: -1})
		}
	}
	m.change.ISR = isr
	return m
}

// commands are the controller's on their way to the log.
func (b *bugs) commands(list []*command.Command) []*command.Command {
	if b.dropELR {
		for _, c := range list {
			for _, p := range c.GetChangePartitions().GetChanges() {
				p.Elr = nil
			}
		}
	}
	return list
}

// delta is what a coordinator is told of a change of the metadata.
func (b *bugs) delta(d *image.Delta) *image.Delta {
	if b.deafToDeletions {
		d.TopicsDeleted = nil
	}
	return d
}

// txnCommit is a commit of offsets in a transaction when it has come to the coordinator of the group.
func (b *bugs) txnCommit(q group.TxnCommitRequest) group.TxnCommitRequest {
	if b.zombieCommits {
		q.Member, q.Generation, q.Instance = "", -1, nil
	}
	return q
}

// machine is what a coordinator's shard drives.
func (b *bugs) machine(m shard.Machine) shard.Machine {
	if b.forgetsTimers {
		return forgetful{m}
	}
	return m
}

// forgetful sets no timers of open transactions when it is loaded.
type forgetful struct{ shard.Machine }

// Loaded implements shard.Machine.
func (m forgetful) Loaded(now time.Time, im *image.Image) shard.Result {
	r := m.Machine.Loaded(now, im)
	if _, ok := m.Machine.(*txn.Machine); ok {
		r.Timers = slices.DeleteFunc(r.Timers, func(c shard.TimerChange) bool { return c.Key.Kind == txn.TimeoutTimer })
	}
	return r
}

// disk is what a node sees of its disk.
func (b *bugs) disk(n *node, fs vfs.FS) vfs.FS {
	if b.noResync || b.staleTail {
		return &liar{fs, b, n}
	}
	return fs
}

// liar is a disk that does not do all that it is told to do to segments.
type liar struct {
	vfs.FS
	b *bugs
	n *node
}

// Create implements vfs.FS.
func (l *liar) Create(name string) (vfs.File, error) { return l.wrap(name)(l.FS.Create(name)) }

// Open implements vfs.FS.
func (l *liar) Open(name string) (vfs.File, error) { return l.wrap(name)(l.FS.Open(name)) }

func (l *liar) wrap(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil || !strings.HasPrefix(path.Base(name), "segment_") {
			return f, err
		}
		return lyingFile{f, l}, nil
	}
}

type lyingFile struct {
	vfs.File
	l *liar
}

// Sync implements vfs.File.
func (f lyingFile) Sync() error {
	if f.l.b.noResync && f.l.n.opening {
		return nil
	}
	return f.File.Sync()
}

// Truncate implements vfs.File.
func (f lyingFile) Truncate(size int64) error {
	if f.l.b.staleTail {
		return nil
	}
	return f.File.Truncate(size)
}
