package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
)

// classicProtocol is JoinGroup, SyncGroup and heartbeats. Members give up everything before they join again, or what they are told to when they have
// (KIP-429).
type classicProtocol struct {
	cooperative bool
	again       bool // there is a reason to join, with what the member has
	synced      bool
	members     []group.JoinedMember // of a leader
}

func (c *classicProtocol) forget() { *c = classicProtocol{cooperative: c.cooperative} }

func (c *classicProtocol) leave(m *member) any {
	return group.LeaveRequest{Group: m.group, Members: []group.LeavingMember{{Member: m.member, Instance: m.instance}}}
}

func (c *classicProtocol) next(m *member) {
	switch {
	case !m.joined || c.again:
		c.join(m)
	case !c.synced:
		c.sync(m)
	default:
		c.heartbeat(m)
	}
}

func (c *classicProtocol) join(m *member) {
	if !c.cooperative {
		m.own(nil)
	}
	m.say(func() any {
		m.w.made++
		return group.JoinRequest{
			Group: m.group, Member: m.member, Instance: m.instance, ClientID: m.id.String(), SessionMs: int32(groupSession.Milliseconds()), RebalanceMs: int32(groupRebalance.Milliseconds()),
			ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "robin", Metadata: subscriptionOf(m.owns)}}, NeedsID: true, UUID: fmt.Sprint(m.w.made),
		}
	}, groupRebalance+2*time.Second, func(sent time.Duration, r *groupReply) {
		defer m.again()
		if r == nil {
			return
		}
		switch o := r.body.(group.JoinReply); {
		case o.Err == nil:
			m.member, m.epoch, m.joined, c.again, c.synced, c.members = o.Member, o.Generation, true, false, false, nil
			if o.Leader == o.Member {
				c.members = o.Members
			}
			if m.extend(sent); len(m.owns) == 0 {
				m.until = m.w.now + groupSession
			}
		case errors.Is(o.Err, group.ErrMemberIDRequired):
			m.member = o.Member
		case errors.Is(o.Err, group.ErrUnknownMember):
			m.rejoin(false)
		case errors.Is(o.Err, group.ErrFencedInstance):
			m.fenced()
		}
	})
}

// sync gets the member's partitions. Its session goes on while it waits for the leader, but it cannot know since when.
func (c *classicProtocol) sync(m *member) {
	m.say(func() any {
		r := group.SyncRequest{Group: m.group, Generation: m.epoch, Member: m.member, Instance: m.instance}
		for i, s := range c.shares() {
			r.Assignments = append(r.Assignments, group.Assignment{Member: c.members[i].Member, Bytes: assignmentOf(s)})
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
		mine := assignedIn(o.Assignment)
		c.again = slices.ContainsFunc(m.owns, func(p int32) bool { return !slices.Contains(mine, p) })
		m.own(mine)
	})
}

// shares is what a leader gives to each member. What somebody else has is to be given up first.
func (c *classicProtocol) shares() [][]int32 {
	all := make([][]int32, len(c.members))
	has := make(map[int32]int)
	slices.SortFunc(c.members, func(a, b group.JoinedMember) int { return cmp.Compare(a.Member, b.Member) })
	for i, m := range c.members {
		for _, p := range ownedIn(m.Metadata) {
			has[p] = i
		}
	}
	for p := range int32(shopPartitions) {
		if n := len(all); n > 0 {
			to := int(p) % n
			if by, ok := has[p]; !ok || by == to {
				all[to] = append(all[to], p)
			}
		}
	}
	return all
}

func (c *classicProtocol) heartbeat(m *member) {
	m.say(func() any {
		return group.HeartbeatRequest{Group: m.group, Generation: m.epoch, Member: m.member, Instance: m.instance}
	}, time.Second, func(sent time.Duration, r *groupReply) {
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
	case errors.Is(err, group.ErrRebalance) && c.cooperative:
		c.again = true
	case errors.Is(err, group.ErrRebalance):
		m.rejoin(true)
	case errors.Is(err, group.ErrFencedInstance):
		m.fenced()
	case errors.Is(err, group.ErrUnknownMember), errors.Is(err, group.ErrIllegalGeneration):
		m.rejoin(false)
	case !c.synced: // whether the assignment is in force is not known
		m.rejoin(true)
	}
}
