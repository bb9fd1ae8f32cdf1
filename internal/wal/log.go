package wal

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/vfs"
	"chronik/internal/wal/journal"
	"chronik/internal/wal/producer"
	"chronik/internal/wal/txn"
)

// Options says which log to open, and with what.
type Options struct {
	FS        vfs.FS
	Dir       string // of this partition alone
	Partition model.TopicPartition
	TopicID   model.TopicID
	Config    Config
	Committer *Committer       // shared by the logs of one device
	Now       func() time.Time // for retention and the expiry of producers; nil: time.Now
	Observer  Observer         // may be nil
	// BeforeCut, if not nil, is called by Open before it cuts off what follows end and is not valid (L2): what is cut may have
	// been acknowledged, and another Open will not find it. If it fails, nothing is cut and Open fails with its error.
	BeforeCut func(end model.Offset) error
}

// Observer is told what happens to a log. Calls come with no lock held and must not block.
type Observer interface {
	// EndAdvanced: everything below end is durable now. The waiters are told after it returns.
	EndAdvanced(end model.Offset)
	// Fenced: a write or sync failed for good (D3). The waiters have been told before.
	Fenced(err error)
}

// Append is one batch to be appended.
type Append struct {
	Batch  record.Batch      // one whole checked batch; stamped in place
	Owner  *mem.Buf          // of the batch's bytes, retained until they are written; nil: the bytes are the log's now
	Epoch  model.LeaderEpoch // of the leader that appends
	Waiter Waiter            // nil: nobody waits
	// Inline lets Append commit the batch itself if the log is idle, so that it returns when the waiter has been told. It
	// saves the switches to a committer's goroutine and back for a caller that would only wait. While it syncs, the next
	// group gathers as always, and goes to the committer.
	Inline bool
	// Deferred is Inline for a caller that has something to finish first: see Appended.Commit.
	Deferred bool
	// Origin says what of the producer's state is checked. With producer.Replication the batch keeps the
	// offsets and the epoch that it has.
	Origin   producer.Origin
	Verified bool // see producer.Batch
	TV2      bool // see producer.Batch
	// ExpectEnd, if not 0, is where the caller believes the log to end. If it ends earlier, appends were undone (E3) of which the
	// caller has not heard, and the append is refused with ErrUndone: who streams the log to others before it is durable must
	// never put other bytes where it has sent some (R2).
	ExpectEnd model.Offset
}

// Appended says where a batch stands.
type Appended struct {
	BaseOffset, LastOffset model.Offset
	LogAppendTimeMs        int64 // -1 unless the batch has the timestamp type LogAppendTime
	LogStart               model.Offset
	Duplicate              bool // the offsets are those of the original; nothing was appended (T1)
	// Commit is what Append.Deferred has left to the caller: one of its methods must be called, at once or nearly.
	Commit Commit
}

// AbortedTxn and ProducerInfo describe a partition's transactions and producers.
type (
	AbortedTxn   = txn.AbortedTxn
	ProducerInfo = producer.Info
)

// Log is one partition's log. All methods may be called from any goroutine.
type Log struct {
	fs        vfs.FS
	dir       string
	tp        model.TopicPartition
	topicID   model.TopicID
	seed      uint32 // of index entries
	committer *Committer
	now       func() time.Time
	observer  Observer

	startAt, visibleAt, endAt atomic.Int64  // for readers without the mutex
	generation                atomic.Uint32 // of truncations: regions of an older one fail

	mu      sync.Mutex
	core    core
	turn    baton // the right to write, sync and remove segment files
	queued  bool  // the committer has the turn, and this log in its queue
	upkeep  baton // the right to write the index and the snapshot files
	listed  bool  // the committer's next tick will look after this log
	fenced  bool
	closed  bool
	closing bool // no round of compaction may begin
	space   space
	// markSeed is the seed of the active segment's marks.
	markSeed uint32
	hints    [numHints]hint
	nextHint uint8 // the one to be replaced next, modulo their number

	cleaning *cleaning // the round of compaction that is under way; nil: none

	spilling *snapshots // taken, and to be written once the log is durable up to it
	floorDue floor      // taken, and to be written; without a body: none

	key    journal.Key // names the log in the device's journal
	shared bool        // it may use it
	// Guarded by the turn: the journal holds what is not synced in the active segment, and a group that was written for a round
	// which the journal did not take.
	journaled  bool
	unfinished joined
}

// Start is the first offset that can be read.
func (l *Log) Start() model.Offset { return model.Offset(l.startAt.Load()) }

// End is the offset that the next record gets. What lies between DurableEnd and End may still be undone.
func (l *Log) End() model.Offset { return model.Offset(l.endAt.Load()) }

// DurableEnd is one past the last durable offset (D1): the last one synced, or the last one written where
// the topic has relaxed its flushing.
func (l *Log) DurableEnd() model.Offset { return model.Offset(l.visibleAt.Load()) }

// Partition names the partition.
func (l *Log) Partition() model.TopicPartition { return l.tp }

