package group

import (
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/model"
)

// shares is what a share group (KIP-932) has besides what other groups of the new protocol have: which partitions it reads, and what is
// under way about them. Whoever leads a partition keeps what the group has done with it in __share_group_state, where it has to begin first,
// and is forgotten in the end: both are asked for with a ShareCall, one at a time.
type shares struct {
	read *timeline.Map[struct{}, *readPartitions]

	call    *ShareCall // that is not answered; nil: none
	retryAt time.Time  // not before then what has failed is tried again
	left    bool       // there may be partitions that are to begin
	stale   bool       // there may be partitions that have begun and nobody has
}

// readPartitions are the partitions that a share group reads. They do not change.
type readPartitions struct {
	initializing assign.Partitions // that are to begin; if they are among the others as well, anew
	initialized  assign.Partitions // that have begun: members may have them
	deleting     []model.TopicID   // that are to be forgotten, in order
	names        map[model.TopicID]string
}

var noPartitions = &readPartitions{}

func newShareGroup(l *timeline.Log) *consumer {
	c := newConsumer(l)
	c.shares = &shares{read: timeline.NewMap[struct{}, *readPartitions](l), left: true, stale: true}
	return c
}

// isShare tells whether a group, which may be nil, is a share group.
func (g *group) isShare() bool {
	if g == nil || g.share == nil {
		return false
	}
	_, reads := g.share.shares.read.Get(struct{}{})
	return reads || g.share.exists()
}

// modern is a group of the new protocol, of consumers or a share group; nil: it is a classic one.
func (g *group) modern() *consumer {
	switch {
	case g.isConsumer():
		return g.consumer
	case g.isShare():
		return g.share
	}
	return nil
}

// asShare is what is kept of a group as a share group, from now on if it was nothing.
func (m *Machine) asShare(g *group) *consumer {
	if g.share == nil {
		g.share = newShareGroup(&m.log)
	}
	return g.share
}

// at are the partitions in the newest view.
func (s *shares) at() *readPartitions {
	if p, ok := s.read.Get(struct{}{}); ok {
		return p
	}
	return noPartitions
}

// empty tells that there is nothing, nothing that could come back, and nothing under way.
func (s *shares) empty() bool { return s == nil || s.call == nil && s.read.Empty() }

// due tells whether there may be partitions to begin, and it may be asked for.
func (s *shares) due(now time.Time) bool {
	return s.left && s.call == nil && !now.Before(s.retryAt)
}

// revert says that the log has refused what was written from an offset on.
func (s *shares) revert(from model.Offset) {
	if s.call != nil && s.call.from >= from {
		s.call = nil // it never leaves
	}
	s.left, s.stale = true, true
}

// begun tells of the partitions of topics that exist, which of them the group may have.
func (p *readPartitions) begun(t assign.Topic) []int32 {
	var out []int32
	for _, n := range p.initialized.Of(t.ID) {
		if n < t.Partitions {
			out = append(out, n)
		}
	}
	return out
}

// without are the same partitions but for those of some topics.
func (p *readPartitions) without(gone func(model.TopicID) bool) *readPartitions {
	kept := func(t model.TopicID, _ int32) bool { return !gone(t) }
	return &readPartitions{
		initializing: p.initializing.Filter(kept), initialized: p.initialized.Filter(kept),
		deleting: slices.DeleteFunc(slices.Clone(p.deleting), gone), names: p.names,
	}
}

func (p *readPartitions) equal(o *readPartitions) bool {
	return p.initializing.Equal(o.initializing) && p.initialized.Equal(o.initialized) && slices.Equal(p.deleting, o.deleting)
}

// fromReadRecord reads what records say of the partitions.
func fromReadRecord(v *schema.ShareGroupPartitions) *readPartitions {
	p := &readPartitions{names: make(map[model.TopicID]string)}
	set := func(all []schema.NamedPartitions) assign.Partitions {
		parts := make([]assign.TopicPartitions, len(all))
		for i := range all {
			parts[i] = assign.TopicPartitions{Topic: all[i].TopicID, Partitions: all[i].Partitions}
			p.names[all[i].TopicID] = all[i].TopicName
		}
		return assign.Of(parts)
	}
	p.initializing, p.initialized = set(v.InitializingTopics), set(v.InitializedTopics)
	for _, t := range v.DeletingTopics {
		p.deleting, p.names[t.TopicID] = append(p.deleting, t.TopicID), t.TopicName
	}
	slices.SortFunc(p.deleting, assign.Compare)
	p.deleting = slices.Compact(p.deleting)
	return p
}

// readRecord writes them. Topics that are gone have the names that they had.
func (m *Machine) readRecord(group string, p *readPartitions) *schema.ShareGroupStatePartitions {
	name := func(id model.TopicID) string {
		if t := m.image.TopicByID(id); t != nil {
			return t.Name
		}
		return p.names[id]
	}
	set := func(parts assign.Partitions) []schema.NamedPartitions {
		out := make([]schema.NamedPartitions, len(parts))
		for i := range parts {
			out[i] = schema.NamedPartitions{TopicID: parts[i].Topic, TopicName: name(parts[i].Topic), Partitions: parts[i].Partitions}
		}
		return out
	}
	v := &schema.ShareGroupPartitions{InitializingTopics: set(p.initializing), InitializedTopics: set(p.initialized)}
	for _, id := range p.deleting {
		v.DeletingTopics = append(v.DeletingTopics, schema.NamedTopic{TopicID: id, TopicName: name(id)})
	}
	return &schema.ShareGroupStatePartitions{Key: schema.GroupKey{Group: group}, Value: v}
}

// end answers who waits for a call: this broker does not coordinate the group any more.
func (c *consumer) end() {
	if c != nil && c.shares.call != nil && c.shares.call.fail != nil {
		c.shares.call.fail(ErrNotCoordinator)
	}
}
