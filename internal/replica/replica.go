package replica

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal"
	"chronik/internal/wal/producer"
)

// Replica is one partition on this broker.
type Replica struct {
	partition model.TopicPartition
	topicID   model.TopicID
	disk      atomic.Pointer[disk] // nil: it may lie in a data directory that cannot be used
	moving    atomic.Pointer[move] // nil: it stays there

	after   <-chan struct{} // until then the directory belongs to an earlier topic of the name; nil: it does not
	open    sync.Once       // the log opens once: in the background, or for the first who asks
	set     *Set
	openErr atomic.Pointer[error] // why there is no log
	damage  atomic.Pointer[damage]

	log  atomic.Pointer[wal.Log]
	lead atomic.Pointer[leadership]
	spec atomic.Pointer[Settings]

	// Of a partition with more replicas; see member.
	assigned  atomic.Pointer[Assignment]
	member    atomic.Pointer[member] // nil: this replica is the only one
	following atomic.Pointer[leadership]

	highWatermark atomic.Int64
	parked        watchers

	transactions transactions // that begin here
}

// leadership is the epoch in which this broker leads, or follows; a nil pointer means that it does not.
type leadership struct {
	epoch   model.LeaderEpoch
	member  *member     // nil: the partition has no other replicas
	settled atomic.Bool // the watermark has reached the epoch's start (R5); meaningless without a member
}

// certain tells whether this broker still leads for all it knows: it has not asked for another leader, and there is an active controller that would
// have told.
func (l *leadership) certain() bool {
	m := l.member
	return m == nil || model.LeaderEpoch(m.resigned.Load()) != l.epoch && (m.set.env.Session == nil || m.set.env.Session())
}

// Settings is what the topic's configuration means for one partition.
type Settings struct {
	Log    wal.Config
	Policy Policy
	MinISR int32 // min.insync.replicas as configured

	// The replicas that leaders and followers hold to their brokers' Rates while these are not in sync (KIP-73).
	LeaderThrottled, FollowerThrottled Throttled
}

// Append is what a producer wants appended.
type Append struct {
	Batch record.Batch // checked by Policy.Admit
	Owner *mem.Buf     // of its bytes, retained as long as they are needed; nil: they are the replica's now
	Acks  int16
	// Waiter is told, once, when the batch is as safe as Acks says, or what became of it: not before, and perhaps never, if the replicas are
	// out of reach. Whoever waits no longer than a while answers for itself, see Deadlines. Nil: nobody waits.
	Waiter wal.Waiter
	// Inline lets the caller do the commit itself and return only then: for callers with nothing else to do.
	Inline bool
	// Deferred is Inline after the caller has finished something: see wal.Appended. With other replicas there is nothing left to the caller.
	Deferred bool
	By       *Coordinator // nil: a client
	// Of a transactional batch: see producer.Batch, and Transact.
	Verified, TV2 bool
}

// Partition names the replica's partition.
func (r *Replica) Partition() model.TopicPartition { return r.partition }

// TopicID is the identity of the topic that the replica belongs to (L5).
func (r *Replica) TopicID() model.TopicID { return r.topicID }

// Policy is what the topic demands of the batches that it accepts.
func (r *Replica) Policy() *Policy { return &r.spec.Load().Policy }

// HighWatermark is the offset below which records are safe and visible. It never goes back (R5).
func (r *Replica) HighWatermark() model.Offset { return model.Offset(r.highWatermark.Load()) }

// Log opens the partition's log if nobody has yet, and returns it; ErrStorage if that failed.
func (r *Replica) Log() (*wal.Log, error) {
	if l := r.log.Load(); l != nil {
		return l, nil
	}
	r.open.Do(r.doOpen)
	if l := r.log.Load(); l != nil {
		return l, nil
	}
	return nil, *r.openErr.Load()
}

func (r *Replica) unusable(err error) { r.openErr.Store(&err) }

// dir is where the log lies.
func (r *Replica) dir() string { return r.disk.Load().partition(r.partition) }

func (r *Replica) doOpen() {
	l, err := r.set.openLog(r)
	if err == nil {
		if err = r.begin(l); err != nil {
			l.Abandon(err) // nobody else has it: its files would stay open
		}
	}
	if err != nil {
		r.unusable(fmt.Errorf("%w: %s: %w", ErrStorage, r.partition, err))
		return
	}
	r.log.Store(l)
	if m := r.member.Load(); m != nil {
		m.assume()
		return
	}
	r.raiseWatermark(l.DurableEnd())
	r.parked.wakeAll()
	if err := r.begin(l); err != nil { // follow may have moved on between the first begin and the store
		r.lead.Store(nil)
	}
}

// leader returns the log and the epoch in which we lead, after checking what the caller believes that
// epoch to be (KIP-320). model.NoEpoch believes anything.
func (r *Replica) leader(believed model.LeaderEpoch) (*wal.Log, model.LeaderEpoch, error) {
	lead := r.lead.Load()
	if err := r.believes(lead, believed); err != nil {
		return nil, model.NoEpoch, err
	}
	l, err := r.Log()
	return l, lead.epoch, err
}

// believes compares what the caller believes with what is.
func (r *Replica) believes(lead *leadership, believed model.LeaderEpoch) error {
	switch {
	case lead == nil:
		return r.notLeader(ErrNotLeader)
	case believed == model.NoEpoch || believed == lead.epoch:
		return nil
	case believed < lead.epoch:
		return r.notLeader(ErrFencedEpoch)
	}
	return ErrUnknownEpoch
}

