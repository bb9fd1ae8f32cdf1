package sim

import (
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/group"
)

// classicProtocol is JoinGroup, SyncGroup and heartbeats. Members give up everything before they join again.
type classicProtocol struct {
	synced  bool
	members []group.JoinedMember // of a leader
}

func (c *classicProtocol) forget() { *c = classicProtocol{} }

func (c *classicProtocol) leave(m *member) any {
	return group.LeaveRequest{Group: m.group, Members: []group.LeavingMember{{Member: m.member}}}
}

func (c *classicProtocol) next(m *member) {
	switch {
	case !m.joined:
		c.join(m)
	case !c.synced:
		c.sync(m)
	default:
		c.heartbeat(m)
	}
}

func (c *classicProtocol) join(m *member) {
	m.own(nil)
	m.say(func() any {
		m.w.made++
		return group.JoinRequest{
			Group: m.group, Member: m.member, ClientID: m.id.String(), SessionMs: int32(groupSession.Milliseconds()), RebalanceMs: int32(groupRebalance.Milliseconds()),
			ProtocolType: "simulated", Protocols: []group.Protocol{{Name: "robin"}}, NeedsID: true, UUID: fmt.Sprint(m.w.made),
		}
	}, groupRebalance+2*time.Second, func(sent time.Duration, r *groupReply) {
		defer m.again()
		if r == nil {
			return
		}
		switch o := r.body.(group.JoinReply); {
		case o.Err == nil:
			m.member, m.epoch, m.joined, c.synced, c.members = o.Member, o.Generation, true, false, nil
			if o.Leader == o.Member {
				c.members = o.Members
			}
			m.until = m.w.now + groupSession // it has nothing yet
		case errors.Is(o.Err, group.ErrMemberIDRequired):
			m.member = o.Member
		case errors.Is(o.Err, group.ErrUnknownMember):
			m.member = ""
		}
	})
}

// sync gets the member's partitions. Its session goes on while it waits for the leader, but it cannot know since when.
func (c *classicProtocol) sync(m *member) {
	m.say(func() any {
		r := group.SyncRequest{Group: m.group, Generation: m.epoch, Member: m.member}
		shares := make([][]byte, len(c.members))
		for p := range byte(shopPartitions) {
			if n := len(shares); n > 0 {
				shares[int(p)%n] = append(shares[int(p)%n], p)
			}
		}
		for i, s := range shares {
			r.Assignments = append(r.Assignments, group.Assignment{Member: c.members[i].Member, Bytes: s})
		}
		return r
	}, groupRebalance+time.Second, func(sent time.Duration, r *groupReply) {
		defer m.again()
		if r == nil {
			m.rejoin(true)
			return
		}
		o := r.body.(group.SyncReply)
		if o.Err != nil {
			c.failed(m, o.Err)
			return
		}
		c.synced = true
		if m.until = sent + groupSession; m.until <= m.w.now {
			m.rejoin(true)
			return
		}
		var mine []int32
		for _, p := range o.Assignment {
			mine = append(mine, int32(p))
		}
		m.own(mine)
	})
}

func (c *classicProtocol) heartbeat(m *member) {
	m.say(func() any { return group.HeartbeatRequest{Group: m.group, Generation: m.epoch, Member: m.member} }, time.Second, func(sent time.Duration, r *groupReply) {
		defer m.again()
		if r == nil {
			return
		}
		if err, _ := r.body.(error); err != nil {
			c.failed(m, err)
			return
		}
		m.extend(sent)
	})
}

// failed follows a refusal.
func (c *classicProtocol) failed(m *member, err error) {
	switch {
	case errors.Is(err, group.ErrRebalance):
		m.rejoin(true)
	case errors.Is(err, group.ErrUnknownMember), errors.Is(err, group.ErrIllegalGeneration), errors.Is(err, group.ErrFencedInstance):
		m.rejoin(false)
	case !c.synced: // whether the assignment is in force is not known
		m.rejoin(true)
	}
}
