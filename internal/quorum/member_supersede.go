package quorum

import (
	"time"
)

const (
	// lostTicks is how long a replica must have been silent to be taken for lost, and a leader have led to say so.
	lostTicks = 4 * electionTicks
	// aliveTime is how long ago a voter may have been heard to count on it.
	aliveTime = electionTicks * TickInterval
)

// superseded finds the replica that a node had before its data directory was replaced, if it may be removed. That it is wanted is for the
// caller to know: a node that comes with another directory has lost the one before, unless two processes have the same ID. So a
// replica that is heard of stays, and one that is not may go only if the quorum is sure to get on without it.
func (m *Member) superseded(by Replica) (old Replica, found bool, err error) {
	old, found = m.config.replicas.ofNode(by.Node)
	if !found || old == by {
		return Replica{}, false, nil
	}
	s := m.Status()
	st, voter := s.find(old)
	silent := m.now.Sub(st.LastFetch)
	switch {
	case old == m.opts.Self:
		err = refused("%s leads it: a second process runs with --node-id %d; give it an ID of its own", old, by.Node)
	case m.reign < lostTicks:
		err = refused("its leader is new, and cannot tell yet whether %s is lost; retry", old)
	case silent < lostTicks*TickInterval:
		err = refused("%s was heard %v ago: stop that process, or give the new one an ID of its own with --node-id", old, silent.Round(time.Millisecond))
	case voter:
		err = s.spare(old, m.now)
	}
	return old, true, err
}

// spare tells whether the quorum can do without a voter: of the others, as many as make a majority with it among the voters are alive, and
// have what is committed. So they are a majority without it, too.
func (s *Status) spare(lost Replica, now time.Time) error {
	ready, need := 0, len(s.Voters)/2+1
	for _, v := range s.Voters {
		if v.Replica != lost && now.Sub(v.LastFetch) < aliveTime && v.LogEnd+catchUpEntries >= s.HighWatermark {
			ready++
		}
	}
	if ready < need {
		return refused("%s cannot be removed now: %d of the %d voters are alive and have what is committed, and it takes %d; start those that are stopped",
			lost, ready, len(s.Voters), need)
	}
	return nil
}
