package replica

import (
	"chronik/internal/model"
	"chronik/internal/wal/producer"
)

// Coordinator says that a batch is from whoever coordinates by the partition: from what its memory says, which is true of one leader epoch.
type Coordinator struct {
	Epoch model.LeaderEpoch // in which the memory was loaded
}

// origin is what the log is to check of a batch, if it may be appended in the epoch of a leadership. The ordered step that appends checks that
// this is still the leadership (D5), so that one coordinator never appends after another one has loaded (G3).
func (c *Coordinator) origin(lead *leadership) (producer.Origin, bool) {
	if c == nil {
		return producer.Client, true
	}
	return producer.Coordinator, c.Epoch == lead.epoch
}

// Leads tells whether this broker leads in an epoch, for all it knows: it has not asked for another leader, and there is an active controller that
// would have told (R6). What a coordinator answers without an append is true only if so: after another has begun, it may be old (G1).
func (r *Replica) Leads(epoch model.LeaderEpoch) error {
	lead := r.lead.Load()
	if lead == nil || lead.epoch != epoch || !lead.certain() {
		return r.notLeader(ErrNotLeader)
	}
	return nil
}

// LeaderEnd is where the log ends while this broker leads in an epoch; ErrNotLeader if it does not yet, or not any more: watchers are woken when it
// begins to. Whoever alone appends in the epoch, and has not yet, or not since, knows from it what there is to load. What lies between the watermark
// and the end may still be lost, and the watermark of a new leader may be lower than it was (R5): nothing is known before it has come to the end.
func (r *Replica) LeaderEnd(epoch model.LeaderEpoch) (model.Offset, error) {
	lead := r.lead.Load()
	if lead == nil || lead.epoch != epoch {
		return model.NoOffset, r.notLeader(ErrNotLeader)
	}
	l, err := r.Log()
	if err != nil {
		return model.NoOffset, err
	}
	end := l.End()
	if r.lead.Load() != lead { // the log may have been cut by another role meanwhile
		return model.NoOffset, r.notLeader(ErrNotLeader)
	}
	return end, nil
}

// WallClockTrusted tells whether the wall clock has not leapt since the start (E4): what compares it with the times of records may be done.
func (s *Set) WallClockTrusted() bool {
	_, ahead := s.clock.look()
	return ahead == 0
}
