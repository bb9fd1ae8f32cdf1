package group

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// shareHistory is one of members of a share group while topics grow, come and go, and those that keep the partitions' state answer late, not at all, or do
// late what they have been given up on.
type shareHistory struct {
	*history
	clients      []*sharer
	names, grown int

	state map[partition]int32 // that has begun, and in which epoch
	late  []*ShareCall        // that may still be done, though they count as failed
}

// sharer is a client.
type sharer struct {
	h      *shareHistory
	id     string
	life   int // what answers an earlier one is not heard
	epoch  int32
	joined bool
	asking bool
	say    bool // everything: it has missed an answer, or has changed
	topics []string
	owns   assign.Partitions
}

// TestShare: who is given a partition is given one that has begun, and which does not begin anew while it is had; nobody's epoch goes back;
// everybody is answered once; and when the faults end every member has something, and every partition a member.
func TestShare(t *testing.T) {
	play(*seeds/3, 300, func(seed uint64) (*history, func(), func()) {
		h := newShareHistory(t, seed)
		return h.history, h.step, h.calm
	})
}

func newShareHistory(t *testing.T, seed uint64) *shareHistory {
	h := &shareHistory{history: newHistory(t, 2, seed), state: make(map[partition]int32)}
	h.config.Share = ShareConfig{
		Session: 5 * time.Second, MinSession: time.Millisecond, Heartbeat: time.Second, MinHeartbeat: time.Millisecond, MaxSize: 2 + h.rand.IntN(6),
	}
	if h.rand.IntN(2) == 0 {
		h.config.Share.AssignmentInterval = time.Second
	}
	h.image = image.New("c")
	h.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	h.change(topicOf("a", 1, 2))
	h.change(topicOf("b", 2, 1+h.rand.IntN(3)))
	h.Begin()
	h.written = func(r schema.Record) {
		if e, ok := r.(*schema.ShareGroupEpoch); ok && e.Value == nil { // the next group begins with its epochs anew
			h.late = nil
		}
	}
	for range 2 + h.rand.IntN(4) {
		c := &sharer{h: h, topics: []string{"a"}}
		c.crash()
		h.clients = append(h.clients, c)
	}
	return h
}

func (h *shareHistory) step() {
	switch n := h.rand.IntN(100); {
	case n < 55:
		h.clients[h.rand.IntN(len(h.clients))].act()
	case n < 68:
		h.answer(h.rand.IntN(4) == 0)
	case n < 72 && len(h.late) > 0:
		i := h.rand.IntN(len(h.late))
		c := h.late[i]
		h.late = slices.Delete(h.late, i, i+1)
		h.do(c, true)
	case n < 84:
		h.advance(time.Duration(h.rand.IntN(1500)) * time.Millisecond)
	case n < 85:
		h.advance(20 * time.Second)
	case n < 87:
		h.grow()
	case n < 89:
		h.admin()
	default:
		h.falter()
	}
}

// answer has the first call that has left done, or not, or only later.
func (h *shareHistory) answer(fails bool) {
	if len(h.calls) == 0 {
		return
	}
	c := h.calls[0].(*ShareCall)
	h.calls = h.calls[1:]
	var errs []error
	if fails {
		if begins := !c.Delete && c.fail == nil; begins {
			h.late = append(h.late, c)
		}
		for range c.Partitions {
			errs = append(errs, errCall)
		}
	} else {
		errs = h.do(c, false)
	}
	h.run(h.m.ShareAnswered(h.now, c, errs))
}

// do is what those that keep the state do. What comes late must not have a partition begin anew that somebody has.
func (h *shareHistory) do(c *ShareCall, late bool) []error {
	errs := make([]error, len(c.Partitions))
	for i, p := range c.Partitions {
		at := partition{p.Topic, p.Partition}
		epoch, ok := h.state[at]
		switch {
		case h.image.TopicByID(p.Topic) == nil:
			errs[i] = ErrUnknownPartition
		case c.Delete:
			delete(h.state, at)
		case ok && c.StateEpoch < epoch:
			errs[i] = errCall
		default:
			h.state[at] = c.StateEpoch
			for _, other := range h.clients {
				if other.owns.Contains(p.Topic, p.Partition) && other.member() && (late || c.fail == nil) {
					h.fail("%s begins anew (late: %t), %s has it", showCall(c), late, other.id)
				}
			}
		}
	}
	return errs
}

// grow adds partitions, or makes or deletes a topic.
func (h *shareHistory) grow() {
	var c *command.Command
	switch topic := h.image.Topic("b"); {
	case h.rand.IntN(2) == 0 && h.grown < 6:
		t := h.image.Topic("a")
		c = command.Assign(t.ID, int32(len(t.Partitions)), []*command.Assignment{{Replicas: []int32{1}, Leader: 1}})
	case topic == nil:
		c = topicOf("b", byte(10+h.grown), 2)
	default:
		c = command.Delete(topic.ID)
	}
	h.grown++
	d := h.change(c)
	h.run(h.m.OnImage(h.now, h.image, d))
}

