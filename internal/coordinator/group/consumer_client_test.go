package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/model"
)

// mixed is a client of either protocol, as the libraries have it. It gives up what it has when it has not been heard of, or has not done
// what it was told to, for so long that others may be told that they have it.
type mixed struct {
	h        *mixedHistory
	name     string
	instance *string
	classic  bool
	life     int // what answers an earlier one is not heard
	asking   bool
	lastAsk  time.Time

	id         string
	epoch      int32 // of the new protocol, or the generation
	joined     bool
	owns       assign.Partitions
	say        bool // everything, with the next heartbeat: it has missed an answer, or has changed
	topics     []string
	regex      *string
	want       assign.Partitions // while it gives up something first
	since      time.Time         // that; zero: it does not
	told       time.Time         // a classic one to join again, and has not been a member of a generation since; zero: it is
	synced     bool
	members    []JoinedMember // of a leader
	assigned   int            // partitions that a leader has assigned; -1: it does not lead
	quiet      int
	cooperates bool
	zombie     *zombie                   // a commit of what it had, which is late
	stray      *ConsumerHeartbeatRequest // a heartbeat that it has sent again since, and that is on its way still
}

// zombie is a client as it was when it had a partition.
type zombie struct {
	id    string
	epoch int32
	topic model.TopicID
	n     int32
}

func (c *mixed) crash() {
	c.haunt(c.owns)
	c.life++
	c.asking, c.joined, c.owns, c.epoch, c.since, c.told, c.synced, c.members, c.quiet = false, false, nil, 0, time.Time{}, time.Time{}, false, nil, 0
	if c.id = ""; !c.classic {
		c.h.uuid++
		c.id = fmt.Sprintf("%s-%d", c.name, c.h.uuid)
	}
}

// lost is a member that is told that it is none: it starts anew, with its ID.
func (c *mixed) lost() {
	id := c.id
	c.crash()
	if !c.classic {
		c.id = id
	}
}

// outlived gives up everything in time.
func (c *mixed) outlived() {
	if c.waits() {
		c.lastAsk = c.h.now
		if !c.told.IsZero() {
			c.told = c.h.now
		}
	}
	switch now := c.h.now; {
	case !c.joined && !c.asking && len(c.owns) == 0:
	case now.Sub(c.lastAsk) >= c.h.session, !c.since.IsZero() && now.Sub(c.since) >= c.h.rebalance, !c.told.IsZero() && now.Sub(c.told) >= c.h.rebalance/2:
		c.crash()
	}
}

// waits tells whether a classic group lets a client wait: it has no session meanwhile.
func (c *mixed) waits() bool {
	g := c.h.m.groups["g"]
	if !c.asking || g == nil || g.classic == nil {
		return false
	}
	mem := g.classic.byID[c.id]
	if c.instance != nil {
		mem = g.classic.byInstance[*c.instance]
	}
	return mem != nil && (mem.join != nil || mem.sync != nil)
}

// ask returns whether the answer is heard; one in some is lost on its way.
func (c *mixed) ask() func() bool {
	c.h.asked++
	c.asking, c.lastAsk = true, c.h.now
	life, answered, missed := c.life, false, !c.h.quiet && c.h.rand.IntN(12) == 0
	return func() bool {
		if answered {
			c.h.fail("%s is answered twice", c.name)
		}
		answered = true
		c.h.answered++
		if life != c.life {
			return false
		}
		if c.asking = false; missed {
			c.missed()
		}
		return !missed
	}
}

func (c *mixed) missed() {
	if c.quiet, c.say = 0, true; c.classic && !c.synced {
		c.joined = false
	}
}

func (c *mixed) act() {
	if c.asking {
		return
	}
	switch n := c.h.rand.IntN(100); {
	case n < 3:
		c.crash()
	case n < 6 && c.joined:
		c.leave()
	case n < 12 && c.joined && len(c.owns) > 0:
		c.commit()
	case n < 15 && !c.classic:
		c.subscribe()
	case n < 20 && c.zombie != nil:
		c.late()
	case n < 23:
		c.strays()
	case n < 35 && !c.since.IsZero(): // slow
		c.beat(nil)
	default:
		c.next()
	}
}

