package quorum

import (
	"context"
	"errors"
	"fmt"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
	"chronik/internal/wal"
)

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
	return q.commit(im, commands)
}

// commit makes the commands the next entry. All that can be found wrong with them is found before anything is
// written, so that no request of a client can stop the log; what fails behind that point does (M3), because
// whether the entry is in the log is then not known.
func (q *Local) commit(im *image.Image, commands []*command.Command) (*image.Image, error) {
	entry, err := command.Encode(q.opts.ClusterID, commands)
	if err != nil {
		return im, err
	}
	if len(entry) > maxEntryBytes {
		return im, fmt.Errorf("%w: %d bytes, the most is %d", ErrTooLarge, len(entry), maxEntryBytes)
	}
	term := max(im.Term(), localTerm)
	next, delta, err := image.Apply(im, commands, term, im.Index()+1)
	if err != nil {
		return im, err // with one voter nothing came in between: the decision itself was wrong
	}
	if err := q.append(entry, term, im.Index()); err != nil {
		if errors.Is(err, wal.ErrNoSpace) {
			return im, fmt.Errorf("%w: %w", ErrNoSpace, err)
		}
		q.stop(err)
		return nil, q.stopped()
	}
	q.applied(next, delta) // M1: the entry is synced
	q.store.Publish(next)
	q.keepUp(next)
	return next, nil
}

// append writes an entry behind the one at index and waits for its sync. A full disk is met with the reserve once.
func (q *Local) append(entry []byte, term, index uint64) error {
	err := q.appendOnce(entry, term, index)
	if errors.Is(err, wal.ErrNoSpace) && q.reserve.spend() {
		err = q.appendOnce(entry, term, index)
	}
	return err
}

func (q *Local) appendOnce(entry []byte, term, index uint64) error {
	w := record.NewBuilder(record.Options{LeaderEpoch: model.LeaderEpoch(term)})
	w.Add(q.opts.Now().UnixMilli(), nil, entry)
	batch, err := w.Build()
	if err != nil {
		return err
	}
	wait := make(waiter, 1)
	at, err := q.log.Append(wal.Append{Batch: batch, Epoch: model.LeaderEpoch(term), Waiter: wait})
	if err != nil {
		return err
	}
	if err := <-wait; err != nil {
		return err
	}
	if at.BaseOffset != model.Offset(index) { // M5: offset = index - 1
		return fmt.Errorf("the entry of index %d stands at offset %d", index+1, at.BaseOffset)
	}
	return nil
}

// waiter is a proposer that waits for the sync of its entry.
type waiter chan error

// Done implements wal.Waiter.
func (w waiter) Done(err error) { w <- err }
