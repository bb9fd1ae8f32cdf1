package quorum

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sync/atomic"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/vfs"
	"chronik/internal/wal"
)

// localTerm is the term of a log that never had an election. A cluster that grows out of it begins above.
const localTerm = 1

// metaTopic is the identity of the metadata log among the logs of a disk: the ID that Kafka reserves for its own.
var metaTopic = model.TopicID{15: 1}

// Options says which log to open.
type Options struct {
	FS        vfs.FS
	Dir       string // data/wal/__meta
	ClusterID string
	Committer *wal.Committer   // the metadata's own I/O lane: no load on the partitions holds it up
	Now       func() time.Time // nil: time.Now
	Log       *slog.Logger     // nil: slog.Default
	// SnapshotEvery is after how many entries the image is written down and the log before it dropped; 0 is the default.
	SnapshotEvery uint64
}

const (
	defaultSnapshotEvery = 10_000
	segmentBytes         = 16 << 20
	// maxEntryBytes bounds one entry, well below a segment. 50,000 new partitions take about 1 MiB.
	maxEntryBytes = 8 << 20
)

// Local is the metadata log of one voter.
type Local struct {
	opts  Options
	log   *wal.Log
	store *image.Store

	turn    chan struct{} // holds one token: who has it may propose
	applied Applied       // set before the first proposal

	// Guarded by turn.

	tried   uint64 // index at which a snapshot was last attempted
	reserve reserve

	done    chan struct{}
	failure atomic.Pointer[error]
}

// OpenLocal opens the log and applies what is in it. Nothing is proposed until Follow was called.
func OpenLocal(o Options) (*Local, error) {
	o.setDefaults()
	if _, err := o.FS.Stat(path.Join(o.Dir, stateName)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is there (%v); start the node with --peers", ErrQuorum, path.Join(o.Dir, stateName), err)
	}
	log, rec, err := openLog(o)
	if err != nil {
		return nil, err
	}
	q := &Local{opts: o, log: log, turn: make(chan struct{}, 1), done: make(chan struct{})}
	q.reserve = reserve{fs: o.FS, dir: o.Dir, log: o.Log}
	im, err := q.recover(rec)
	if err == nil {
		err = log.BeginEpoch(model.LeaderEpoch(max(im.Term(), localTerm)))
	}
	if err != nil {
		log.Abandon(err)
		return nil, fmt.Errorf("the metadata log in %s: %w", o.Dir, err)
	}
	q.store = image.NewStore(im)
	q.reserve.fill()
	return q, nil
}

func (o *Options) setDefaults() {
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = defaultSnapshotEvery
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// openLog opens the wal below a metadata log.
func openLog(o Options) (*wal.Log, wal.Recovery, error) {
	cfg := wal.DefaultConfig()
	cfg.SegmentBytes, cfg.SegmentMs = segmentBytes, 0
	cfg.RetentionMs, cfg.RetentionBytes = -1, -1
	return wal.Open(wal.Options{
		FS: o.FS, Dir: o.Dir, Partition: model.TopicPartition{Topic: path.Base(o.Dir)}, TopicID: metaTopic,
		Config: cfg, Committer: o.Committer, Now: o.Now,
	})
}

// ErrQuorum says that a directory is that of a member of a quorum, who must not decide alone.
var ErrQuorum = errors.New("the metadata belongs to a quorum of several nodes")

// Follow names who follows the metadata, and lets proposals in. It must be called once.
func (q *Local) Follow(f Applied) {
	q.applied = f
	q.turn <- struct{}{}
}

// Images implements Log.
func (q *Local) Images() *image.Store { return q.store }

// Done implements Log.
func (q *Local) Done() <-chan struct{} { return q.done }

// Err implements Log.
func (q *Local) Err() error {
	if p := q.failure.Load(); p != nil && !errors.Is(*p, errClosed) {
		return *p
	}
	return nil
}

var errClosed = errors.New("it was closed")

// stop lets nothing advance any more.
func (q *Local) stop(cause error) {
	if q.failure.CompareAndSwap(nil, &cause) {
		close(q.done)
	}
}

func (q *Local) stopped() error { return fmt.Errorf("%w: %w", ErrStopped, *q.failure.Load()) }

// Close ends the log with a clean mark. The proposal in progress finishes first, later ones get ErrStopped. It must
// not be called at the same time as Follow.
func (q *Local) Close() error {
	q.stop(errClosed)
	if q.applied != nil {
		<-q.turn
		defer func() { q.turn <- struct{}{} }()
	}
	return q.log.Close()
}
