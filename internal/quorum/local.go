package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync/atomic"
	"time"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
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
	Committer *wal.Committer // the metadata's own I/O lane: no load on the partitions holds it up
	Now       func() time.Time
	Log       *slog.Logger
	// SnapshotEvery is after how many entries the image is written down and the log before it dropped; 0 is the default.
	SnapshotEvery uint64
}

const defaultSnapshotEvery = 10_000

// Local is the metadata log of one voter.
type Local struct {
	opts  Options
	log   *wal.Log
	store *image.Store

	turn    chan struct{} // holds one token: who has it may propose
	applied Applied       // set before the first proposal
	snapped uint64        // index of the newest snapshot; guarded by turn

	done    chan struct{}
	failure atomic.Pointer[error]
}

// OpenLocal opens the log and applies what is in it. Nothing is proposed until Follow was called.
func OpenLocal(o Options) (*Local, error) {
	if o.SnapshotEvery == 0 {
		o.SnapshotEvery = defaultSnapshotEvery
	}
	cfg := wal.DefaultConfig()
	cfg.SegmentBytes, cfg.SegmentMs = 16<<20, 0
	cfg.RetentionMs, cfg.RetentionBytes = -1, -1
	log, rec, err := wal.Open(wal.Options{
		FS: o.FS, Dir: o.Dir, Partition: model.TopicPartition{Topic: path.Base(o.Dir)}, TopicID: metaTopic,
		Config: cfg, Committer: o.Committer, Now: o.Now,
	})
	if err != nil {
		return nil, err
	}
	q := &Local{opts: o, log: log, turn: make(chan struct{}, 1), done: make(chan struct{})}
	im, err := q.recover(rec)
	if err != nil {
		log.Abandon(err)
		return nil, fmt.Errorf("the metadata log in %s: %w", o.Dir, err)
	}
	if err := log.BeginEpoch(model.LeaderEpoch(max(im.Term(), localTerm))); err != nil {
		log.Abandon(err)
		return nil, err
	}
	q.store = image.NewStore(im)
	return q, nil
}

// Follow names who follows the metadata, and lets proposals in.
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

// Propose implements Log.
func (q *Local) Propose(ctx context.Context, decide Decide) (*image.Image, error) {
	select {
	case <-q.turn:
	case <-q.done:
		return nil, q.stopped()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { q.turn <- struct{}{} }()
	if q.failure.Load() != nil {
		return nil, q.stopped()
	}
	im := q.store.Load()
	commands, err := decide(im)
	if err != nil || len(commands) == 0 {
		return im, err
	}
	next, err := q.commit(im, commands)
	if err != nil && !image.IsConflict(err) {
		q.stop(err)
		return nil, q.stopped()
	}
	return next, err
}

// commit appends the commands, waits until they are synced, applies them and publishes the image. An error other than a
// conflict is final: whether the entry is in the log is not known.
func (q *Local) commit(im *image.Image, commands []*command.Command) (*image.Image, error) {
	term := max(im.Term(), localTerm)
	next, delta, applyErr := image.Apply(im, commands, term, im.Index()+1)
	if image.IsConflict(applyErr) {
		return im, applyErr // alone, the proposer can be told before anything is written
	}
	if applyErr != nil {
		return nil, applyErr
	}
	if err := q.append(commands, term); err != nil {
		return nil, err
	}
	q.applied(next, delta)
	q.store.Publish(next)
	return next, q.maybeSnapshot(next)
}

func (q *Local) append(commands []*command.Command, term uint64) error {
	value, err := command.Encode(q.opts.ClusterID, commands)
	if err != nil {
		return err
	}
	w := record.NewBuilder(record.Options{LeaderEpoch: model.LeaderEpoch(term)})
	w.Add(q.opts.Now().UnixMilli(), nil, value)
	batch, err := w.Build()
	if err != nil {
		return err
	}
	wait := make(waiter, 1)
	if _, err := q.log.Append(wal.Append{Batch: batch, Epoch: model.LeaderEpoch(term), Waiter: wait}); err != nil {
		return err
	}
	return <-wait
}

// waiter is a proposer that waits for the sync of its entry.
type waiter chan error

// Done implements wal.Waiter.
func (w waiter) Done(err error) { w <- err }

// stop lets nothing advance any more.
func (q *Local) stop(cause error) {
	if q.failure.CompareAndSwap(nil, &cause) {
		close(q.done)
	}
}

func (q *Local) stopped() error { return fmt.Errorf("%w: %w", ErrStopped, *q.failure.Load()) }

// Close ends the log with a clean mark. Proposals in progress finish first, later ones get ErrStopped.
func (q *Local) Close() error {
	q.stop(errClosed)
	if q.applied != nil {
		<-q.turn
		q.turn <- struct{}{}
	}
	return q.log.Close()
}
