package group

import (
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// call has something asked for once what was decided so far is settled. There must be records: they tell whether it ever leaves.
func (d *decision) call(g *group, c *ShareCall) {
	c.Group, c.from = g.id, d.m.end
	g.share.shares.call = c
	d.out.Effects = append(d.out.Effects, c)
}

// ShareAnswered takes what has become of a call: an error or nil for each of its partitions; nil: all is done.
func (m *Machine) ShareAnswered(now time.Time, c *ShareCall, errs []error) shard.Result {
	d := m.decide(now)
	g := m.groups[c.Group]
	if g == nil || g.share == nil || g.share.shares.call != c {
		return d.done(nil)
	}
	d.mend(g)
	g.share.shares.call = nil
	c.then(d, g, errs)
	return d.done(g)
}

// begun takes the answer of a call for partitions to begin: members may have those that have.
func (d *decision) begun(g *group, c *ShareCall, errs []error) (failed assign.Partitions) {
	s := g.share.shares
	done, failed := d.m.split(c, errs)
	if len(failed) > 0 {
		s.left, s.retryAt = true, d.now.Add(d.m.shares(g.id).heartbeat())
	}
	next := *s.at()
	next.initialized = next.initialized.Or(done.And(next.initializing))
	next.initializing = next.initializing.Minus(done).Minus(failed.And(next.initialized)) // these are as they were, or altered
	d.read(g, &next)
	return failed
}

// read writes the partitions that a group reads, if they have changed.
func (d *decision) read(g *group, next *readPartitions) {
	if !next.equal(g.share.shares.at()) {
		d.record(d.m.readRecord(g.id, next))
	}
}

// begin are partitions that are to begin, of which no start offset is known.
func begin(p assign.Partitions) []SharePartition {
	var out []SharePartition
	for t, n := range p.All() {
		out = append(out, SharePartition{t, n, model.NoOffset})
	}
	return out
}

// missing are the partitions of topics that a group may not have yet.
func (p *readPartitions) missing(topics []assign.Topic) assign.Partitions {
	var out assign.Partitions
	for _, t := range topics {
		out = append(out, everyOne(t.ID, int(t.Partitions)))
	}
	return out.Minus(p.initialized)
}

// everyOne is all partitions of a topic.
func everyOne(t model.TopicID, partitions int) assign.TopicPartitions {
	out := assign.TopicPartitions{Topic: t, Partitions: make([]int32, partitions)}
	for n := range out.Partitions {
		out.Partitions[n] = int32(n)
	}
	return out
}

// asking is what partitions are as their beginning is asked for.
func (p *readPartitions) asking(some assign.Partitions) *readPartitions {
	next := *p
	next.initializing = p.initializing.Minus(p.initialized).Or(some)
	next.deleting = slices.DeleteFunc(slices.Clone(p.deleting), some.Has)
	return &next
}

// cleanShare forgets partitions of topics that are gone. What the group has done with them is forgotten where that is kept.
func (d *decision) cleanShare(g *group) {
	d.read(g, g.share.shares.at().without(func(t model.TopicID) bool { return d.m.image.TopicByID(t) == nil }))
}

// shareTombstones are those of a share group with all that is in it.
func (c *consumer) shareTombstones(group string) []schema.Record {
	var out []schema.Record
	for _, r := range c.tombstones(group) {
		out = append(out, asShareRecord(r))
	}
	return slices.Insert(out, len(out)-1, schema.Record(&schema.ShareGroupStatePartitions{Key: schema.GroupKey{Group: group}})) // the epoch goes last
}
