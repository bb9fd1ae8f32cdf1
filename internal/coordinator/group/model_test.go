package group

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

const modelPartitions = 6

// classicHistory is one of clients of a classic group, and what must not happen there.
type classicHistory struct {
	*history
	clients   []*client
	uuid      int
	owners    map[int32]map[string]string // G2: by generation and partition, who was told that it owns it
	delivered int32                       // the newest generation of which somebody knows its assignment
	commits   model.Offset
	acked     [modelPartitions]model.Offset
}

type clientState int

const (
	away clientState = iota
	joining
	joined
	syncing
	stable
)

// client is a consumer as the libraries have it.
type client struct {
	h          *classicHistory
	name       string
	instance   *string
	life       int // what answers an earlier one is not heard
	state      clientState
	id         string
	generation int32
	assign     []JoinedMember // of a leader
	quiet      int            // heartbeats that were answered well since it is stable
}

// TestG2: at each generation a partition has one owner, all partitions have one, and who is of an older generation commits nothing;
// what was committed and acknowledged is seen (G1); everybody is answered once; and when the faults end the group is stable.
func TestG2(t *testing.T) {
	play(*seeds, 250, func(seed uint64) (*history, func(), func()) {
		h := newClassicHistory(t, seed)
		return h.history, h.step, h.calm
	})
}

func newClassicHistory(t *testing.T, seed uint64) *classicHistory {
	h := &classicHistory{history: newHistory(t, 0, seed), owners: make(map[int32]map[string]string)}
	for p := range h.acked {
		h.acked[p] = model.NoOffset
	}
	h.config.MinSessionMs = 1
	h.m.Config = h.config
	for i := range 2 + h.rand.IntN(4) {
		c := &client{h: h, name: fmt.Sprintf("c%d", i)}
		if h.rand.IntN(3) == 0 {
			c.instance = &c.name
		}
		h.clients = append(h.clients, c)
	}
	h.written = h.check
	return h
}

// check: what a generation assigns is all there is, once.
func (h *classicHistory) check(r schema.Record) {
	v, ok := r.(*schema.GroupMetadata)
	if !ok || v.Value == nil || len(v.Value.Members) == 0 {
		return
	}
	seen := make(map[string]bool)
	for _, m := range v.Value.Members {
		for _, p := range strings.Fields(string(m.Assignment)) {
			if seen[p] {
				h.fail("G2: %s is assigned twice: %s", p, showGroup(v.Value))
			}
			seen[p] = true
		}
	}
	if len(seen) != modelPartitions {
		h.fail("G2: %d partitions are assigned: %s", len(seen), showGroup(v.Value))
	}
}

func (h *classicHistory) step() {
	switch n := h.rand.IntN(100); {
	case n < 75:
		h.clients[h.rand.IntN(len(h.clients))].act()
	case n < 90:
		h.advance(time.Duration(h.rand.IntN(3000)) * time.Millisecond)
	case n < 91:
		h.advance(20 * time.Second)
	default:
		h.falter()
	}
	h.fetched()
}

// fetched: G1.
func (h *classicHistory) fetched() {
	for p := range h.acked {
		r := FetchRequest{Group: "g", Partitions: []model.TopicPartition{{Topic: "t", Partition: int32(p)}}}
		if got := h.m.Fetch(r).Offsets[0].Offset; got < h.acked[p] {
			h.fail("G1: partition %d is at %d, %d was acknowledged", p, got, h.acked[p])
		} else {
			h.acked[p] = max(h.acked[p], got) // seen is as good as acknowledged
		}
	}
}

// calm: nobody goes: the group becomes stable, with all who are there.
func (h *classicHistory) calm() {
	for range 600 {
		settled := 0
		for _, c := range h.clients {
			if c.next(); c.state == stable && c.quiet > 2 && c.generation == h.clients[0].generation {
				settled++
			}
		}
		if settled == len(h.clients) {
			return
		}
		h.advance(time.Second)
	}
	h.fail("the group does not become stable")
}

func (c *client) act() {
	switch n := c.h.rand.IntN(100); {
	case n < 3:
		c.crash()
	case n < 6 && c.state == stable:
		c.leave()
	case n < 20 && c.state == stable:
		c.commit()
	case n < 25 && c.state == stable:
		c.join()
	default:
		c.next()
	}
}

// next is what a client does that nothing happens to.
func (c *client) next() {
	switch c.state {
	case away:
		c.join()
	case joined:
		c.sync()
	case stable:
		c.heartbeat()
	}
}

func (c *client) crash() {
	c.life++
	c.state, c.id, c.generation, c.assign = away, "", 0, nil
}