// admin asks for what is refused as long as there are members.
func (h *shareHistory) admin() {
	if h.rand.IntN(2) == 0 { // often enough there are none
		for _, c := range h.clients {
			c.leave()
		}
	}
	h.asked++
	switch h.rand.IntN(3) {
	case 0:
		r := AlterShareOffsetsRequest{Group: "s", Offsets: []ShareOffset{{model.TopicPartition{Topic: "a"}, 5}, {model.TopicPartition{Topic: "b"}, 6}}}
		h.run(h.m.AlterShareOffsets(h.now, r, func(AlterShareOffsetsReply) { h.answered++ }))
	case 1:
		h.run(h.m.DeleteShareOffsets(h.now, DeleteShareOffsetsRequest{"s", []string{"a", "b"}}, func(DeleteShareOffsetsReply) { h.answered++ }))
	default:
		h.run(h.m.Delete(h.now, []string{"s"}, func(DeleteReply) { h.answered++ }))
	}
}

// calm: nobody goes.
func (h *shareHistory) calm() {
	for range 60 {
		h.answer(false)
		for _, c := range h.clients {
			c.beat()
		}
		h.advance(500 * time.Millisecond)
	}
	had, in := make(map[partition]bool), 0
	for _, c := range h.clients {
		if c.joined {
			in++
		}
		if c.joined && len(c.owns) == 0 {
			h.fail("%s has nothing", c.id)
		}
		for t, n := range c.owns.All() {
			had[partition{t, n}] = true
		}
	}
	if in != min(len(h.clients), h.config.Share.MaxSize) {
		h.fail("%d of %d clients are members", in, len(h.clients))
	}
	for t := range h.image.Topics() {
		wanted := slices.ContainsFunc(h.clients, func(c *sharer) bool { return c.joined && slices.Contains(c.topics, t.Name) })
		for n := range t.Partitions {
			if had[partition{t.ID, int32(n)}] != wanted {
				h.fail("%s-%d: wanted %t", t.Name, n, wanted)
			}
		}
	}
}

// member tells whether the coordinator knows the client: one that was silent for too long has what it had until it is told.
func (c *sharer) member() bool {
	g := c.h.m.groups["s"]
	if !g.isShare() {
		return false
	}
	_, ok := g.share.members.Get(c.id)
	return ok
}

func (c *sharer) crash() {
	c.h.names++
	c.life++
	c.id, c.epoch, c.joined, c.asking, c.say, c.owns = fmt.Sprintf("m%d", c.h.names), 0, false, false, true, nil
}

func (c *sharer) leave() {
	id := c.id
	c.crash()
	c.h.asked++
	r := ShareHeartbeatRequest{Group: "s", Member: id, Epoch: LeaveEpoch}
	c.h.run(c.h.m.ShareHeartbeat(c.h.now, r, func(ShareHeartbeatReply) { c.h.answered++ }))
}

func (c *sharer) act() {
	switch n := c.h.rand.IntN(30); {
	case n == 0:
		c.crash()
	case n == 1:
		c.leave()
	case n == 2:
		c.say, c.topics = true, [][]string{{"a"}, {"a", "b"}}[c.h.rand.IntN(2)]
	default:
		c.beat()
	}
}

// beat is a heartbeat. Of the answers one in some is lost: the client says everything again.
func (c *sharer) beat() {
	if c.asking {
		return
	}
	r := ShareHeartbeatRequest{Group: "s", Member: c.id, Epoch: c.epoch, ClientID: c.id, ClientHost: "/h"}
	if c.say || !c.joined {
		r.Topics = c.topics
	}
	c.asking, c.say = true, false
	c.h.asked++
	life, lost := c.life, !c.h.quiet && c.h.rand.IntN(12) == 0
	c.h.run(c.h.m.ShareHeartbeat(c.h.now, r, func(o ShareHeartbeatReply) {
		c.h.answered++
		if life != c.life {
			return
		}
		c.asking = false
		switch {
		case lost:
			c.say = true
		case o.Err == nil:
			c.hear(&o)
		case errors.Is(o.Err, ErrFencedMemberEpoch), errors.Is(o.Err, ErrUnknownMember), errors.Is(o.Err, ErrGroupNotFound):
			c.epoch, c.joined, c.owns = 0, false, nil
		case errors.Is(o.Err, errRefused), errors.Is(o.Err, ErrNotCoordinator), errors.Is(o.Err, ErrGroupMaxSize):
			c.say = true
		default:
			c.h.fail("%s: %v", c.id, o.Err)
		}
	}))
}

func (c *sharer) hear(o *ShareHeartbeatReply) {
	if o.Epoch < c.epoch {
		c.h.fail("%s goes from epoch %d to %d", c.id, c.epoch, o.Epoch)
	}
	c.epoch, c.joined = o.Epoch, true
	if !o.Assigned {
		return
	}
	c.owns = o.Assignment
	for t, n := range c.owns.All() {
		if _, ok := c.h.state[partition{t, n}]; !ok {
			c.h.fail("%s has %d:%d, which has not begun", c.id, t[0], n)
		}
	}
}
