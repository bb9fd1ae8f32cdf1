package group

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf16"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// ShareHeartbeat joins a share group, stays in it, or leaves it (KIP-932). A group that does not exist is made for a member that joins; one of
// another kind never becomes a share group. Members have what they are to have at once: it is no harm if others have it as well.
func (m *Machine) ShareHeartbeat(now time.Time, r ShareHeartbeatRequest, reply func(ShareHeartbeatReply)) shard.Result {
	d := m.decide(now)
	g := d.group(r.Group)
	var out ShareHeartbeatReply
	err := r.Check()
	switch {
	case err != nil:
	case g != nil && !g.isShare():
		err = fmt.Errorf("%w: it is not a share group", ErrGroupNotFound)
	case g == nil && r.Epoch != JoinEpoch:
		err = ErrGroupNotFound
	case r.Epoch == LeaveEpoch:
		out, err = d.shareLeave(g, &r)
	case g != nil && d.shareUnchanged(g, &r):
		out = ShareHeartbeatReply{Member: r.Member, Epoch: r.Epoch, HeartbeatMs: int32(m.shares(r.Group).heartbeat().Milliseconds())}
	default:
		if g == nil {
			g = d.opened(r.Group)
		}
		out, err = d.shareBeat(g, &r)
	}
	if err != nil {
		out = out.failed(err)
	}
	told(d, reply, out)
	return d.done(g)
}

// longestID is how long a member's ID may be, in UTF-16 code units: that of a UUID.
const longestID = 36

// Check refuses with ErrInvalidRequest what no member may say to any coordinator.
func (r *ShareHeartbeatRequest) Check() error {
	wrong := ""
	switch {
	case r.Member == "":
		wrong = "the member ID is empty"
	case len(utf16.Encode([]rune(r.Member))) > longestID:
		wrong = "the member ID has more than 36 characters"
	case r.Group == "":
		wrong = "the group ID is empty"
	case r.Rack != nil && *r.Rack == "":
		wrong = "the rack ID is empty"
	case r.Epoch < LeaveEpoch:
		wrong = "there is no such member epoch"
	case r.Epoch == JoinEpoch && len(r.Topics) == 0:
		wrong = "who joins says what it is subscribed to"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalidRequest, wrong)
}

func (d *decision) shareLeave(g *group, r *ShareHeartbeatRequest) (ShareHeartbeatReply, error) {
	if _, ok := g.share.members.Get(r.Member); !ok {
		return ShareHeartbeatReply{}, ErrUnknownMember
	}
	d.expel(g, r.Member)
	return ShareHeartbeatReply{Member: r.Member, Epoch: r.Epoch}, nil
}

// shareUnchanged tells whether a heartbeat says nothing new, and there is nothing new to say. Nearly all are like that.
func (d *decision) shareUnchanged(g *group, r *ShareHeartbeatRequest) bool {
	c := g.share
	mem, ok := c.members.Get(r.Member)
	e := c.at()
	if !ok || r.Topics != nil || e.group != e.target || c.seen != d.m.seen || c.shares.stale || c.shares.due(d.now) {
		return false
	}
	cur := c.has(r.Member)
	if cur.epoch != r.Epoch || !cur.reached(e.target) || mem.ClientID != r.ClientID || mem.ClientHost != r.ClientHost || differs(r.Rack, mem.RackID) {
		return false
	}
	d.alive(g, c, r.Member, d.m.shares(g.id).session())
	return true
}

