package group

import (
	"maps"
	"slices"
	"strings"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/image"
)

// step is a decision about a group of the new protocol, as far as it has come: a member that joins, changes or is reconciled, or
// members that go. It sees the group as its own records will make it. Nothing of it is done before finish, so that it can be given up.
type step struct {
	d       *decision
	g       *group
	c       *consumer // of g, or what g becomes: a classic group is seen as a consumer group before it is one
	records []schema.Record
	soft    []func() // changes of what is not replicated

	id      string                      // who asks; empty: nobody, members only go
	before  *schema.ConsumerGroupMember // nil: it joins
	former  *schema.ConsumerGroupMember // of a static member that starts anew
	member  *schema.ConsumerGroupMember
	was, is *current
	gone    []string // who is removed; of a static member that is replaced its former self
	epochs  epochs
	target  assign.Partitions // of the member
	matched map[string][]string
	bump    bool // the target is to be made anew
	behind  bool // who asks is at the epoch before its own
}

func (s *step) record(r ...schema.Record) { s.records = append(s.records, r...) }

func (s *step) later(f func()) { s.soft = append(s.soft, f) }

// finish makes the step the decision's.
func (s *step) finish() {
	for _, r := range s.records {
		if s.c.shares != nil {
			r = asShareRecord(r)
		}
		s.d.record(r)
	}
	for _, f := range s.soft {
		f()
	}
}

// seat is a member as it will be.
type seat struct {
	id     string
	member *schema.ConsumerGroupMember
}

// seats are the members as they will be, in order.
func (s *step) seats() []seat {
	ids := s.c.roster().ids
	out := make([]seat, 0, len(ids)+1)
	for _, id := range ids {
		if id != s.id && !slices.Contains(s.gone, id) {
			mem, _ := s.c.members.Get(id)
			out = append(out, seat{id, mem})
		}
	}
	if s.id != "" {
		i, _ := slices.BinarySearchFunc(out, s.id, func(x seat, id string) int { return strings.Compare(x.id, id) })
		out = slices.Insert(out, i, seat{s.id, s.member})
	}
	return out
}

// after is what members will prefer, and which patterns they will have.
func (s *step) after() *roster {
	now := s.c.roster()
	out := &roster{
		patterns: maps.Clone(now.patterns), assignors: maps.Clone(now.assignors),
		names: make(map[string]int), instances: make(map[string]string), protocols: make(map[string]int),
	}
	for _, id := range s.gone {
		mem, _ := s.c.members.Get(id)
		out.count(id, mem, -1)
	}
	out.count(s.id, s.before, -1)
	out.count(s.id, s.member, 1)
	return out
}

// subscribe takes over what the member says of itself.
func (s *step) subscribe() {
	if s.before != nil && sameMember(s.before, s.member) {
		s.member = s.before
		return
	}
	s.record(memberRecord(s.g.id, s.id, s.member))
	old := s.before
	switch {
	case old != nil:
	case s.former != nil:
		old = s.former // its place is as it was
	default:
		old = &schema.ConsumerGroupMember{}
	}
	s.bump = s.bump || !slices.Equal(old.SubscribedTopicNames, s.member.SubscribedTopicNames) || plain(old.SubscribedTopicRegex) != plain(s.member.SubscribedTopicRegex)
}

// emptyEpoch is that of a group before its first member, as Kafka has it.
const emptyEpoch = 1

// advance begins a new epoch of the group if its subscriptions, or what they amount to, have changed.
func (s *step) advance() {
	m := s.d.m
	if !s.bump && s.c.seen == m.seen && s.epochs.group > 0 {
		return
	}
	s.later(func() { s.c.seen = m.seen })
	hash := s.topics(s.seats()).hash(m.image)
	if !s.bump && hash == s.epochs.hash && s.epochs.group > 0 {
		return
	}
	s.epochs.group, s.epochs.hash = max(s.epochs.group, emptyEpoch)+1, hash
	if s.epochs.legacy {
		s.epochs.legacy = false
		s.record(&schema.ConsumerGroupSubscribedPartitions{Key: schema.GroupKey{Group: s.g.id}})
	}
	s.record(epochRecord(s.g.id, s.epochs))
}

// retarget makes the target of a new epoch. Not more often than the broker says: then members go on towards the last one.
func (s *step) retarget() {
	interval := s.d.m.intervalOf(s.g, s.c)
	waited := s.d.now.Sub(time.UnixMilli(s.epochs.targetMs))
	if s.epochs.group == s.epochs.target || s.epochs.targetMs != 0 && waited >= 0 && waited < interval {
		s.target = s.targetOf(s.id)
		if _, ok := s.c.target.Get(s.id); !ok && s.target != nil {
			s.record(targetRecord(s.g.id, s.id, s.target))
		}
		return
	}
	seats := s.seats()
	t := s.topics(seats)
	group := assign.Group{Topics: s.assignable(&t), Members: make([]assign.Member, len(seats))}
	for i, x := range seats {
		group.Members[i] = assign.Member{ID: x.id, Instance: plain(x.member.InstanceID), Topics: t.of[i], Owned: s.targetOf(x.id)}
	}
	for i, p := range s.assignor()(group) {
		if old, ok := s.c.target.Get(seats[i].id); !ok || !old.Equal(p) {
			s.record(targetRecord(s.g.id, seats[i].id, p))
		}
		if seats[i].id == s.id {
			s.target = p
		}
	}
	s.epochs.target, s.epochs.targetMs = s.epochs.group, s.d.now.UnixMilli()
	s.record(targetEpochRecord(s.g.id, s.epochs))
}

// targetOf is what a member was to have; who replaces a static member has what that one was to have.
func (s *step) targetOf(id string) assign.Partitions {
	if p, ok := s.c.target.Get(id); ok || id != s.id || len(s.gone) == 0 {
		return p
	}
	p, _ := s.c.target.Get(s.gone[0])
	return p
}

func (s *step) assignor() assign.Assignor {
	if s.c.shares != nil {
		return assign.Simple
	}
	config := &s.d.m.Config.Consumer
	name := s.after().assignor(config.assignors()[0])
	if !config.offers(name) {
		name = config.assignors()[0]
	}
	if a := assign.Named(name); a != nil {
		return a
	}
	return assign.Uniform
}

// topic finds a topic that members name; nil: there is none.
func (s *step) topic(name string) *image.Topic { return s.d.m.image.Topic(name) }

// sameMember tells whether two members say the same of themselves.
func sameMember(a, b *schema.ConsumerGroupMember) bool {
	return plain(a.InstanceID) == plain(b.InstanceID) && plain(a.RackID) == plain(b.RackID) && a.ClientID == b.ClientID && a.ClientHost == b.ClientHost &&
		slices.Equal(a.SubscribedTopicNames, b.SubscribedTopicNames) && plain(a.SubscribedTopicRegex) == plain(b.SubscribedTopicRegex) &&
		a.RebalanceTimeoutMs == b.RebalanceTimeoutMs && plain(a.ServerAssignor) == plain(b.ServerAssignor) &&
		sameClassic(a.ClassicMemberMetadata, b.ClassicMemberMetadata)
}

func sameClassic(a, b *schema.ClassicMember) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.SessionTimeoutMs == b.SessionTimeoutMs && slices.EqualFunc(a.SupportedProtocols, b.SupportedProtocols,
		func(x, y schema.ClassicProtocol) bool {
			return x.Name == y.Name && string(x.Metadata) == string(y.Metadata)
		})
}

// plain is a text that may be none, which is as good as empty.
func plain(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