// heard counts an answer, and tells whether who asked is still there.
func (c *client) ask() func() bool {
	c.h.asked++
	life, answered := c.life, false
	return func() bool {
		if answered {
			c.h.fail("%s is answered twice", c.name)
		}
		answered = true
		c.h.answered++
		return life == c.life
	}
}

func (c *client) join() {
	c.h.uuid++
	r := JoinRequest{
		Group: "g", Member: c.id, Instance: c.instance, ClientID: c.name, SessionMs: 5000, RebalanceMs: 8000, ProtocolType: consumerProtocol,
		Protocols: []Protocol{{"range", topics("t")}}, NeedsID: true, CanSkip: true, UUID: strconv.Itoa(c.h.uuid),
	}
	if c.h.rand.IntN(4) == 0 {
		r.Protocols[0].Metadata = topics("t", "u")
	}
	heard := c.ask()
	c.state = joining
	c.h.run(c.h.m.Join(c.h.now, r, func(o JoinReply) {
		if !heard() {
			return
		}
		if c.state = away; o.Err == ErrMemberIDRequired {
			c.id = o.Member
		} else if o.Err != nil {
			c.failed(o.Err)
		} else {
			c.id, c.generation, c.assign, c.state = o.Member, o.Generation, nil, joined
			if o.Leader == o.Member && !o.SkipAssignment {
				c.assign = o.Members
			}
		}
	}))
}

func (c *client) failed(err error) {
	if c.state = away; err == ErrUnknownMember || err == ErrFencedInstance {
		c.id = ""
	}
}

func (c *client) sync() {
	r := SyncRequest{Group: "g", Member: c.id, Instance: c.instance, Generation: c.generation}
	for i, m := range c.assign {
		var mine []string
		for p := i; p < modelPartitions; p += len(c.assign) {
			mine = append(mine, strconv.Itoa(p))
		}
		r.Assignments = append(r.Assignments, Assignment{m.Member, []byte(strings.Join(mine, " "))})
	}
	heard := c.ask()
	c.state = syncing
	c.h.run(c.h.m.Sync(c.h.now, r, func(o SyncReply) {
		if !heard() {
			return
		}
		if o.Err != nil {
			c.failed(o.Err)
			return
		}
		c.state, c.quiet = stable, 0
		c.own(strings.Fields(string(o.Assignment)))
	}))
}

// own: G2. A static member keeps what it has under its next ID.
func (c *client) own(partitions []string) {
	owners := c.h.owners[c.generation]
	if owners == nil {
		owners = make(map[string]string)
		c.h.owners[c.generation] = owners
	}
	who := c.id
	if c.instance != nil {
		who = *c.instance
	}
	for _, p := range partitions {
		if other, ok := owners[p]; ok && other != who {
			c.h.fail("G2: partition %s of generation %d was given to %s and to %s", p, c.generation, other, who)
		}
		owners[p] = who
	}
	c.h.delivered = max(c.h.delivered, c.generation)
}

func (c *client) heartbeat() {
	heard := c.ask()
	r := HeartbeatRequest{Group: "g", Member: c.id, Instance: c.instance, Generation: c.generation}
	c.h.run(c.h.m.Heartbeat(c.h.now, r, func(err error) {
		switch {
		case !heard() || c.state != stable:
		case err != nil:
			c.failed(err)
		default:
			c.quiet++
		}
	}))
}

func (c *client) commit() {
	heard := c.ask()
	c.h.commits++
	p, offset, generation, delivered := c.h.rand.IntN(modelPartitions), c.h.commits, c.generation, c.h.delivered
	r := CommitRequest{
		Group: "g", Member: c.id, Instance: c.instance, Generation: generation, RetentionMs: -1,
		Offsets: []CommitOffset{{TopicPartition: model.TopicPartition{Topic: "t", Partition: int32(p)}, Offset: offset}},
	}
	c.h.run(c.h.m.Commit(c.h.now, r, func(o CommitReply) {
		here := heard()
		switch {
		case o.Err == nil && generation < delivered:
			c.h.fail("G2: %s committed for generation %d, somebody knew of %d", c.name, generation, delivered)
		case o.Err == nil:
			c.h.acked[p] = max(c.h.acked[p], offset)
		case here && c.state == stable:
			c.failed(o.Err)
		}
	}))
}

func (c *client) leave() {
	heard := c.ask()
	r := LeaveRequest{Group: "g", Members: []LeavingMember{{c.id, c.instance}}}
	c.crash()
	c.h.run(c.h.m.Leave(c.h.now, r, func(LeaveReply) { heard() }))
}
