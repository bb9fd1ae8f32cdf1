package runtime

import (
	"errors"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wal"
)

// mostEvents is after how many events a batch is appended though there are more, and after how many a caller has worked enough for others.
const mostEvents = 256

// work is the turn: it ends when the inbox is empty. inline tells that it is a caller's goroutine; l, if not nil, that it is to commit what it appends,
// but for when there is more to do before it could.
func (s *seat[M]) work(inline bool, l *loan[M]) {
	for done := 1; ; done++ {
		if s.at == len(s.events) {
			s.append(l)
			s.arm()
			if !s.refill() {
				return
			}
			l.leave()
		}
		e := s.events[s.at]
		s.events[s.at] = event[M]{}
		s.at++
		switch {
		case e.settled != nil:
			e.settled.settle(e.err)
		case e.happened != nil:
			e.happened(s.c.o.Now())
		default:
			s.shard.Do(s.c.o.Now(), func(now time.Time) shard.Result { return e.decide(s.machine, now) }, e.refuse)
		}
		if done%mostEvents == 0 {
			s.append(l)
			l.leave()
			if inline && s.handOver() {
				return
			}
		}
	}
}

// refill takes what is in the inbox; if that is nothing, it gives the turn back.
func (s *seat[M]) refill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inbox) == 0 {
		s.busy = false
		return false
	}
	s.events, s.inbox, s.at = s.inbox, s.events[:0], 0
	return true
}

// handOver gives the turn to a goroutine; false: the seat is over, and its last events are the caller's.
func (s *seat[M]) handOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.c.crew.take(s)
	return true
}

// append appends what was decided, as far as enough of it is not on its way already. The commit of the first batch may be left to the loan.
func (s *seat[M]) append(l *loan[M]) {
	p := s.log.Policy()
	s.shard.Configure(int(min(int64(p.MaxMessageBytes), p.SegmentBytes)))
	for {
		b, ok := s.shard.Take()
		if !ok {
			break
		}
		w := &awaited[M]{s: s, end: b.Base + model.Offset(b.Bytes.LastOffsetDelta()) + 1}
		out, err := s.log.Append(replica.Append{
			Batch: b.Bytes, Acks: -1, Waiter: w, Deferred: l.open(), By: &s.by,
			Verified: true, TV2: b.Raised, // who asks for offsets in a transaction has asked its coordinator
		})
		switch {
		case err == nil:
			if out.Commit.Due() {
				l.take(w, out.Commit)
			}
			s.shard.Appended(out.BaseOffset)
		case !notLeading(err):
			s.shard.Refused(err)
		case s.leads(): // and does not know whether it still does (R6): nothing was appended, and no other epoch is known
			s.shard.Refused(shard.ErrNotCoordinator)
		default:
			s.shard.End()
		}
	}
	if over, err := s.shard.Ended(); over && !s.ended {
		s.ended = true
		s.succeed(err)
	}
}

// leads tells whether the replica is the leader's of the seat's epoch.
func (s *seat[M]) leads() bool {
	_, err := s.log.LeaderEnd(s.epoch)
	return err == nil
}

// notLeading tells whether an error of the log says that another leader epoch has begun, or may have.
func notLeading(err error) bool {
	for _, e := range []error{
		replica.ErrNotLeader, replica.ErrFencedEpoch, replica.ErrUnknownEpoch, replica.ErrUnknownPartition, wal.ErrEpoch, wal.ErrClosed, wal.ErrTruncated,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// succeed has another seat of the epoch take the place of this one, whose shard has ended: when it was not the metadata that ended it, the broker may
// lead in this epoch still, or soon.
func (s *seat[M]) succeed(why error) {
	if why != nil {
		s.c.o.Log.Warn("what a coordinator remembers and what its log holds have parted; it loads again", "partition", s.partition.String(),
			"epoch", int32(s.epoch), "error", why)
	}
	s.c.replace(s)
}
