package group

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
)

// streamsHistory is one of instances of an application, which are slow, too, while topics grow, come and go and standbys are asked for, and what must not
// happen there.
type streamsHistory struct {
	*history
	clients            []*stream
	names, grown       int
	session, rebalance time.Duration
	tenures            map[streams.TaskID]tenure
}

// stream is a client. It gives up what it has when it has not been heard of, or has not done what it was told to, for so long that others may be told that
// they have it.
type stream struct {
	h       *streamsHistory
	id      string
	process string
	life    int // what answers an earlier one is not heard
	asking  bool
	lastAsk time.Time
	heardAt time.Time // when it asked what was answered last

	epoch         int32
	previous      int32 // that it has heard of; 0: none
	joined        bool
	say           bool // everything: it has missed an answer, or has done what it was told to
	active, other map[streams.TaskID]bool
	given         map[streams.TaskID]int32 // of those that it runs as active: the epoch in which it heard of them
	want          *streams.Tasks           // what it is to have, and has not yet; nil: it has
	since         time.Time                // that it is to give up something, and to have said so; zero: it is not
	still         int                      // heartbeats without news
	stubborn      bool                     // it gives nothing up before it is told that it is no member any more
	zombie        *streamsZombie           // a commit of what it had, which is late
	stray         *StreamsHeartbeatRequest // a heartbeat that it has sent again since, and that is on its way still
}

// TestG2Streams: no task is run as active by two members at once, as they see it, nor twice in a process; nobody's epoch goes back, nor the group's; everybody is answered
// once; and when the faults end every task has somebody who runs it, and as many standbys as there are processes for.
func TestG2Streams(t *testing.T) {
	play(*seeds/3, 300, func(seed uint64) (*history, func(), func()) {
		h := newStreamsHistory(t, seed)
		return h.history, h.step, h.calm
	})
}

// twoParts reads a and b, writes r, and reads that with a state.
func twoParts() *schema.StreamsTopology {
	return args{"top": "0:a+b+>r/1:<r+!s"}.topology(0)
}

func newStreamsHistory(t *testing.T, seed uint64) *streamsHistory {
	h := &streamsHistory{history: newHistory(t, 3, seed), session: 5 * time.Second, rebalance: 12 * time.Second, tenures: make(map[streams.TaskID]tenure)}
	h.config.Streams = StreamsConfig{
		Session: h.session, MinSession: time.Millisecond, Heartbeat: time.Second, MinHeartbeat: time.Millisecond, MaxSize: 2 + h.rand.IntN(6), MaxStandbys: 2,
		Standbys: h.rand.IntN(3), InitialDelay: time.Duration(h.rand.IntN(2)) * 3 * time.Second, AssignmentInterval: time.Duration(h.rand.IntN(2)) * time.Second,
	}
	h.image = image.New("c")
	h.change(command.Add(&command.AddNode{NodeId: 1, IncarnationId: make([]byte, 16), DirectoryId: make([]byte, 16)}))
	h.change(topicOf("a", 1, 3+h.rand.IntN(3))) // never fewer than b, so that internal topics are as large as they are to be
	h.change(topicOf("b", 2, 1+h.rand.IntN(3)))
	h.Begin()
	for range 2 + h.rand.IntN(4) {
		c := &stream{h: h}
		c.crash()
		h.clients = append(h.clients, c)
	}
	return h
}

func (h *streamsHistory) step() {
	switch n := h.rand.IntN(100); {
	case n < 72:
		h.clients[h.rand.IntN(len(h.clients))].act()
	case n < 85:
		h.pass(time.Duration(h.rand.IntN(2000)) * time.Millisecond)
	case n < 86:
		h.pass(20 * time.Second)
	case n < 88:
		h.grow()
	case n < 89:
		h.config.Streams.Standbys = h.rand.IntN(3)
		h.m.Config = h.config
	default:
		h.falter()
	}
	h.exclusive()
	h.epochs()
}

func (h *streamsHistory) pass(t time.Duration) {
	for end := h.now.Add(t); h.now.Before(end); {
		h.advance(min(end.Sub(h.now), 500*time.Millisecond))
		h.exclusive()
	}
}

// grow adds partitions to b, or deletes it or an internal topic, or makes it again.
func (h *streamsHistory) grow() {
	h.grown++
	switch n := h.rand.IntN(4); {
	case h.image.Topic("b") == nil:
		h.alter(topicOf("b", byte(10+h.grown), 1+h.rand.IntN(3)))
	case n == 0:
		h.alter(command.Delete(h.image.Topic("b").ID))
	case n == 1 && h.image.Topic("s") != nil:
		h.alter(command.Delete(h.image.Topic("s").ID))
	case len(h.image.Topic("b").Partitions) < len(h.image.Topic("a").Partitions):
		t := h.image.Topic("b")
		h.alter(command.Assign(t.ID, int32(len(t.Partitions)), []*command.Assignment{{Replicas: []int32{1}, Leader: 1}}))
	}
}

