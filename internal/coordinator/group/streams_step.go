package group

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// streamsStep is a decision about a streams group, as far as it has come: a member that joins, changes or is reconciled, members that go, or an
// assignment that was waited for. It sees the group as its own records will make it. Nothing of it is done before finish, so that it can be given up.
type streamsStep struct {
	d       *decision
	g       *group
	c       *streamsGroup
	r       *StreamsHeartbeatRequest // nil: nobody asks
	records []schema.Record
	soft    []func() // changes of what is not replicated

	id         string                     // who asks; empty: nobody
	before     *schema.StreamsGroupMember // nil: it joins
	member     *schema.StreamsGroupMember
	was, is    *streamsCurrent
	epochs     streamsEpochs
	topology   *schema.StreamsTopology
	configured *streams.Configured
	target     streams.Tasks // of the member
	status     []StreamsStatus
	bump       bool // a new epoch is to begin
}

func (d *decision) streamsStep(g *group, r *StreamsHeartbeatRequest) *streamsStep {
	s := &streamsStep{d: d, g: g, c: g.streams, r: r, epochs: g.streams.at()}
	s.epochs.group, s.epochs.exists = max(s.epochs.group, firstStreamsEpoch), true
	s.topology, _ = s.c.topology.Get(struct{}{})
	if r != nil {
		s.id = r.Member
	}
	return s
}

func (s *streamsStep) record(r ...schema.Record) { s.records = append(s.records, r...) }

func (s *streamsStep) later(f func()) { s.soft = append(s.soft, f) }

func (s *streamsStep) tell(code StreamsStatusCode, detail string) {
	s.status = append(s.status, StreamsStatus{code, detail})
}

// finish makes the step the decision's.
func (s *streamsStep) finish() {
	s.d.record(s.records...)
	for _, f := range s.soft {
		f()
	}
}

// find finds who asks. A member is where it was told to be, or where it was before if the answer was lost; then it has nothing but what it may have.
func (s *streamsStep) find() error {
	joins := s.r.Epoch == JoinEpoch
	s.before, _ = s.c.members.Get(s.id)
	s.was = s.c.has(s.id)
	switch {
	case s.before == nil && !joins:
		return ErrUnknownMember
	case s.before == nil && s.d.m.Config.Streams.full(s.c.members.Len()):
		return fmt.Errorf("%w: of a streams group group.streams.max.size", ErrGroupMaxSize)
	case s.before == nil || joins || s.r.Epoch == s.was.Epoch:
		return nil
	case s.r.Epoch == s.was.previous && s.r.Epoch < s.was.Epoch && s.r.Active != nil && s.was.within(s.r.owned()):
		return nil
	}
	return fmt.Errorf("%w (it says %d, the coordinator has %d)", ErrFencedMemberEpoch, s.r.Epoch, s.was.Epoch)
}

// within tells whether a member has no more than it may have.
func (cur *streamsCurrent) within(owned streams.Owned) bool {
	for t := range owned {
		if _, active := cur.Active[t]; !active && !cur.Standby[t] && !cur.Warmup[t] {
			return false
		}
	}
	return true
}

// subscribe takes over what the member says of itself, and the topology of the first one that has one.
func (s *streamsStep) subscribe() error {
	before := s.before
	if before == nil {
		before = &schema.StreamsGroupMember{RebalanceTimeoutMs: -1, TopologyEpoch: -1}
	}
	if s.member = s.r.member(before); s.before == nil || !sameStreamsMember(s.before, s.member) {
		s.record(streamsMemberRecord(s.g.id, s.id, s.member))
		s.bump = true
	} else {
		s.member = s.before
	}
	switch asked := s.r.Topology; {
	case s.topology == nil && asked == nil:
		return fmt.Errorf("%w: the group has no topology", ErrFencedMemberEpoch)
	case s.topology == nil:
		s.topology = asked
		s.record(&schema.StreamsGroupTopology{Key: schema.GroupKey{Group: s.g.id}, Value: asked})
		return nil
	case asked != nil && asked.Epoch >= s.topology.Epoch && !streams.SameTopology(asked, s.topology):
		return fmt.Errorf("%w: the group runs another topology: a topology cannot be changed while there is a group for it", ErrInvalidRequest)
	}
	if s.member.TopologyEpoch < s.topology.Epoch {
		s.tell(StaleTopology, fmt.Sprintf("The member runs the topology of epoch %d, the group that of epoch %d.", s.member.TopologyEpoch, s.topology.Epoch))
	}
	return nil
}