// next is what a client does that nothing happens to.
func (c *mixed) next() {
	switch {
	case c.asking:
	case !c.classic:
		if !c.since.IsZero() {
			c.haunt(c.owns.Minus(c.want))
			c.owns, c.since = c.want, time.Time{}
			c.say = true
		}
		c.heartbeat()
	case !c.joined:
		c.join()
	case !c.synced:
		c.sync()
	case c.assigned >= 0 && c.assigned != len(c.h.image.Topic("a").Partitions): // a leader notices
		c.quiet = 0
		c.join()
	default:
		c.heartbeatClassic()
	}
}

func (c *mixed) subscribe() {
	c.say, c.regex = true, nil
	switch c.h.rand.IntN(3) {
	case 0:
		c.topics = []string{"a"}
	case 1:
		c.topics = []string{"a", "b"}
	default:
		p := []string{"a|b", "[ac]", "."}[c.h.rand.IntN(3)]
		c.topics, c.regex = []string{}, &p
	}
}

func (c *mixed) heartbeat() {
	if !c.joined {
		c.beat(assign.Partitions{})
		return
	}
	if c.say || c.h.rand.IntN(4) == 0 {
		c.beat(c.owns)
		return
	}
	c.beat(nil)
}

// beat says what the client has, or, with nil, that it lives.
func (c *mixed) beat(owned assign.Partitions) {
	r := ConsumerHeartbeatRequest{Group: "g", Member: c.id, Epoch: c.epoch, Instance: c.instance, RebalanceMs: -1, ClientID: c.name, ClientHost: "/h"}
	if owned != nil || c.say || !c.joined {
		r.Owned = append([]assign.TopicPartitions{}, c.owns...)
		none := ""
		if r.RebalanceMs, r.Topics, r.Regex = int32(c.h.rebalance.Milliseconds()), c.topics, &none; c.regex != nil {
			r.Regex = c.regex
		}
		c.say = false
	}
	if c.joined && r.Owned != nil && c.h.rand.IntN(2) == 0 {
		old := r
		old.RebalanceMs, old.Topics, old.Regex = -1, nil, nil // what it is subscribed to is another matter
		c.stray = &old
	}
	before, life := c.lastAsk, c.life
	heard := c.ask()
	joins := c.epoch == 0
	c.h.run(c.h.m.ConsumerHeartbeat(c.h.now, r, func(o ConsumerHeartbeatReply) {
		if errors.Is(o.Err, ErrFencedMemberEpoch) && life == c.life {
			c.lastAsk = before // who is refused does not keep its session, whether it hears so or not
		}
		switch {
		case !heard():
		case o.Err == nil:
			c.beaten(&o, joins)
		case errors.Is(o.Err, ErrFencedMemberEpoch) || errors.Is(o.Err, ErrUnknownMember) || errors.Is(o.Err, ErrGroupNotFound) || errors.Is(o.Err, ErrFencedInstance):
			c.lost()
		case errors.Is(o.Err, ErrUnreleasedInstance), errors.Is(o.Err, ErrGroupMaxSize), errors.Is(o.Err, errRefused), errors.Is(o.Err, ErrNotCoordinator):
			c.say, c.quiet = true, 0
		default:
			c.h.fail("%s: %v", c.name, o.Err)
		}
	}))
}

// strays has an old heartbeat arrive, whose answer is not heard. Only one of an epoch before can be told from one that counts.
func (c *mixed) strays() {
	r := c.stray
	if c.stray = nil; r == nil || r.Member == c.id && r.Epoch >= c.epoch {
		return
	}
	c.h.asked++
	c.h.run(c.h.m.ConsumerHeartbeat(c.h.now, *r, func(ConsumerHeartbeatReply) { c.h.answered++ }))
}

func (c *mixed) beaten(o *ConsumerHeartbeatReply, joins bool) {
	if !joins && o.Epoch < c.epoch {
		c.h.fail("%s goes from epoch %d to %d", c.name, c.epoch, o.Epoch)
	}
	c.epoch, c.joined = o.Epoch, true
	switch {
	case !o.Assigned:
		c.quiet++
	case o.Assignment.Equal(c.owns) && c.since.IsZero():
		c.quiet++
	case len(c.owns.Minus(o.Assignment)) > 0:
		if c.quiet = 0; c.since.IsZero() {
			c.since = c.h.now
		}
		c.want = o.Assignment
	default:
		c.quiet, c.owns, c.since, c.say = 0, o.Assignment, time.Time{}, true
	}
	c.h.exclusive()
}

