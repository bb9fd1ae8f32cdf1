package group

import (
	"fmt"
	"testing"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
)

// mixedHistory is one of clients of both protocols, which are slow, too, while topics grow, and what must not happen there.
type mixedHistory struct {
	*history
	clients            []*mixed
	uuid               int
	session, rebalance time.Duration
	gone               bool // the group has ceased to be one of the new protocol: the next one may begin anew
	grown              int
}

// TestG2Consumer: no partition is had by two members at once, as they see it; nobody's epoch goes back; everybody is answered once; and when
// the faults end all partitions have an owner. Of every third history all members are of the new protocol; the others migrate.
func TestG2Consumer(t *testing.T) {
	play(*seeds/3, 250, func(seed uint64) (*history, func(), func()) {
		h := newMixedHistory(t, seed)
		return h.history, h.step, h.calm
	})
}

func newMixedHistory(t *testing.T, seed uint64) *mixedHistory {
	h := &mixedHistory{history: newHistory(t, 1, seed), session: 5 * time.Second, rebalance: 16 * time.Second}
	h.config.MinSessionMs = 1
	h.config.Consumer = ConsumerConfig{
		Session: h.session, MinSession: time.Millisecond, Assignors: defaultAssignors, RegexRefresh: time.Minute, MaxSize: 5 + h.rand.IntN(8),
	}
	if h.rand.IntN(3) == 0 {
		h.config.Consumer.AssignmentInterval = time.Second
	}
	if h.rand.IntN(2) == 0 {
		h.config.Consumer.Assignors = []string{"range", "uniform"}
	}
	h.image = image.New("c")
	h.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	h.change(topicOf("a", 1, 4))
	h.change(topicOf("b", 2, 3))
	h.Begin()
	h.written = func(r schema.Record) {
		if e, ok := r.(*schema.ConsumerGroupEpoch); ok && e.Value == nil {
			h.gone = true
		}
	}
	cooperates := h.rand.IntN(2) == 0
	for i := range 2 + h.rand.IntN(4) {
		c := &mixed{h: h, name: fmt.Sprintf("c%d", i), topics: []string{"a"}, cooperates: cooperates}
		if h.rand.IntN(3) == 0 {
			c.instance = &c.name
		}
		c.classic = seed%3 != 0 && h.rand.IntN(2) == 0
		c.crash()
		h.clients = append(h.clients, c)
	}
	return h
}

func (h *mixedHistory) step() {
	switch n := h.rand.IntN(100); {
	case n < 75:
		h.clients[h.rand.IntN(len(h.clients))].act()
	case n < 88:
		h.pass(time.Duration(h.rand.IntN(2000)) * time.Millisecond)
	case n < 89:
		h.pass(20 * time.Second)
	case n < 91:
		h.grow()
	case n < 92 && h.mayMigrate():
		h.migrate()
	default:
		h.falter()
	}
	h.exclusive()
	h.epochs()
}

func (h *mixedHistory) mayMigrate() bool {
	for _, c := range h.clients {
		if c.classic {
			return true
		}
	}
	return false
}

// migrate starts a client anew with the other protocol.
func (h *mixedHistory) migrate() {
	c := h.clients[h.rand.IntN(len(h.clients))]
	if c.joined && h.rand.IntN(2) == 0 && !c.asking {
		c.leave()
	}
	c.classic = !c.classic
	c.topics, c.regex = []string{"a"}, nil
	c.crash()
}

func (h *mixedHistory) pass(t time.Duration) {
	for end := h.now.Add(t); h.now.Before(end); {
		h.advance(min(end.Sub(h.now), 500*time.Millisecond))
		h.exclusive()
	}
}

// grow adds partitions, or makes or deletes the topic that only patterns match.
func (h *mixedHistory) grow() {
	var c *command.Command
	switch topic := h.image.Topic("c"); {
	case h.rand.IntN(2) == 0 && h.grown < 6:
		t := h.image.Topic([]string{"a", "b"}[h.rand.IntN(2)])
		c = command.Assign(t.ID, int32(len(t.Partitions)), []*command.Assignment{{Replicas: []int32{1}, Leader: 1}})
	case topic == nil:
		c = topicOf("c", byte(10+h.grown), 2)
	default:
		c = command.Delete(topic.ID)
	}
	h.grown++
	d := h.change(c)
	h.run(h.m.OnImage(h.now, h.image, d))
}

func topicOf(name string, id byte, partitions int) *command.Command {
	c := newTopic(name, id)
	for range partitions - 1 {
		t := c.GetCreateTopic()
		t.Assignments = append(t.Assignments, t.Assignments[0])
	}
	return c
}

func (h *mixedHistory) epochs() {
	if h.gone {
		h.epoch, h.gone = 0, h.Watermark < h.end()
		return
	}
	var e epochs
	if g := h.m.groups["g"]; g != nil && g.consumer != nil {
		e, _ = g.consumer.epochs.Settled(struct{}{})
	}
	h.stands(e.exists, e.group, e.target)
}

// calm: nobody goes: all partitions that somebody is subscribed to have an owner.
func (h *mixedHistory) calm() {
	for i := range 300 {
		calm := i > 10
		for _, c := range h.clients {
			c.outlived()
			c.next()
			calm = calm && c.joined && (!c.classic || c.synced) && c.quiet > 8
		}
		if h.exclusive(); calm {
			h.complete()
			return
		}
		h.advance(time.Second)
	}
	for _, c := range h.clients {
		h.out.WriteString(c.String() + "\n")
	}
	h.fail("the group does not become stable")
}

// complete: G2.
func (h *mixedHistory) complete() {
	owned := make(map[partition]bool)
	wanted := map[string]bool{}
	for _, c := range h.clients {
		for t, n := range c.owns.All() {
			owned[partition{t, n}] = true
		}
		for t := range h.image.Topics() {
			named := len(c.topics) > 0 && (t.Name == "a" || t.Name == "b" && len(c.topics) > 1)
			if c.regex != nil {
				re, _ := compile(*c.regex)
				named = re.MatchString(t.Name)
			}
			wanted[t.Name] = wanted[t.Name] || named
		}
	}
	for t := range h.image.Topics() {
		for n := range t.Partitions {
			if p := (partition{t.ID, int32(n)}); wanted[t.Name] != owned[p] {
				h.fail("G2: %s-%d: wanted %t, owned %t\n%v", t.Name, n, wanted[t.Name], owned[p], h.clients)
			}
		}
	}
}