// BeginEpoch says that this log's leader leads in epoch e from now on. An epoch below the log's is refused
// with ErrEpoch; the same one changes nothing.
func (l *Log) BeginEpoch(e model.LeaderEpoch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest, _ := l.core.epochs.Latest()
	if e < l.core.epoch || e < latest.Epoch {
		return fmt.Errorf("%w: %s cannot begin epoch %d after %d", ErrEpoch, l.tp, e, max(l.core.epoch, latest.Epoch))
	}
	l.core.epoch = e
	return nil
}

// Append queues a batch at the end of the log, in one ordered step with its offset and its waiter (D5). It
// does no I/O unless it was asked to commit inline. The batch must have been checked; LogAppendTime must
// have been stamped. On an error nothing has happened and the waiter will not be told; else it is told
// exactly once.
func (l *Log) Append(a Append) (Appended, error) {
	p, err := l.place(&a, l.committer.clockMs.Load())
	if err != nil {
		return Appended{}, fmt.Errorf("%s: %w", l.tp, err)
	}
	if p.done && a.Waiter != nil {
		a.Waiter.Done(nil)
	}
	switch {
	case p.inline && a.Deferred:
		p.out.Commit = Commit{l}
	case p.inline:
		l.commitAdmitted()
	case p.mine:
		l.committer.push(l)
	}
	return p.out, nil
}

// placed is a batch that has its place, and what is left to do for it.
type placed struct {
	out          Appended
	done         bool // there is nothing to wait for
	mine, inline bool // the caller has the turn: to commit itself, or for the committer
}

// place is what Append does with the mutex held.
func (l *Log) place(a *Append, nowMs int64) (p placed, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.out, p.done, err = l.core.append(a, nowMs); err != nil {
		return p, err
	}
	l.endAt.Store(int64(l.core.end))
	p.mine = l.core.head != nil && l.turn.tryTake()
	p.inline = p.mine && (a.Inline || a.Deferred) && l.committer.admit()
	l.queued = l.queued || p.mine && !p.inline
	return p, nil
}

// Configure changes the configuration from the next append on.
func (l *Log) Configure(c Config) {
	l.mu.Lock()
	l.core.cfg = c
	l.mu.Unlock()
}

// Size is the bytes of record data in the log, without headers and space made ahead.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, s := range l.core.segs {
		n += s.size - headerBytes
	}
	return n
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch not above e, and where it ends (KIP-101,
// KIP-279); (NoEpoch, NoOffset) if there is no answer.
func (l *Log) EpochEnd(e model.LeaderEpoch) (model.LeaderEpoch, model.Offset) {
	l.mu.Lock()
	defer l.mu.Unlock()
	latest, ok := l.core.epochs.Latest()
	if e == l.core.epoch && e >= 0 && !(ok && latest.Epoch > e) { // else it was led once, and followed another leader since
		return e, l.core.end
	}
	if ok && e > latest.Epoch && e < l.core.epoch {
		return latest.Epoch, l.core.end
	}
	return l.core.epochs.EndOffset(e, l.core.end)
}

// EpochAt is the leader epoch of the record at off; NoEpoch if it is not known.
func (l *Log) EpochAt(off model.Offset) model.LeaderEpoch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if off >= l.core.end && l.core.epoch >= 0 {
		return l.core.epoch
	}
	return l.core.epochs.At(off)
}

// LastStable is the last stable offset at a high watermark: below it every transaction has ended (T2). It
// must not be asked for a lower watermark than before.
func (l *Log) LastStable(highWatermark model.Offset) model.Offset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.lastStable(highWatermark)
}

// AbortedIn returns the aborted transactions that overlap the offsets [from, to), nil if there are none.
func (l *Log) AbortedIn(from, to model.Offset) []AbortedTxn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.core.txns.Len() == 0 {
		return nil
	}
	return l.core.txns.CollectAborted(nil, from, to)
}

// Producers describes the idempotent producers that the log remembers, by ID.
func (l *Log) Producers() []ProducerInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.producers.List()
}

// locked runs f with the mutex held. Should f panic, the mutex is free again: on its way up a panic gives turns and upkeep back, which takes
// the mutex, and what should end the process would stand still instead. Whatever does more with the core than look at it or set it
// either goes through here or defers the unlock.
func (l *Log) locked(f func(c *core)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.core)
}

// path is the name of a file in the log's directory.
func (l *Log) path(name string) string { return path.Join(l.dir, name) }

// takeTurn waits for the right to do segment I/O. The committer gives it up after at most one group.
func (l *Log) takeTurn() { l.take(&l.turn) }

// endTurn passes the turn on: to the next in line, or to the committer if there is something to write.
func (l *Log) endTurn() {
	l.mu.Lock()
	if l.turn.pass() {
		l.mu.Unlock()
		return
	}
	more := l.core.head != nil
	if l.queued = more; !more {
		l.turn.drop()
	}
	l.mu.Unlock()
	if more {
		l.committer.push(l)
	}
}

func (l *Log) take(b *baton) {
	l.mu.Lock()
	if b.tryTake() {
		l.mu.Unlock()
		return
	}
	ch := b.line()
	l.mu.Unlock()
	<-ch
}

func (l *Log) give(b *baton) {
	l.mu.Lock()
	if !b.pass() {
		b.drop()
	}
	l.mu.Unlock()
}