func (h *streamsHistory) alter(c *command.Command) {
	d := h.change(c)
	h.run(h.m.OnImage(h.now, h.image, d))
}

// create makes the internal topics that somebody was told of.
func (h *streamsHistory) create(missing []streams.NewTopic) {
	for _, t := range missing {
		if h.image.Topic(t.Name) == nil && (h.quiet || h.rand.IntN(3) > 0) {
			h.grown++
			h.alter(topicOf(t.Name, byte(10+h.grown), int(t.Partitions)))
		}
	}
}

func (h *streamsHistory) epochs() {
	var e streamsEpochs
	if g := h.m.groups["k"]; g != nil && g.streams != nil {
		e, _ = g.streams.epochs.Settled(struct{}{})
	}
	h.stands(e.exists, e.group, e.target)
}

// exclusive: G2, as members see it.
func (h *streamsHistory) exclusive() {
	active, process := make(map[streams.TaskID]*stream), make(map[string]*stream)
	for _, c := range h.clients {
		if c.outlived(); c.overstays() {
			continue
		}
		for t := range c.active {
			if other := active[t]; other != nil {
				h.fail("G2: %s and %s both run %v", other.id, c.id, t)
			}
			active[t] = c
		}
		all := maps.Clone(c.active)
		if all == nil {
			all = make(map[streams.TaskID]bool)
		}
		maps.Copy(all, c.other)
		for t := range all {
			at := fmt.Sprint(c.process, t)
			if other := process[at]; other != nil {
				h.fail("%s and %s run %v in process %s", other.id, c.id, t, c.process)
			}
			process[at] = c
		}
	}
}

// calm: nobody goes: every task is run.
func (h *streamsHistory) calm() {
	if h.image.Topic("b") == nil {
		h.alter(topicOf("b", 200, 1))
	}
	h.config.Streams.MaxSize = 0
	h.m.Config = h.config
	for _, c := range h.clients {
		c.stubborn = h.rand.IntN(4) == 0
	}
	failover := h.rand.IntN(8)
	for i := range 200 {
		if i == failover {
			h.reload()
		}
		still := i > 10
		for _, c := range h.clients {
			c.outlived()
			c.obey()
			c.beat()
			still = still && c.joined && c.want == nil && c.still > 8
		}
		if h.exclusive(); still {
			h.complete()
			return
		}
		h.advance(time.Second)
	}
	h.fail("the group does not become stable")
}

func (h *streamsHistory) complete() {
	active, standby, processes := make(map[streams.TaskID]int), make(map[streams.TaskID]int), make(map[string]bool)
	for _, c := range h.clients {
		processes[c.process] = true
		for t := range c.active {
			active[t]++
		}
		for t := range c.other {
			standby[t]++
		}
	}
	n := max(len(h.image.Topic("a").Partitions), len(h.image.Topic("b").Partitions))
	for i := range n {
		for _, t := range []streams.TaskID{{Subtopology: "0", Partition: int32(i)}, {Subtopology: "1", Partition: int32(i)}} {
			want := 0
			if t.Subtopology == "1" {
				want = min(h.config.Streams.Standbys, len(processes)-1)
			}
			if active[t] != 1 || standby[t] != want {
				h.fail("%v is run %d times, and followed %d times instead of %d", t, active[t], standby[t], want)
			}
		}
	}
	if len(active) != 2*n {
		h.fail("%d tasks are run, there are %d", len(active), 2*n)
	}
}

func (c *stream) crash() {
	c.haunt()
	c.h.names++
	c.id, c.process = fmt.Sprintf("m%d", c.h.names), fmt.Sprintf("p%d", c.h.rand.IntN(3))
	c.lost()
}

// lost is a member that is told that it is none: it starts anew, with its ID.
func (c *stream) lost() {
	c.life++
	c.asking, c.joined, c.say, c.epoch, c.want, c.since, c.still, c.stubborn = false, false, true, 0, nil, time.Time{}, 0, false
	c.active, c.other, c.given = make(map[streams.TaskID]bool), make(map[streams.TaskID]bool), make(map[streams.TaskID]int32)
}

// outlived gives up everything in time.
func (c *stream) outlived() {
	if c.joined && c.h.now.Sub(c.lastAsk) >= c.h.session || c.overdue() && !c.stubborn {
		c.haunt()
		c.lost()
	}
}

// overdue tells whether it is to have given up something by now.
func (c *stream) overdue() bool { return !c.since.IsZero() && c.h.now.Sub(c.since) >= c.h.rebalance }

// overstays tells whether others may have what it runs, as it does not care.
func (c *stream) overstays() bool { return c.stubborn && c.overdue() }

