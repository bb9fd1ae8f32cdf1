package group

import (
	"cmp"
	"slices"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// DescribeStreams shows streams groups, in the order in which they are asked for.
func (m *Machine) DescribeStreams(groups []string, reply func([]StreamsDescription, error)) shard.Result {
	d := m.decide(time.Time{})
	out := make([]StreamsDescription, len(groups))
	for i, id := range groups {
		g := m.lookup(id)
		if !g.isStreams() {
			out[i] = StreamsDescription{Group: id, State: Dead, Err: ErrGroupNotFound}
			continue
		}
		d.sees(g)
		out[i] = m.describeStreams(g)
	}
	d.answer(func(err error) { reply(out, err) })
	return d.done(nil)
}

func (m *Machine) describeStreams(g *group) StreamsDescription {
	c, e := g.streams, g.streams.at()
	out := StreamsDescription{Group: g.id, State: c.state(), Epoch: e.group, AssignmentEpoch: e.assigned()}
	if t, ok := c.topology.Get(struct{}{}); ok {
		out.Topology = m.describeTopology(t)
	}
	for _, id := range c.roster().ids {
		mem, _ := c.members.Get(id)
		target, _ := c.target.Get(id)
		cur := c.has(id)
		out.Members = append(out.Members, StreamsMemberDescription{Member: id, Epoch: cur.Epoch, About: mem, Assignment: cur.tasks(), Target: target})
	}
	return out
}

// describeTopology shows a topology. If all topics are there, it says what they are.
func (m *Machine) describeTopology(t *schema.StreamsTopology) *StreamsTopology {
	md := streams.FromImage(m.image)
	configured, err := streams.Configure(t, md)
	ready := err == nil && configured.Problem == streams.NoProblem
	internal := func(topics []schema.InternalTopic) []schema.InternalTopic {
		topics = slices.Clone(topics)
		slices.SortFunc(topics, func(a, b schema.InternalTopic) int { return cmp.Compare(a.Name, b.Name) })
		for i := range topics {
			if n, ok := md.Partitions(topics[i].Name); ok && ready {
				topics[i].Partitions = n
			}
		}
		return topics
	}
	out := &StreamsTopology{Epoch: t.Epoch}
	for i := range t.Subtopologies {
		x := &t.Subtopologies[i]
		sub := StreamsSubtopology{
			ID: x.SubtopologyID, Sources: slices.Sorted(slices.Values(x.SourceTopics)), Sinks: slices.Sorted(slices.Values(x.RepartitionSinkTopics)),
			RepartitionSources: internal(x.RepartitionSourceTopics), StateChangelogs: internal(x.StateChangelogTopics),
		}
		if ready {
			sub.Sources = external(&configured, x)
		}
		out.Subtopologies = append(out.Subtopologies, sub)
	}
	slices.SortFunc(out.Subtopologies, func(a, b StreamsSubtopology) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// external are the topics of others that a subtopology reads.
func external(c *streams.Configured, x *schema.Subtopology) (out []string) {
	for _, s := range c.Subtopologies {
		if s.ID != x.SubtopologyID {
			continue
		}
		for _, name := range s.Sources {
			if !slices.ContainsFunc(x.RepartitionSourceTopics, func(t schema.InternalTopic) bool { return t.Name == name }) {
				out = append(out, name)
			}
		}
	}
	return out
}
