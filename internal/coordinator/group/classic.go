package group

import (
	"maps"
	"slices"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// State is where a group stands.
type State uint8

// The states, with Kafka's names.
const (
	Empty               State = iota // no members
	PreparingRebalance               // members join
	CompletingRebalance              // the leader assigns
	Stable
	Dead        // the group does not exist
	Assigning   // of the new protocol: what members are to have is to be found out
	Reconciling // members are on their way to what they are to have
	NotReady    // of a streams group: topics are missing
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Assigning", "Reconciling", "NotReady"}

// String is the name that clients see.
func (s State) String() string { return stateNames[s] }

// consumerProtocol is the protocol type of consumers: what they tell each other can be read.
const consumerProtocol = "consumer"

// classic is a classic group in memory.
type classic struct {
	state      State
	sinceMs    int64 // schema.NoTime: not known
	generation int32
	reverted   bool // the log has refused what members were to be told

	protocolType string // empty: there never was a member
	protocol     string // of the generation; empty: none
	leader       string
	members      []*member // in the order of their joining
	byID         map[string]*member
	byInstance   map[string]*member
	supported    map[string]int  // by protocol, how many members have it
	waiting      int             // members that have joined and not been answered
	pending      map[string]bool // IDs that were given out, whose members have not come back (KIP-394)
	subscribed   map[string]bool // topics; nil: not known

	// Of a rebalance.
	first  bool          // the group was empty: it waits for more members to come
	grown  bool          // some have come since the delay began
	delay  time.Duration // that is being waited
	left   time.Duration // to wait at most after that
	joinBy time.Time     // zero: no timer
	syncBy time.Time     // zero: no timer
}

// member is a member of a classic group.
type member struct {
	id                     string
	instance               *string
	clientID, clientHost   string
	rebalanceMs, sessionMs int32
	protocols              []Protocol
	assignment             []byte
	join                   func(JoinReply) // waits for the rebalance
	sync                   func(SyncReply) // waits for the leader
	unsynced               bool            // has joined the generation and not asked for its assignment
	fresh                  bool            // has not been in a generation yet
	deadline               time.Time       // of its session
	timer                  time.Time       // that is set, at or before the deadline; zero: none
}

func newClassic() *classic {
	return &classic{
		sinceMs: schema.NoTime, byID: make(map[string]*member), byInstance: make(map[string]*member),
		supported: make(map[string]int), pending: make(map[string]bool),
	}
}

// view is a group for looking at.
func (m *Machine) view(g *group) *classic {
	if g.classic != nil {
		return g.classic
	}
	if saved, ok := m.saved.Get(g.id); ok {
		return restore(saved)
	}
	return m.unjoined
}

// inMemory is a group for changing.
func (m *Machine) inMemory(g *group) *classic {
	if g.classic == nil {
		g.classic = m.view(g)
	}
	if g.classic == m.unjoined {
		g.classic = newClassic()
	}
	return g.classic
}

func (c *classic) transition(d *decision, s State) { c.state, c.sinceMs = s, d.now.UnixMilli() }

func (c *classic) add(mem *member) {
	if c.leader == "" {
		c.leader = mem.id
	}
	c.members = append(c.members, mem)
	c.byID[mem.id] = mem
	if mem.instance != nil {
		c.byInstance[*mem.instance] = mem
	}
	c.count(mem, 1)
	delete(c.pending, mem.id)
}

func (c *classic) count(mem *member, n int) {
	for _, p := range mem.protocols {
		c.supported[p.Name] += n
	}
}

// remove takes a member out and tells it so, should it wait.
func (c *classic) remove(d *decision, g *group, mem *member) {
	c.answerJoin(d, mem, failed("", ErrUnknownMember))
	mem.answerSync(d, SyncReply{Err: ErrUnknownMember})
	c.members = slices.DeleteFunc(c.members, func(o *member) bool { return o == mem })
	delete(c.byID, mem.id)
	if mem.instance != nil && c.byInstance[*mem.instance] == mem {
		delete(c.byInstance, *mem.instance)
	}
	c.count(mem, -1)
	if c.leader == mem.id {
		c.leader = ""
		if len(c.members) > 0 {
			c.leader = c.members[0].id
		}
	}
	if !mem.timer.IsZero() {
		d.timer(shard.TimerKey{Kind: SessionTimer, Group: g.id, Member: mem.id}, time.Time{})
	}
}

func (c *classic) removePending(d *decision, g *group, id string) {
	delete(c.pending, id)
	d.timer(shard.TimerKey{Kind: SessionTimer, Group: g.id, Member: id}, time.Time{})
}

func (c *classic) pendingIDs() []string { return slices.Sorted(maps.Keys(c.pending)) }

// member finds who asks: a static member is fenced by who joined with its instance after it (KIP-345).
func (c *classic) member(id string, instance *string) (*member, error) {
	if instance != nil {
		if mem := c.byInstance[*instance]; mem == nil {
			return nil, ErrUnknownMember
		} else if mem.id != id {
			return nil, ErrFencedInstance
		}
	}
	if mem := c.byID[id]; mem != nil {
		return mem, nil
	}
	return nil, ErrUnknownMember
}

// supports tells whether a member with these protocols could be in the group.
func (c *classic) supports(protocolType string, protocols []Protocol) bool {
	if c.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	return c.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p Protocol) bool { return c.supported[p.Name] == len(c.members) })
}

// choose returns the protocol that most members prefer of those that all have; of two with as many votes the one voted for first.
func (c *classic) choose() string {
	votes := make(map[string]int)
	best := ""
	for _, mem := range c.members {
		i := slices.IndexFunc(mem.protocols, func(p Protocol) bool { return c.supported[p.Name] == len(c.members) })
		if i >= 0 {
			votes[mem.protocols[i].Name]++
		}
	}
	for _, mem := range c.members {
		for _, p := range mem.protocols {
			if n := votes[p.Name]; n > votes[best] {
				best = p.Name
			}
		}
	}
	return best
}

// rebalanceTimeout is the longest of its members'.
func (c *classic) rebalanceTimeout() time.Duration {
	most := int32(0)
	for _, mem := range c.members {
		most = max(most, mem.rebalanceMs)
	}
	return time.Duration(most) * time.Millisecond
}

func (c *classic) allJoined() bool { return c.waiting == len(c.members) && len(c.pending) == 0 }

func (c *classic) allSynced() bool {
	return !slices.ContainsFunc(c.members, func(mem *member) bool { return mem.unsynced })
}

// wait makes a member wait for the rebalance. Who waits already has asked again, and only the last one is answered with the generation.
func (c *classic) wait(d *decision, mem *member, f func(JoinReply)) {
	c.answerJoin(d, mem, failed(mem.id, ErrRebalance))
	mem.join = f
	c.waiting++
}

func (c *classic) answerJoin(d *decision, mem *member, r JoinReply) {
	if f := mem.join; f != nil {
		mem.join = nil
		c.waiting--
		told(d, f, r)
	}
}

func (mem *member) answerSync(d *decision, r SyncReply) bool {
	f := mem.sync
	if f != nil {
		mem.sync = nil
		told(d, f, r)
	}
	return f != nil
}

func (mem *member) session() time.Duration { return time.Duration(mem.sessionMs) * time.Millisecond }

func (mem *member) metadata(protocol string) []byte {
	for _, p := range mem.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// optional is a text as answers and records have it: none is null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
