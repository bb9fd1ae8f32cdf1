package runtime

import (
	"errors"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wal"
)

// awaited waits for a batch, up to end, to be safe.
type awaited[M shard.Machine] struct {
	s   *seat[M]
	end model.Offset

	// Guarded by the seat's mutex.
	lent bool // a caller commits it, and takes the turn that this leads to
	turn bool // the caller has that turn
}

// Done implements wal.Waiter.
func (a *awaited[M]) Done(err error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over || !s.serving:
	case a.lent:
		a.turn = s.put(event[M]{settled: a, err: err})
	default:
		s.pass(event[M]{settled: a, err: err})
	}
}

// settle tells the shard what the log has said. The caller has the turn.
func (a *awaited[M]) settle(err error) {
	switch sh := a.s.shard; {
	case err == nil:
		sh.Settle(a.end)
	case errors.Is(err, replica.ErrNotEnoughReplicasAfterAppend):
		sh.Doubt(a.end, err)
	case notLeading(err):
		sh.End()
	default:
		sh.Lost(err)
	}
}

// loan is a caller that waits for its answer: what it appends in its turn it commits, and answers itself thereby, which spares to wake others for
// both. Its methods but open and take do nothing if there is nothing to commit. A nil loan takes nothing.
type loan[M shard.Machine] struct {
	commit wal.Commit
	batch  *awaited[M] // that is committed
}

// open tells whether the loan would take a commit.
func (l *loan[M]) open() bool { return l != nil && l.batch == nil }

func (l *loan[M]) take(a *awaited[M], c wal.Commit) { l.batch, l.commit = a, c }

// leave gives the commit back to the committer.
func (l *loan[M]) leave() {
	if l != nil {
		l.commit.Leave()
		l.commit = wal.Commit{}
	}
}

// commit is for a caller that has given back the turn.
func (s *seat[M]) commit(l *loan[M]) {
	if !l.commit.Due() {
		return
	}
	s.mu.Lock()
	l.batch.lent = true
	s.mu.Unlock()
	l.commit.Make()
	s.mu.Lock()
	l.batch.lent = false
	mine := l.batch.turn
	s.mu.Unlock()
	if mine {
		s.work(true, nil)
	}
}