func (c *stream) act() {
	switch n := c.h.rand.IntN(40); {
	case n == 0:
		c.crash()
	case n == 1:
		c.leave()
	case n < 4 && c.zombie != nil:
		c.late()
	case n < 6:
		c.commit()
	case n < 8:
		c.strays()
	default:
		if c.h.rand.IntN(2) == 0 {
			c.obey()
		}
		c.beat()
	}
}

// obey runs what it is to run, and stops the rest.
func (c *stream) obey() {
	if c.want == nil || c.stubborn && !c.since.IsZero() {
		return
	}
	active, other := make(map[streams.TaskID]bool), make(map[streams.TaskID]bool)
	for _, t := range c.want.Active {
		active[t] = true
	}
	for _, t := range c.want.Standby {
		other[t] = true
	}
	for t := range c.active {
		if !active[t] {
			c.zombie = c.asZombie(t)
			delete(c.given, t)
		}
	}
	for t := range active {
		if !c.active[t] {
			c.given[t] = c.epoch
			c.h.begins(t, c.id)
		}
	}
	c.active, c.other, c.want, c.say = active, other, nil, true
}

func listed(tasks map[streams.TaskID]bool) []streams.TaskID {
	return append([]streams.TaskID{}, inOrder(slices.Collect(maps.Keys(tasks)))...)
}

// beat is a heartbeat. Of the answers one in some is lost: the client says everything again.
func (c *stream) beat() {
	if c.asking {
		return
	}
	r := StreamsHeartbeatRequest{Group: "k", Member: c.id, Epoch: c.epoch, RebalanceMs: -1, ClientID: c.id, ClientHost: "/h"}
	if c.say || !c.joined {
		r.RebalanceMs, r.Process = int32(c.h.rebalance.Milliseconds()), &c.process
		r.Active, r.Standby, r.Warmup = listed(c.active), listed(c.other), []streams.TaskID{}
	}
	if !c.joined {
		r.Epoch, r.Topology = JoinEpoch, twoParts()
		c.epoch = 0
	}
	before, obeys := c.lastAsk, r.Active != nil && c.want == nil
	c.asking, c.say, c.lastAsk = true, false, c.h.now
	if c.joined && c.h.rand.IntN(4) == 0 {
		c.stray = &r
	}
	c.h.asked++
	life, joins, lost := c.life, !c.joined, !c.h.quiet && c.h.rand.IntN(12) == 0
	c.h.run(c.h.m.StreamsHeartbeat(c.h.now, r, func(o StreamsHeartbeatReply) {
		c.h.answered++
		if life != c.life {
			return
		}
		c.asking = false
		if errors.Is(o.Err, ErrFencedMemberEpoch) {
			c.lastAsk = before // who is refused does not keep its session, whether it hears so or not
		}
		switch {
		case lost:
			c.say = true
		case o.Err == nil:
			if obeys {
				c.since = time.Time{}
			}
			c.hear(&o, joins)
		case errors.Is(o.Err, ErrFencedMemberEpoch), errors.Is(o.Err, ErrUnknownMember), errors.Is(o.Err, ErrGroupNotFound), errors.Is(o.Err, ErrInvalidRequest):
			c.haunt() // of tasks that there are no more, or of which it is told that it has none
			c.lost()
		case errors.Is(o.Err, errRefused), errors.Is(o.Err, ErrNotCoordinator), errors.Is(o.Err, ErrGroupMaxSize):
			c.say = true
		default:
			c.h.fail("%s: %v", c.id, o.Err)
		}
	}))
}

func (c *stream) hear(o *StreamsHeartbeatReply, joins bool) {
	if !joins && o.Epoch < c.epoch {
		c.h.fail("%s goes from epoch %d to %d", c.id, c.epoch, o.Epoch)
	}
	c.still++
	if o.Epoch != c.epoch || o.Assigned || len(o.Create) > 0 {
		c.still = 0
	}
	if joins {
		c.previous = 0
	} else if o.Epoch != c.epoch {
		c.previous = c.epoch
	}
	c.epoch, c.joined = o.Epoch, true
	if o.Assigned {
		c.want = &o.Tasks
		gives := len(c.active) + len(c.other)
		for _, t := range o.Tasks.Active {
			if c.active[t] {
				gives--
			}
		}
		for _, t := range o.Tasks.Standby {
			if c.other[t] {
				gives--
			}
		}
		if gives == 0 { // it takes at once what it is told that it has: the next answer may be lost, and who says that it has not taken it yet lets go of it
			c.obey()
		} else if c.since.IsZero() {
			c.since = c.heardAt // the coordinator's time may have begun with an answer that was lost
		}
	}
	c.heardAt = c.lastAsk
	c.h.create(o.Create)
}

func (c *stream) leave() {
	id := c.id
	c.crash()
	c.h.asked++
	r := StreamsHeartbeatRequest{Group: "k", Member: id, Epoch: LeaveEpoch, RebalanceMs: -1}
	c.h.run(c.h.m.StreamsHeartbeat(c.h.now, r, func(StreamsHeartbeatReply) { c.h.answered++ }))
}