func (c *mixed) leave() {
	if c.classic {
		r := LeaveRequest{Group: "g", Members: []LeavingMember{{c.id, c.instance}}}
		c.crash()
		heard := c.ask()
		c.asking = false
		c.h.run(c.h.m.Leave(c.h.now, r, func(LeaveReply) { heard() }))
		return
	}
	r := ConsumerHeartbeatRequest{Group: "g", Member: c.id, Epoch: LeaveEpoch, Instance: c.instance, RebalanceMs: -1}
	if c.instance != nil && c.h.rand.IntN(2) == 0 {
		r.Epoch = StaticLeaveEpoch
	}
	c.crash()
	heard := c.ask()
	c.asking = false
	c.h.run(c.h.m.ConsumerHeartbeat(c.h.now, r, func(ConsumerHeartbeatReply) { heard() }))
}

// commit: G2: not what somebody else has been told that it has.
func (c *mixed) commit() {
	p := c.owns[c.h.rand.IntN(len(c.owns))]
	t := c.h.image.TopicByID(p.Topic)
	if t == nil {
		return
	}
	n := p.Partitions[c.h.rand.IntN(len(p.Partitions))]
	r := CommitRequest{Group: "g", Member: c.id, Generation: c.epoch, Instance: c.instance, RetentionMs: -1,
		Offsets: []CommitOffset{{TopicPartition: model.TopicPartition{Topic: t.Name, Partition: n}, TopicID: t.ID, Offset: 1}}}
	c.h.asked++
	c.h.run(c.h.m.Commit(c.h.now, r, func(CommitReply) { c.h.answered++ }))
}

// haunt remembers a partition that the client gives up.
func (c *mixed) haunt(lost assign.Partitions) {
	for t, n := range lost.All() {
		c.zombie = &zombie{c.id, c.epoch, t, n}
		return
	}
}

// late commits what a client had before, as a request that was long on its way. G2: it fails once another one has been told that it has it,
// but for a member that is still at that epoch: those commit what they like, as in Kafka.
func (c *mixed) late() {
	z := c.zombie
	t := c.h.image.TopicByID(z.topic)
	if t == nil {
		return
	}
	var owner *mixed
	for _, other := range c.h.clients {
		if other.owns.Contains(z.topic, z.n) && (other != c || c.id != z.id) {
			owner = other
		}
	}
	if g := c.h.m.groups["g"]; g.isConsumer() && g.consumer.has(z.id).epoch == z.epoch {
		owner = nil
	}
	r := CommitRequest{Group: "g", Member: z.id, Generation: z.epoch, Instance: c.instance, RetentionMs: -1,
		Offsets: []CommitOffset{{TopicPartition: model.TopicPartition{Topic: t.Name, Partition: z.n}, TopicID: t.ID, Offset: 1}}}
	c.h.asked++
	c.h.run(c.h.m.Commit(c.h.now, r, func(o CommitReply) {
		if c.h.answered++; o.Err == nil && owner != nil {
			c.h.fail("G2: %+v of %s commits what %s has", *z, c, owner)
		}
	}))
}

// Of classic clients.

func (c *mixed) metadata() []byte {
	named := c.h.m.named(c.owns)
	b := binary.BigEndian.AppendUint16(nil, 3)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = append(binary.BigEndian.AppendUint16(b, 1), 'a')
	b = binary.BigEndian.AppendUint32(b, 0xffffffff)
	owned := appendAssignment(nil, 0, named)
	b = append(b, owned[2:len(owned)-4]...)
	b = binary.BigEndian.AppendUint32(b, uint32(c.epoch))
	return binary.BigEndian.AppendUint16(b, 0xffff)
}

func (c *mixed) join() {
	if !c.cooperates {
		c.owns = nil
	}
	c.h.uuid++
	r := JoinRequest{
		Group: "g", Member: c.id, Instance: c.instance, ClientID: c.name, SessionMs: int32(c.h.session.Milliseconds()), RebalanceMs: int32(c.h.rebalance.Milliseconds()),
		ProtocolType: consumerProtocol, Protocols: []Protocol{{"p", c.metadata()}}, NeedsID: true, CanSkip: true, UUID: fmt.Sprint(c.h.uuid),
	}
	if c.told.IsZero() {
		c.told = c.h.now
	}
	heard := c.ask()
	c.h.run(c.h.m.Join(c.h.now, r, func(o JoinReply) {
		switch {
		case !heard():
		case o.Err == ErrMemberIDRequired:
			c.id = o.Member
		case o.Err != nil:
			c.failed(o.Err)
		default:
			c.id, c.epoch, c.joined, c.synced, c.members = o.Member, o.Generation, true, false, nil
			if c.assigned = -1; o.Leader == o.Member {
				c.assigned = 0
			}
			if o.Leader == o.Member && !o.SkipAssignment {
				c.members, c.assigned = o.Members, len(c.h.image.Topic("a").Partitions)
			}
		}
	}))
}