// Append places a checked batch at the end of the log, in one ordered step (D5), and returns where it
// stands. With an error nothing was appended and the waiter will not be told.
func (r *Replica) Append(a Append) (wal.Appended, error) {
	lead := r.lead.Load()
	if lead == nil {
		return wal.Appended{}, r.notLeader(ErrNotLeader)
	}
	l, err := r.Log()
	if err != nil {
		return wal.Appended{}, err
	}
	if lead.member != nil {
		return lead.member.append(lead, &a)
	}
	origin, ok := a.By.origin(lead)
	if !ok {
		return wal.Appended{}, r.notLeader(ErrNotLeader)
	}
	return l.Append(wal.Append{Batch: a.Batch, Owner: a.Owner, Epoch: lead.epoch, Waiter: a.Waiter, Inline: a.Inline, Deferred: a.Deferred, Origin: origin,
		Verified: a.Verified, TV2: a.TV2})
}

// Producers lists the idempotent producers that this replica knows, also where another one leads: operators ask each (KIP-664).
func (r *Replica) Producers() ([]producer.Info, error) {
	l, err := r.Log()
	if err != nil {
		return nil, err
	}
	return l.Producers(), nil
}

// EndAdvanced is the log's report that everything below end is durable: with an ISR of one that is the
// high watermark (D1).
func (r *Replica) EndAdvanced(end model.Offset) {
	if m := r.member.Load(); m != nil {
		m.advanced()
		return
	}
	r.raiseWatermark(end)
	r.parked.wakeAll()
}

// Fenced is the log's report that a write or a sync failed for good (D3). Parked readers are woken to
// hear it.
func (r *Replica) Fenced(err error) {
	r.set.diskFailed(r.disk.Load(), err)
	if m := r.member.Load(); m != nil {
		m.fenced(err)
		return
	}
	r.parked.wakeAll()
}

// raiseWatermark moves the watermark forward only: reports may overtake each other.
func (r *Replica) raiseWatermark(to model.Offset) {
	for {
		old := r.highWatermark.Load()
		if int64(to) <= old || r.highWatermark.CompareAndSwap(old, int64(to)) {
			return
		}
	}
}

// follow takes the role that the metadata give. An open log begins the new epoch before anybody can
// append in it; one that is not open yet begins it when it opens.
func (r *Replica) follow(a *Assignment, s *Set) {
	r.assigned.Store(a)
	if m := r.member.Load(); m != nil || !a.alone(s.env.Node) {
		r.share(m, a, s)
		return
	}
	if a.State.Leader != s.env.Node {
		r.lead.Store(nil)
		return
	}
	if old := r.lead.Load(); old != nil && old.epoch == a.State.LeaderEpoch {
		return
	}
	r.lead.Store(&leadership{epoch: a.State.LeaderEpoch})
	if l := r.log.Load(); l != nil {
		if err := l.BeginEpoch(a.State.LeaderEpoch); err != nil {
			r.lead.Store(nil)
		}
	}
	r.parked.wakeAll()
}

// share is follow for a partition that has, or had, other replicas.
func (r *Replica) share(m *member, a *Assignment, s *Set) {
	if m == nil {
		r.lead.Store(nil)
		m = newMember(r, s)
		m.known = r.HighWatermark()
		r.member.Store(m)
	}
	if r.log.Load() != nil {
		m.assume()
		return
	}
	s.jobs.do(func() { // its role begins when the log is open
		if _, err := r.Log(); err != nil {
			m.offline(err)
			return
		}
		m.assume()
	})
}

// begin starts the epoch in a log that was just opened.
func (r *Replica) begin(l *wal.Log) error {
	if lead := r.lead.Load(); lead != nil {
		return l.BeginEpoch(lead.epoch)
	}
	return nil
}

// configure takes new settings, at once for the policy and from the next group on for the log.
func (r *Replica) configure(s *Settings) {
	r.spec.Store(s)
	if l := r.log.Load(); l != nil {
		l.Configure(s.Log)
	}
}

// refuse has all callers refused from now on.
func (r *Replica) refuse() {
	r.lead.Store(nil)
	if m := r.member.Load(); m != nil {
		m.stop()
	}
	r.parked.wakeAll()
}

// retire ends the life of a replica that refuses its callers: its log, if it is open, fails its waiters and
// leaves the files to the caller. It waits for the disk.
func (r *Replica) retire() {
	r.open.Do(func() { r.unusable(ErrUnknownPartition) })
	if l := r.log.Load(); l != nil {
		l.Abandon(ErrUnknownPartition)
	}
	r.parked.wakeAll()
}

// close seals the log with its clean mark. A log that was never opened has nothing to seal.
func (r *Replica) close() error {
	r.refuse()
	r.open.Do(func() { r.unusable(errClosing) })
	l := r.log.Load()
	if l == nil {
		return nil
	}
	if err := l.Close(); err != nil && !errors.Is(err, wal.ErrFenced) {
		return fmt.Errorf("closing the log of %s: %w", r.partition, err)
	}
	return nil
}

var errClosing = fmt.Errorf("%w: the broker is shutting down", ErrNotLeader)
