package group

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/timeline"
	"chronik/internal/model"
)

// consumer is a group of the new protocol (KIP-848). Its members, what they are to have (target) and what they have (current) are
// replicated; a member moves from the one to the other by its heartbeats.
type consumer struct {
	epochs   *timeline.Map[struct{}, epochs]
	members  *timeline.Map[string, *schema.ConsumerGroupMember]
	current  *timeline.Map[string, *current]
	target   *timeline.Map[string, assign.Partitions]
	patterns *timeline.Map[string, *schema.ConsumerGroupPattern]
	shares   *shares // of a share group (KIP-932), which is like one of consumers in all that is here; nil: it is one of consumers

	index    *roster             // of the newest view; nil: to be made anew
	sessions map[string]*session // by member
	reverted bool                // the log has refused something that sessions, or what follows here, went by
	seen     uint64              // the metadata (Machine.seen) that the group's hash is of
	matched  uint64              // the topics (Machine.topics) that its patterns were matched against, at
	matchAt  time.Time
}

// epochs are a group's. The zero value is that of a group that does not exist.
type epochs struct {
	exists   bool
	group    int32
	hash     int64 // of the topics that members are subscribed to
	target   int32 // the group's epoch that the target is for
	targetMs int64 // when it was made
	legacy   bool  // there is a record of before 4.1 in the log, which takes a tombstone of its own
}

// memberState is how far a member is on its way to the target; the numbers are those of the records.
type memberState int8

const (
	memberStable     memberState = iota
	memberUnrevoked              // it is to give up partitions before it goes on
	memberUnreleased             // others are to give up partitions that it is to have
)

// current is what a member has. It does not change.
type current struct {
	epoch, previous int32
	state           memberState
	assigned        held
	revoking        held
}

// held are partitions, and since which of the member's epochs it has each (KIP-1251).
type held struct {
	assign.Partitions
	since [][]int32 // as Partitions
}

// hold makes held partitions: since an epoch, or since when they were held before.
func hold(p assign.Partitions, epoch int32, before ...held) held {
	h := held{Partitions: p, since: make([][]int32, len(p))}
	for i := range p {
		h.since[i] = make([]int32, len(p[i].Partitions))
		for j, n := range p[i].Partitions {
			h.since[i][j] = epoch
			for _, b := range before {
				if e, ok := b.epochOf(p[i].Topic, n); ok {
					h.since[i][j] = e
				}
			}
		}
	}
	return h
}

func (h *held) epochOf(topic model.TopicID, partition int32) (int32, bool) {
	for i := range h.Partitions {
		if h.Partitions[i].Topic == topic {
			j, ok := slices.BinarySearch(h.Partitions[i].Partitions, partition)
			if ok {
				return h.since[i][j], true
			}
		}
	}
	return 0, false
}

// session is what is not replicated of a member.
type session struct {
	deadline time.Time
	timer    time.Time // that is set, at or before the deadline; zero: none
	revokeBy time.Time // it is to have given up what it is to give up; zero: nothing
	joinBy   time.Time // a classic member is to have joined again; zero: it need not
	syncBy   time.Time // a classic member is to have asked for its assignment; zero: it has
}

func newConsumer(l *timeline.Log) *consumer {
	return &consumer{
		epochs:   timeline.NewMap[struct{}, epochs](l),
		members:  timeline.NewMap[string, *schema.ConsumerGroupMember](l),
		current:  timeline.NewMap[string, *current](l),
		target:   timeline.NewMap[string, assign.Partitions](l),
		patterns: timeline.NewMap[string, *schema.ConsumerGroupPattern](l),
		sessions: make(map[string]*session),
	}
}

// isConsumer tells whether a group, which may be nil, is one of the new protocol.
func (g *group) isConsumer() bool {
	return g != nil && g.classic == nil && g.consumer != nil && g.consumer.exists()
}

// asConsumer is what is kept of a group as one of the new protocol, from now on if it was nothing.
func (m *Machine) asConsumer(g *group) *consumer {
	if g.consumer == nil {
		g.consumer = newConsumer(&m.log)
	}
	return g.consumer
}

func (c *consumer) exists() bool {
	e, ok := c.epochs.Get(struct{}{})
	return ok && e.exists
}

// at are the newest epochs.
func (c *consumer) at() epochs {
	e, _ := c.epochs.Get(struct{}{})
	return e
}

// empty tells that there is nothing of it, if it is not nil, nothing that could come back, and nobody whose records are to come.
func (c *consumer) empty() bool {
	return c == nil || c.shares.empty() && len(c.sessions) == 0 && c.epochs.Empty() && c.members.Empty() && c.current.Empty() && c.target.Empty() && c.patterns.Empty()
}

var nothing = &current{}

// has is what a member has.
func (c *consumer) has(id string) *current {
	if cur, ok := c.current.Get(id); ok {
		return cur
	}
	return nothing
}

// state is where the group stands.
func (c *consumer) state() State {
	e := c.at()
	if c.members.Len() == 0 {
		return Empty
	}
	if c.shares != nil {
		return Stable
	}
	if e.group > e.target {
		return Assigning
	}
	for id := range c.members.All() {
		if !c.has(id).reached(e.target) {
			return Reconciling
		}
	}
	return Stable
}

// reached tells whether a member has all that the target of an epoch gives it.
func (cur *current) reached(target int32) bool {
	return cur.state == memberStable && cur.epoch == target
}

// subscribes tells whether a member is subscribed to a topic, by name or pattern.
func (c *consumer) subscribes(topic string) bool {
	r := c.roster()
	if r.names[topic] > 0 {
		return true
	}
	for p := range r.patterns {
		if v, ok := c.patterns.Get(p); ok {
			if _, found := slices.BinarySearch(v.Topics, topic); found {
				return true
			}
		}
	}
	return false
}

// assignor is the one that most members prefer, of two with as many the first by name; fallback if nobody prefers any.
func (r *roster) assignor(fallback string) string {
	best := ""
	for _, name := range slices.Sorted(maps.Keys(r.assignors)) {
		if best == "" || r.assignors[name] > r.assignors[best] {
			best = name
		}
	}
	if best == "" {
		return fallback
	}
	return best
}
