package group

import (
	"slices"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/timeline"
)

// streamsGroup is a group of Kafka Streams (KIP-1071): a group of the new protocol whose members have tasks of a topology instead of partitions.
// Its topology, its members, what they are to have (target) and what they have (current) are replicated.
type streamsGroup struct {
	epochs   *timeline.Map[struct{}, streamsEpochs]
	topology *timeline.Map[struct{}, *schema.StreamsTopology]
	members  *timeline.Map[string, *schema.StreamsGroupMember]
	current  *timeline.Map[string, *streamsCurrent]
	target   *timeline.Map[string, streams.Tasks]

	index    *streamsRoster      // of the newest view; nil: to be made anew
	sessions map[string]*session // by member
	reverted bool                // the log has refused something that sessions, or what follows here, went by

	configured    *streams.Configured     // the topology held against the cluster's topics; nil: to be found out
	configuredOf  *schema.StreamsTopology // that one
	seen          uint64                  // the metadata (Machine.seen) that it was held against
	delayed       time.Time               // until then a new group waits for more members; zero: it does not
	shutdownBy    string                  // the member that has asked for the application to shut down; empty: none
	endpointEpoch int32                   // grows when somebody who answers queries is given other tasks
}

// streamsEpochs are a group's. The zero value is that of a group that does not exist.
type streamsEpochs struct {
	exists    bool
	group     int32
	hash      int64  // of the topology's topics
	validated int32  // the topology's epoch that all topics were there for; -1: none
	standbys  string // num.standby.replicas that the last epoch began with
	target    int32  // the group's epoch that the target is for; 0: there never was one
	targetMs  int64  // when it was made
}

// Epochs of a group that has none yet: so the first one that it begins is the second, and members that come while a new group waits are at the first.
const firstStreamsEpoch = 1

// assigned is the epoch of the target, with that of a group that never had one.
func (e *streamsEpochs) assigned() int32 { return max(e.target, firstStreamsEpoch) }

// streamsCurrent is what a member has. It does not change.
type streamsCurrent struct {
	streams.Held
	previous int32 // the member's epoch before
}

var noTasks = &streamsCurrent{Held: streams.Held{State: streams.Stable}}

func newStreamsGroup(l *timeline.Log) *streamsGroup {
	return &streamsGroup{
		epochs:   timeline.NewMap[struct{}, streamsEpochs](l),
		topology: timeline.NewMap[struct{}, *schema.StreamsTopology](l),
		members:  timeline.NewMap[string, *schema.StreamsGroupMember](l),
		current:  timeline.NewMap[string, *streamsCurrent](l),
		target:   timeline.NewMap[string, streams.Tasks](l),
		sessions: make(map[string]*session),
	}
}

// isStreams tells whether a group, which may be nil, is one of Kafka Streams.
func (g *group) isStreams() bool {
	return g != nil && g.classic == nil && g.streams != nil && g.streams.exists()
}

// asStreams is what is kept of a group as one of Kafka Streams, from now on if it was nothing.
func (m *Machine) asStreams(g *group) *streamsGroup {
	if g.streams == nil {
		g.streams = newStreamsGroup(&m.log)
	}
	return g.streams
}

func (c *streamsGroup) exists() bool {
	e, ok := c.epochs.Get(struct{}{})
	return ok && e.exists
}

// at are the newest epochs.
func (c *streamsGroup) at() streamsEpochs {
	e, _ := c.epochs.Get(struct{}{})
	return e
}

// empty tells that there is nothing of it, if it is not nil, nothing that could come back, and nobody whose records are to come.
func (c *streamsGroup) empty() bool {
	return c == nil || len(c.sessions) == 0 && c.epochs.Empty() && c.topology.Empty() && c.members.Empty() && c.current.Empty() && c.target.Empty()
}

// has is what a member has.
func (c *streamsGroup) has(id string) *streamsCurrent {
	if cur, ok := c.current.Get(id); ok {
		return cur
	}
	return noTasks
}

// reached tells whether a member has all that the target of an epoch gives it.
func (cur *streamsCurrent) reached(target int32) bool {
	return cur.State == streams.Stable && cur.Epoch == target
}

// state is where the group stands.
func (c *streamsGroup) state() State {
	e := c.at()
	if c.members.Len() == 0 {
		return Empty
	}
	if t, ok := c.topology.Get(struct{}{}); !ok || t.Epoch != e.validated {
		return NotReady
	}
	if e.group > e.assigned() {
		return Assigning
	}
	for id := range c.members.All() {
		if !c.has(id).reached(e.assigned()) {
			return Reconciling
		}
	}
	return Stable
}

// subscribes tells whether the topology reads a topic, and somebody runs it.
func (c *streamsGroup) subscribes(topic string) bool {
	t, ok := c.topology.Get(struct{}{})
	if !ok || c.members.Len() == 0 {
		return false
	}
	_, reads := streams.Reader(t, topic)
	return reads
}

// streamsRoster is what follows from a group's members and what they have. Applied records keep it; it is made anew when it is asked for after
// a load, or when the log has refused something.
type streamsRoster struct {
	ids     []string // in order; nil: to be sorted
	holders map[streams.TaskID][]taskHolder
}

// taskHolder is a member that has a task, or has not given it up yet.
type taskHolder struct {
	member string
	active bool
}

// roster returns the group's.
func (c *streamsGroup) roster() *streamsRoster {
	if c.index == nil {
		c.index = &streamsRoster{holders: make(map[streams.TaskID][]taskHolder)}
		for id, cur := range c.current.All() {
			c.index.hold(id, cur)
		}
	}
	if c.index.ids == nil {
		c.index.ids = make([]string, 0, c.members.Len())
		for id := range c.members.All() {
			c.index.ids = append(c.index.ids, id)
		}
		slices.Sort(c.index.ids)
	}
	return c.index
}

func (r *streamsRoster) hold(id string, cur *streamsCurrent) {
	for _, t := range cur.Tasks() {
		_, active := cur.Active[t]
		_, giving := cur.Revoking[t]
		r.holders[t] = append(r.holders[t], taskHolder{id, active || giving})
	}
}

func (r *streamsRoster) drop(id string, cur *streamsCurrent) {
	for _, t := range cur.Tasks() {
		r.holders[t] = slices.DeleteFunc(r.holders[t], func(h taskHolder) bool { return h.member == id })
		if len(r.holders[t]) == 0 {
			delete(r.holders, t)
		}
	}
}

// streamsOthers is what the other members of a group have: streams.Others.
type streamsOthers struct {
	c    *streamsGroup
	self string
}

// Active implements streams.Others.
func (o streamsOthers) Active(t streams.TaskID) bool {
	return slices.ContainsFunc(o.c.roster().holders[t], func(h taskHolder) bool { return h.member != o.self && h.active })
}

// InProcess implements streams.Others.
func (o streamsOthers) InProcess(t streams.TaskID, process string) bool {
	return slices.ContainsFunc(o.c.roster().holders[t], func(h taskHolder) bool {
		mem, ok := o.c.members.Get(h.member)
		return h.member != o.self && ok && mem.ProcessID == process
	})
}