// configure holds the topology against the topics that there are, if either has changed.
func (s *streamsStep) configure() error {
	m := s.d.m
	if s.c.configured != nil && s.c.configuredOf == s.topology && s.c.seen == m.seen {
		s.configured = s.c.configured
	} else {
		configured, err := streams.Configure(s.topology, streams.FromImage(m.image))
		if err != nil {
			return err
		}
		hash := s.needs().hash(m.image)
		s.configured, s.bump, s.epochs.hash = &configured, s.bump || hash != s.epochs.hash, hash
		s.later(func() { s.c.configured, s.c.configuredOf, s.c.seen = s.configured, s.topology, m.seen })
	}
	validated := int32(-1)
	if s.configured.Problem == streams.NoProblem {
		validated = s.topology.Epoch
	}
	standbys := m.standbys(s.g.id)
	s.bump = s.bump || validated != s.epochs.validated || standbys != s.epochs.standbys
	s.epochs.validated, s.epochs.standbys = validated, standbys
	return nil
}

// standbys is num.standby.replicas as records have it.
func (m *Machine) standbys(group string) string { return strconv.Itoa(m.streams(group).standbys()) }

// needs are the topics that the topology needs and that exist.
func (s *streamsStep) needs() subscribed {
	var out subscribed
	for name := range streams.Topics(s.topology, streams.FromImage(s.d.m.image)) {
		if t := s.d.m.image.Topic(name); t != nil {
			out.topics = append(out.topics, t)
		}
	}
	slices.SortFunc(out.topics, byID)
	out.topics = slices.Compact(out.topics)
	return out
}

// checkOwned refuses tasks that there are not.
func (s *streamsStep) checkOwned() error {
	if s.configured.Problem != streams.NoProblem {
		return nil
	}
	tasks := make(map[string]int32, len(s.configured.Subtopologies))
	for _, x := range s.configured.Subtopologies {
		tasks[x.ID] = x.Tasks
	}
	for _, t := range slices.Concat(s.r.Active, s.r.Standby, s.r.Warmup) {
		if t.Partition < 0 || t.Partition >= tasks[t.Subtopology] {
			return fmt.Errorf("%w: subtopology %s has no task %d", ErrInvalidRequest, t.Subtopology, t.Partition)
		}
	}
	return nil
}

// advance begins a new epoch of the group if anything has changed that an assignment goes by.
func (s *streamsStep) advance() {
	if s.bump {
		s.epochs.group++
		s.record(streamsEpochRecord(s.g.id, s.epochs))
	}
}

// retarget makes the target of a new epoch: not while a new group waits for more members, and not more often than the broker says. Until then members
// go on towards the last one.
func (s *streamsStep) retarget() {
	config := s.d.m.streams(s.g.id)
	delayed := s.c.delayed
	if s.c.members.Len() == 0 && config.InitialDelay > 0 && !s.d.now.Before(delayed) {
		delayed = s.d.now.Add(config.InitialDelay)
		s.later(func() {
			s.c.delayed = delayed
			s.d.timer(shard.TimerKey{Kind: AssignTimer, Group: s.g.id}, delayed)
		})
	}
	waited := s.d.now.Sub(time.UnixMilli(s.epochs.targetMs))
	s.target, _ = s.c.target.Get(s.id)
	switch {
	case s.d.now.Before(delayed):
		s.tell(AssignmentDelayed, "A new group waits for more members to join (group.streams.initial.rebalance.delay.ms).")
	case s.epochs.group <= s.epochs.assigned():
	case s.epochs.targetMs != 0 && waited >= 0 && waited < config.AssignmentInterval:
		s.tell(AssignmentDelayed, "The last assignment is kept for a while (group.streams.assignment.interval.ms).")
	default:
		s.assign()
	}
}

