package group

import (
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// DescribeConsumer shows groups of the new protocol, in the order in which they are asked for.
func (m *Machine) DescribeConsumer(groups []string, reply func([]ConsumerDescription, error)) shard.Result {
	d := m.decide(time.Time{})
	out := make([]ConsumerDescription, len(groups))
	for i, id := range groups {
		g := m.lookup(id)
		if !g.isConsumer() {
			out[i] = ConsumerDescription{Group: id, State: Dead, Err: ErrGroupNotFound}
			continue
		}
		d.sees(g)
		out[i] = m.describeModern(g, g.consumer, g.consumer.roster().assignor(m.Config.Consumer.assignors()[0]))
	}
	d.answer(func(err error) { reply(out, err) })
	return d.done(nil)
}

func (m *Machine) describeModern(g *group, c *consumer, assignor string) ConsumerDescription {
	e := c.at()
	out := ConsumerDescription{
		Group: g.id, State: c.state(), Epoch: e.group, AssignmentEpoch: e.target,
		Assignor: assignor,
	}
	for _, id := range c.roster().ids {
		mem, _ := c.members.Get(id)
		out.Members = append(out.Members, m.describeMember(c, id, mem))
	}
	return out
}

func (m *Machine) describeMember(c *consumer, id string, mem *schema.ConsumerGroupMember) ConsumerMemberDescription {
	cur := c.has(id)
	target, _ := c.target.Get(id)
	return ConsumerMemberDescription{
		Member: id, Instance: mem.InstanceID, Rack: mem.RackID, Epoch: cur.epoch, ClientID: mem.ClientID, ClientHost: mem.ClientHost,
		Topics: mem.SubscribedTopicNames, Regex: mem.SubscribedTopicRegex,
		Assignment: m.named(cur.assigned.Partitions), Target: m.named(target), Classic: mem.ClassicMemberMetadata != nil,
	}
}