func (c *mixed) failed(err error) {
	switch c.quiet = 0; {
	case err == ErrUnknownMember || err == ErrFencedInstance || err == ErrIllegalGeneration || err == ErrGroupMaxSize:
		c.lost()
	case err == ErrRebalance:
		if c.told.IsZero() {
			c.told = c.h.now
		}
		c.joined = false
	case errors.Is(err, errRefused) || errors.Is(err, ErrNotCoordinator):
		c.joined = c.joined && c.synced
	case err == ErrInconsistentProtocol: // the group was left as it is, and is of another kind
		c.lost()
	default:
		c.h.fail("%s: %v", c.name, err)
	}
}

func (c *mixed) sync() {
	r := SyncRequest{Group: "g", Member: c.id, Instance: c.instance, Generation: c.epoch}
	for i, b := range c.shares() {
		r.Assignments = append(r.Assignments, Assignment{c.members[i].Member, b})
	}
	before, life := c.lastAsk, c.life
	heard := c.ask()
	c.h.run(c.h.m.Sync(c.h.now, r, func(o SyncReply) {
		if o.Err == ErrIllegalGeneration && life == c.life {
			c.lastAsk = before
		}
		if !heard() {
			return
		}
		if o.Err != nil {
			c.failed(o.Err)
			return
		}
		named, ok := parseAssignment(o.Assignment)
		if !ok {
			c.h.fail("%x is no assignment", o.Assignment)
		}
		mine := c.h.m.byTopicID(named)
		c.haunt(c.owns.Minus(mine))
		gaveUp := len(c.owns.Minus(mine)) > 0
		c.owns, c.synced, c.told, c.quiet = mine, true, time.Time{}, 0
		if c.joined = !gaveUp; gaveUp {
			c.told = c.h.now
		}
		c.h.exclusive()
	}))
}

// shares is what a leader gives to each: what another one has is free in the next generation only.
func (c *mixed) shares() (out [][]byte) {
	if len(c.members) == 0 {
		return nil
	}
	owner := make(map[partition]int)
	for i, m := range c.members {
		sub, _ := parseSubscription(m.Metadata)
		for t, n := range c.h.m.byTopicID(sub.owned).All() {
			owner[partition{t, n}] = i
		}
	}
	topic := c.h.image.Topic("a")
	mine := make([][]int32, len(c.members))
	for n := range topic.Partitions {
		to := n % len(c.members)
		if had, ok := owner[partition{topic.ID, int32(n)}]; !ok || had == to {
			mine[to] = append(mine[to], int32(n))
		}
	}
	for _, p := range mine {
		out = append(out, appendAssignment(nil, 1, []DescribedPartitions{{Topic: "a", Partitions: p}}))
	}
	return out
}

func (c *mixed) heartbeatClassic() {
	r := HeartbeatRequest{Group: "g", Member: c.id, Instance: c.instance, Generation: c.epoch}
	before, life := c.lastAsk, c.life
	heard := c.ask()
	c.h.run(c.h.m.Heartbeat(c.h.now, r, func(err error) {
		if err == ErrIllegalGeneration && life == c.life {
			c.lastAsk = before // who is of another generation does not keep its session, whether it hears so or not
		}
		switch {
		case !heard():
		case err != nil:
			c.failed(err)
		default:
			c.quiet++
		}
	}))
}

// exclusive: G2, as members see it.
func (h *mixedHistory) exclusive() {
	owner := make(map[partition]*mixed)
	for _, c := range h.clients {
		c.outlived()
		for t, n := range c.owns.All() {
			p := partition{t, n}
			if other := owner[p]; other != nil {
				h.fail("G2: %s and %s both have %v", other, c, p)
			}
			owner[p] = c
		}
	}
}

// String shows what a client believes.
func (c *mixed) String() string {
	return fmt.Sprintf("%s (%s, epoch %d, joined %t, classic %t) with %v", c.name, c.id, c.epoch, c.joined, c.classic, c.owns)
}
