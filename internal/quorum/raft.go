package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"chronik/internal/metadata/image"
)

// Transport carries messages to other replicas.
type Transport interface {
	// Send sends a message, or loses it. It must not block. The message must not be changed.
	Send(to Replica, m *pb.Message)
	// SendSnapshot sends a message that is about a snapshot of size bytes, and the snapshot. It must not block. It calls done
	// once, from any goroutine, when the other side has all of it, or with why not.
	SendSnapshot(to Replica, m *pb.Message, snapshot io.Reader, size int64, done func(error))
}

// RaftOptions says which replica to run, and with what.
type RaftOptions struct {
	DiskOptions
	Transport   Transport
	KeepEntries uint64           // entries that stay behind a snapshot; 0 is the default
	Ticks       <-chan time.Time // one each TickInterval; nil: a ticker of its own
}

const (
	// inboxLen bounds the messages that were received and not yet looked at; more are dropped, which Raft is made for.
	inboxLen = 4096
	// maxSnapshotBytes bounds a snapshot that is received.
	maxSnapshotBytes = 1 << 30
	// retryNoSpace is how long a full disk is left alone.
	retryNoSpace = time.Second
)

// Raft is the metadata log of a quorum of nodes; it implements Log. All methods may be called from any goroutine.
//
// One goroutine owns the Member and does nothing slow. Others save, write snapshots, decide, and tell the node of changes, so that neither
// a slow disk nor a large decision keeps a leader from being heard (R8).
type Raft struct {
	opts  RaftOptions
	disk  *Disk
	store *image.Store

	inbox     chan letter
	calls     chan func()
	saves     chan *Save
	saved     chan error
	compact   chan *Compaction
	compacted chan error
	proposals chan *proposal
	changes   pipe

	// Owned by run.

	member *Member
	wait   map[uint64]waiting // by index
	reads  reads
	known  leadership
	routes replicas // who has written, whether the configuration here names them yet or not

	full    atomic.Bool // the disk is full, and an entry waits for space
	saveAge atomic.Int64
	leader  atomic.Pointer[leadership]
	done    chan struct{}
	closing sync.Once
	failure atomic.Pointer[error]
	running sync.WaitGroup
}

// leadership is who leads, as far as it is known.
type leadership struct {
	replica Replica
	known   bool
	term    uint64
	active  bool // this one, and it may decide

	before  Replica // who led then, if that is known
	silence time.Duration
	led     bool
}

// waiting is a proposal whose entry is not applied yet.
type waiting struct {
	term   uint64
	answer chan<- outcome
}

// outcome is what has come of an entry.
type outcome struct {
	image *image.Image
	err   error
}

// OpenRaft opens the replica in a directory and lets it take part. Its image begins with the newest snapshot and moves as
// it learns what is committed; it may be older than what this node has seen before. Linearizable waits until that is over: before, nothing
// may be deleted because the image does not have it.
func OpenRaft(o RaftOptions) (*Raft, error) {
	o.setDefaults()
	disk, state, err := OpenDisk(o.DiskOptions)
	if err != nil {
		return nil, err
	}
	m, err := NewMember(MemberOptions{Self: o.Self, ClusterID: o.ClusterID, State: state, Older: disk,
		SnapshotEvery: o.SnapshotEvery, KeepEntries: o.KeepEntries, Log: o.Log})
	if err != nil {
		return nil, errors.Join(err, disk.Abandon(err))
	}
	r := &Raft{
		opts: o, disk: disk, member: m, store: image.NewStore(state.Image()),
		inbox: make(chan letter, inboxLen), calls: make(chan func()),
		saves: make(chan *Save, 1), saved: make(chan error, 1),
		compact: make(chan *Compaction, 1), compacted: make(chan error, 1),
		proposals: make(chan *proposal), changes: pipe{wake: make(chan struct{}, 1)},
		wait: make(map[uint64]waiting), routes: make(replicas), done: make(chan struct{}), reads: newReads(),
	}
	r.leader.Store(&leadership{})
	for _, f := range []func(){r.run, r.save, r.writeSnapshots, r.decide, r.tell} {
		r.running.Go(f)
	}
	return r, nil
}

// Images implements Log.
func (r *Raft) Images() *image.Store { return r.store }

// Done implements Log.
func (r *Raft) Done() <-chan struct{} { return r.done }

// Err implements Log.
func (r *Raft) Err() error {
	if p := r.failure.Load(); p != nil && !errors.Is(*p, errClosed) {
		return *p
	}
	return nil
}

// Leader is the replica that leads, if it is known here, and the term. active says that it is this one, and that it may
// decide: it is the active controller.
func (r *Raft) Leader() (leader Replica, known bool, term uint64, active bool) {
	l := r.leader.Load()
	return l.replica, l.known, l.term, l.active
}

// Predecessor is who led before this node became the active controller, and how long it had been silent then; known is false if this node is not
// the active controller, or has heard no other leader.
func (r *Raft) Predecessor() (who Replica, silence time.Duration, known bool) {
	l := r.leader.Load()
	return l.before, l.silence, l.led
}

// Stalled is for how long the disk has owed an answer to what is to be saved; 0 while it owes none. Nothing is applied here meanwhile (M1), so that
// this node does not learn what the others decide. A full disk does not count: it answers.
func (r *Raft) Stalled() time.Duration {
	if r.full.Load() {
		return 0
	}
	return time.Duration(r.saveAge.Load())
}

// letter is a message and who sent it.
type letter struct {
	from    Replica
	message *pb.Message
}

// Receive takes a message of another replica, which the transport has made sure of. It does not block.
func (r *Raft) Receive(from Replica, m *pb.Message) {
	select {
	case r.inbox <- letter{from, m}:
	default: // it would be late anyway
	}
}

// ReceiveSnapshot takes a message that came with a snapshot. It reads the snapshot to its end and returns when the replica
// has it; whether it makes use of it the sender learns from the protocol.
func (r *Raft) ReceiveSnapshot(ctx context.Context, from Replica, m *pb.Message, snapshot io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(snapshot, maxSnapshotBytes+1))
	if err != nil {
		return err
	}
	if len(data) > maxSnapshotBytes || m.GetType() != pb.MsgSnap || m.GetSnapshot() == nil {
		return fmt.Errorf("%w: not a message with a snapshot of at most %d bytes", ErrEntry, maxSnapshotBytes)
	}
	m.Snapshot.Data = data
	select {
	case r.inbox <- letter{from, m}:
		return nil
	case <-r.done:
		return r.stopped()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the replica with a clean mark, when what the disk is doing is done. A leader should hand over before.
func (r *Raft) Close() error {
	r.stop(errClosed)
	var err error
	r.running.Wait()
	r.closing.Do(func() {
		if cause := r.Err(); cause != nil {
			err = r.disk.Abandon(cause)
			return
		}
		err = r.disk.Close(r.member)
	})
	return err
}

// stop lets nothing advance any more (M3).
func (r *Raft) stop(cause error) {
	if r.failure.CompareAndSwap(nil, &cause) {
		close(r.done)
	}
}

func (r *Raft) stopped() error { return fmt.Errorf("%w: %w", ErrStopped, *r.failure.Load()) }

// do runs f on the goroutine that owns the member.
func (r *Raft) do(ctx context.Context, f func()) error {
	over := make(chan struct{})
	select {
	case r.calls <- func() { f(); close(over) }:
		<-over
		return nil
	case <-r.done:
		return r.stopped()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