// shareBeat is a heartbeat of a member that joins, has changed, or is to hear of something.
func (d *decision) shareBeat(g *group, r *ShareHeartbeatRequest) (ShareHeartbeatReply, error) {
	s := d.step(g, d.m.asShare(g))
	s.id = r.Member
	s.before, _ = s.c.members.Get(s.id)
	s.was = s.c.has(s.id)
	before := s.before
	switch {
	case before == nil && r.Epoch != JoinEpoch:
		return ShareHeartbeatReply{}, ErrUnknownMember
	case before == nil && d.m.Config.Share.full(s.c.members.Len()):
		return ShareHeartbeatReply{}, fmt.Errorf("%w: of a share group group.share.max.size", ErrGroupMaxSize)
	case before == nil:
		before = &schema.ConsumerGroupMember{RebalanceTimeoutMs: -1}
	case r.Epoch != JoinEpoch && r.Epoch != s.was.epoch && (r.Epoch != s.was.previous || r.Epoch > s.was.epoch):
		return ShareHeartbeatReply{}, fmt.Errorf("%w (it says %d, the coordinator has %d)", ErrFencedMemberEpoch, r.Epoch, s.was.epoch)
	}
	s.member = r.member(before)
	s.later(func() { d.alive(s.g, s.c, s.id, d.m.shares(g.id).session()) })
	s.share()
	out := ShareHeartbeatReply{Member: s.id, Epoch: s.is.epoch, HeartbeatMs: int32(d.m.shares(g.id).heartbeat().Milliseconds())}
	if r.Epoch == JoinEpoch || r.Topics != nil || !s.is.assigned.Equal(s.was.assigned.Partitions) {
		out.Assigned, out.Assignment = true, s.is.assigned.Partitions
	}
	return out, nil
}

// member is what a member says of itself from now on.
func (r *ShareHeartbeatRequest) member(before *schema.ConsumerGroupMember) *schema.ConsumerGroupMember {
	mem := *before
	mem.ClientID, mem.ClientHost = r.ClientID, r.ClientHost
	if r.Rack != nil {
		mem.RackID = optional(*r.Rack)
	}
	if r.Topics != nil {
		mem.SubscribedTopicNames = names(r.Topics)
	}
	return &mem
}

// share takes a member of a share group to where the group is, and the group to where its subscriptions are: partitions that are new to it begin,
// and are given to members when they have.
func (s *step) share() {
	sh := s.c.shares
	s.subscribe()
	t := s.topics(s.seats())
	topics := s.assignable(&t)
	missing := sh.at().missing(topics)
	asks := len(missing) > 0 && sh.call == nil && !s.d.now.Before(sh.retryAt)
	again := asks && len(missing.And(sh.at().initializing)) > 0 // an earlier call may still come: the next one is of a later epoch
	s.bump = s.bump || again || sh.stale && s.epochs.target >= s.epochs.group && s.idle(topics)
	s.advance()
	s.retarget()
	s.take()
	s.later(func() { sh.stale, sh.left = false, len(missing) > 0 && !asks })
	if !asks {
		s.finish()
		return
	}
	if next := sh.at().asking(missing); again || !next.equal(sh.at()) {
		s.record(s.d.m.readRecord(s.g.id, next))
	}
	call := &ShareCall{StateEpoch: s.epochs.group, Partitions: begin(missing)}
	call.then = func(d *decision, g *group, errs []error) { d.begun(g, call, errs) }
	s.later(func() { s.d.call(s.g, call) })
	s.finish()
}

// idle tells whether there are partitions that nobody is to have, though somebody could.
func (s *step) idle(topics []assign.Topic) bool {
	given := make(map[partition]bool)
	for _, target := range s.c.target.All() {
		for t, n := range target.All() {
			given[partition{t, n}] = true
		}
	}
	for _, t := range topics {
		for _, n := range t.Ready {
			if !given[partition{t.ID, n}] {
				return true
			}
		}
	}
	return false
}

// take gives the member what it is to have of what it is subscribed to.
func (s *step) take() {
	mine := s.target.Filter(func(id model.TopicID, _ int32) bool {
		t := s.d.m.image.TopicByID(id)
		return t != nil && slices.Contains(s.member.SubscribedTopicNames, t.Name)
	})
	s.is = s.was.at(s.epochs.target, memberStable, hold(mine, s.epochs.target), held{})
	if old, ok := s.c.current.Get(s.id); ok && old.same(s.is) {
		s.is = old
		return
	}
	s.record(currentRecord(s.g.id, s.id, s.is))
}