// assign makes the target of the group's epoch. If something is wrong with the topics, nobody is to have anything.
func (s *streamsStep) assign() {
	ids := s.c.roster().ids
	if _, known := slices.BinarySearch(ids, s.id); s.id != "" && !known {
		ids = append(slices.Clone(ids), s.id)
		slices.Sort(ids)
	}
	members := make([]streams.Member, len(ids))
	for i, id := range ids {
		mem, _ := s.c.members.Get(id)
		if id == s.id {
			mem = s.member
		}
		had, _ := s.c.target.Get(id)
		members[i] = streams.Member{ID: id, Process: mem.ProcessID, Active: had.Active, Standby: had.Standby}
	}
	got := make(map[string]streams.Tasks)
	if s.configured.Problem == streams.NoProblem {
		got = streams.Assign(s.configured.Subtopologies, members, s.d.m.streams(s.g.id).standbys())
	}
	for _, id := range ids {
		if had, ok := s.c.target.Get(id); !ok || !sameTasks(had, got[id]) {
			s.record(streamsTargetRecord(s.g.id, id, got[id]))
		}
	}
	s.target = got[s.id]
	s.epochs.target, s.epochs.targetMs = s.epochs.group, s.d.now.UnixMilli()
	s.record(streamsTargetEpochRecord(s.g.id, s.epochs))
}

// reconcile takes the member a step towards its target (G2). One that is at the epoch before hears again where it was told to be, and goes on from there: the
// answer was lost, or it is a heartbeat that was long on its way, and what it says that it has given up the member may have been given since. (Apache
// Kafka believes it.)
func (s *streamsStep) reconcile() error {
	if s.before != nil && s.r.Epoch != JoinEpoch && s.r.Epoch != s.was.Epoch {
		s.is = s.was
		return nil
	}
	h, owned := s.was.Held, s.r.owned()
	switch h.State {
	case streams.Stable, streams.Unrevoked, streams.Unreleased:
	default: // a newer broker has written a state that we do not know
		if owned == nil || len(owned) > 0 {
			return fmt.Errorf("%w: its state is not known here", ErrFencedMemberEpoch)
		}
		h.State = streams.Unreleased
	}
	next := streams.Reconcile(h, s.member.ProcessID, s.target, s.epochs.assigned(), owned, streamsOthers{s.c, s.id})
	s.is = &streamsCurrent{next, s.was.previous}
	if next.Epoch != s.was.Epoch {
		s.is.previous = s.was.Epoch
	}
	if old, ok := s.c.current.Get(s.id); ok && old.same(s.is) {
		s.is = old
		return nil
	}
	s.record(streamsCurrentRecord(s.g.id, s.id, s.is))
	revoking := s.is.State == streams.Unrevoked
	within := time.Duration(s.member.RebalanceTimeoutMs) * time.Millisecond
	s.later(func() { s.d.revokeBy(s.c.sessions, s.g.id, s.id, within, revoking) })
	return nil
}

func (cur *streamsCurrent) same(o *streamsCurrent) bool {
	return cur.Epoch == o.Epoch && cur.previous == o.previous && cur.State == o.State && cur.sameTasks(o) &&
		maps.Equal(cur.Revoking, o.Revoking) && maps.Equal(cur.RevokingStandby, o.RevokingStandby) && maps.Equal(cur.RevokingWarmup, o.RevokingWarmup)
}

// sameTasks tells whether two have the same tasks, but for what they are to give up.
func (cur *streamsCurrent) sameTasks(o *streamsCurrent) bool {
	return maps.Equal(cur.Active, o.Active) && maps.Equal(cur.Standby, o.Standby) && maps.Equal(cur.Warmup, o.Warmup)
}

// tasks are those that a member has, in order.
func (cur *streamsCurrent) tasks() streams.Tasks {
	return streams.Tasks{
		Active: inOrder(slices.Collect(maps.Keys(cur.Active))), Standby: inOrder(slices.Collect(maps.Keys(cur.Standby))),
		Warmup: inOrder(slices.Collect(maps.Keys(cur.Warmup))),
	}
}
