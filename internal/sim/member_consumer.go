package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group"
	"chronik/internal/coordinator/group/assign"
	"chronik/internal/model"
)

// patientRebalance is how long members of the new protocol may take to give up partitions: for ever. Who was removed because it took longer cannot know; it
// is kept from committing, and G2 promises no more.
const patientRebalance = time.Hour

// consumerProtocol is the heartbeat of KIP-848, which is told what to have, and says what it has.
type consumerProtocol struct {
	quiet bool // all that it had to say was heard
}

func (c *consumerProtocol) forget() { *c = consumerProtocol{} }

func (c *consumerProtocol) leave(m *member) any {
	return group.ConsumerHeartbeatRequest{Group: m.group, Member: m.member, Instance: m.instance, Epoch: group.LeaveEpoch, RebalanceMs: -1}
}

func (c *consumerProtocol) next(m *member) {
	m.say(func() any { return c.beat(m) }, time.Second, func(sent time.Duration, r *groupReply) {
		defer m.again()
		if r == nil {
			c.quiet = false
			return
		}
		o := r.body.(group.ConsumerHeartbeatReply)
		switch {
		case o.Err == nil:
			c.beaten(m, sent, &o)
		case errors.Is(o.Err, group.ErrFencedMemberEpoch), errors.Is(o.Err, group.ErrUnknownMember), errors.Is(o.Err, group.ErrGroupNotFound):
			m.rejoin(true)
			m.epoch = group.JoinEpoch
			c.forget()
		case errors.Is(o.Err, group.ErrFencedInstance):
			m.fenced()
		default:
			c.quiet = false
		}
	})
}

// beat says everything, or only that the member lives.
func (c *consumerProtocol) beat(m *member) group.ConsumerHeartbeatRequest {
	if m.member == "" {
		m.w.made++
		m.member = fmt.Sprintf("member-%d", m.w.made)
	}
	r := group.ConsumerHeartbeatRequest{Group: m.group, Member: m.member, Instance: m.instance, Epoch: m.epoch, RebalanceMs: -1, ClientID: m.id.String(), ClientHost: "/sim"}
	if !c.quiet || m.epoch == group.JoinEpoch {
		none := ""
		r.RebalanceMs, r.Topics, r.Regex = int32(patientRebalance.Milliseconds()), []string{shopTopic}, &none
		if r.Owned = []assign.TopicPartitions{}; len(m.owns) > 0 {
			r.Owned = append(r.Owned, assign.TopicPartitions{Topic: m.w.shop(), Partitions: slices.Clone(m.owns)})
		}
		c.quiet = true
	}
	return r
}

// shop is the ID of the topic that groups are subscribed to.
func (w *world) shop() model.TopicID {
	if t := w.truth.Topic(shopTopic); t != nil {
		return t.ID
	}
	return model.TopicID{}
}

func (c *consumerProtocol) beaten(m *member, sent time.Duration, o *group.ConsumerHeartbeatReply) {
	if m.joined && o.Epoch < m.epoch {
		m.w.fail("G2", "%v (%s) goes from epoch %d to %d", m.id, m.member, m.epoch, o.Epoch)
	}
	m.epoch, m.joined = o.Epoch, true
	if m.extend(sent); m.until <= m.w.now {
		m.outlive()
		return
	}
	if !o.Assigned {
		return
	}
	var mine []int32
	for _, p := range o.Assignment.All() {
		mine = append(mine, p)
	}
	if !slices.Equal(mine, m.owns) {
		c.quiet = false // it says so
	}
	m.own(mine)
}
