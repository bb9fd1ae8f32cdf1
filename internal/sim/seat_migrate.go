package sim

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// watched is a machine of groups whose timers are looked at as its requests are.
type watched struct {
	shard.Machine
	s *seat
}

// OnTimer implements shard.Machine.
func (m watched) OnTimer(now time.Time, k shard.TimerKey) shard.Result {
	r := m.Machine.OnTimer(now, k)
	m.s.migrates(&r)
	return r
}

// migrates counts groups that change their protocol while they have members.
func (s *seat) migrates(r *shard.Result) {
	ends, classic := false, 0
	for _, rec := range r.Records {
		switch rec := rec.(type) {
		case *schema.GroupMetadata:
			ends = rec.Value == nil
			if v := rec.Value; v != nil && len(v.Members) > 0 && v.Leader == nil {
				s.r.n.w.stats[downgrades]++
			}
		case *schema.ConsumerGroupMemberMetadata:
			if rec.Value != nil && rec.Value.ClassicMemberMetadata != nil {
				classic++
			}
		}
	}
	if !ends || classic == 0 {
		return
	}
	s.r.n.w.stats[upgrades]++
	if s.r.n.w.bugs.forgetsOwners {
		for _, rec := range r.Records {
			if c, ok := rec.(*schema.ConsumerGroupCurrentAssignment); ok {
				c.Value.AssignedPartitions = nil
			}
		}
	}
}
