package group

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
)

// StreamsHeartbeat joins a streams group, stays in it, or leaves it (KIP-1071). A group that does not exist is made for a member that joins; a
// classic one without members becomes a streams group.
func (m *Machine) StreamsHeartbeat(now time.Time, r StreamsHeartbeatRequest, reply func(StreamsHeartbeatReply)) shard.Result {
	d := m.decide(now)
	g := d.group(r.Group)
	var out StreamsHeartbeatReply
	err := r.Check()
	switch {
	case err != nil:
	case r.Epoch < JoinEpoch:
		out, err = d.streamsLeave(g, &r)
	case d.streamsUnchanged(g, &r):
		out = StreamsHeartbeatReply{
			Member: r.Member, Epoch: r.Epoch, HeartbeatMs: int32(m.streams(r.Group).heartbeat().Milliseconds()), EndpointEpoch: r.EndpointEpoch,
		}
	default:
		if g == nil && r.Epoch == JoinEpoch {
			g = d.opened(r.Group)
		}
		out, err = d.streamsBeat(g, &r)
	}
	if err != nil {
		out = out.failed(err)
	}
	told(d, reply, out)
	return d.done(g)
}

// Check refuses what no member may say, or none may say yet, whatever group it is about.
func (r *StreamsHeartbeatRequest) Check() error {
	wrong, joins := "", r.Epoch == JoinEpoch
	said := 0
	for _, tasks := range [][]streams.TaskID{r.Active, r.Standby, r.Warmup} {
		if tasks != nil {
			said++
		}
	}
	switch {
	case r.Instance != nil:
		wrong = "there are no static members of streams groups"
	case r.TaskOffsets || r.TaskEndings:
		wrong = "there are no warm-up tasks, and offsets of tasks are of no use"
	case len(r.Warmup) > 0:
		wrong = "there are no warm-up tasks"
	case r.Member == "":
		wrong = "the member ID is empty"
	case r.Group == "":
		wrong = "the group ID is empty"
	case r.Rack != nil && *r.Rack == "":
		wrong = "the rack ID is empty"
	case r.Epoch < LeaveEpoch:
		wrong = "there is no such member epoch"
	case said != 0 && said != 3:
		wrong = "who says what tasks it has says so of all kinds"
	case joins && r.RebalanceMs == -1:
		wrong = "who joins has a rebalance timeout"
	case joins && len(r.Active)+len(r.Standby) > 0:
		wrong = "who joins has no tasks"
	case joins && r.Topology == nil:
		wrong = "who joins has a topology"
	case !joins && r.Topology != nil:
		wrong = "only who joins has a topology"
	case joins:
		return streams.Validate(r.Topology)
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrInvalidRequest, wrong)
}

// owned is what the member says that it has; nil: it does not say.
func (r *StreamsHeartbeatRequest) owned() streams.Owned {
	if r.Active == nil && r.Epoch != JoinEpoch {
		return nil
	}
	out := make(streams.Owned)
	for _, t := range slices.Concat(r.Active, r.Standby, r.Warmup) {
		out[t] = true
	}
	return out
}

// streamsUnchanged tells whether a heartbeat says nothing new, and there is nothing new to say. Nearly all are like that.
func (d *decision) streamsUnchanged(g *group, r *StreamsHeartbeatRequest) bool {
	if !g.isStreams() || r.Epoch == JoinEpoch || r.Active != nil || r.Shutdown {
		return false
	}
	c, e := g.streams, g.streams.at()
	mem, ok := c.members.Get(r.Member)
	if !ok || e.group != e.assigned() || c.configured == nil || c.seen != d.m.seen || c.configured.Problem != streams.NoProblem ||
		mem.TopologyEpoch < c.configured.Epoch || e.standbys != d.m.standbys(g.id) || c.shutdownBy != "" || c.endpointEpoch != r.EndpointEpoch {
		return false
	}
	if cur := c.has(r.Member); cur.Epoch != r.Epoch || !cur.reached(e.assigned()) || !sameStreamsMember(mem, r.member(mem)) {
		return false
	}
	d.extend(c.sessions, g.id, r.Member, d.m.streams(g.id).session())
	return true
}

// member is what a member says of itself from now on.
func (r *StreamsHeartbeatRequest) member(before *schema.StreamsGroupMember) *schema.StreamsGroupMember {
	mem := *before
	mem.ClientID, mem.ClientHost = r.ClientID, r.ClientHost
	if r.Rack != nil {
		mem.RackID = r.Rack
	}
	if r.RebalanceMs != -1 {
		mem.RebalanceTimeoutMs = r.RebalanceMs
	}
	if r.Topology != nil {
		mem.TopologyEpoch = r.Topology.Epoch
	}
	if r.Process != nil {
		mem.ProcessID = *r.Process
	}
	if r.Endpoint != nil {
		mem.UserEndpoint = r.Endpoint
	}
	if r.Tags != nil {
		mem.ClientTags = slices.Clone(r.Tags)
		slices.SortStableFunc(mem.ClientTags, func(a, b schema.KeyValue) int { return strings.Compare(a.Key, b.Key) })
	}
	return &mem
}

// sameStreamsMember tells whether two members say the same of themselves.
func sameStreamsMember(a, b *schema.StreamsGroupMember) bool {
	return plain(a.RackID) == plain(b.RackID) && a.ClientID == b.ClientID && a.ClientHost == b.ClientHost && a.RebalanceTimeoutMs == b.RebalanceTimeoutMs &&
		a.TopologyEpoch == b.TopologyEpoch && a.ProcessID == b.ProcessID && sameEndpoint(a.UserEndpoint, b.UserEndpoint) &&
		slices.EqualFunc(a.ClientTags, b.ClientTags, func(x, y schema.KeyValue) bool { return x.Key == y.Key && x.Value == y.Value })
}

func sameEndpoint(a, b *schema.Endpoint) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Host == b.Host && a.Port == b.Port
}

// streamsBeat is a heartbeat of a member that joins, has changed, is on its way, or is to hear of something.
func (d *decision) streamsBeat(g *group, r *StreamsHeartbeatRequest) (StreamsHeartbeatReply, error) {
	s, err := d.beginStreams(g, r)
	if err != nil {
		return StreamsHeartbeatReply{}, err
	}
	for _, f := range []func() error{s.find, s.subscribe, s.configure, s.checkOwned} {
		if err := f(); err != nil {
			return StreamsHeartbeatReply{}, err
		}
	}
	s.advance()
	s.retarget()
	if err := s.reconcile(); err != nil {
		return StreamsHeartbeatReply{}, err
	}
	s.later(func() { d.extend(s.c.sessions, g.id, s.id, d.m.streams(g.id).session()) })
	if r.Shutdown {
		s.later(func() { s.c.shutdownBy = cmp.Or(s.c.shutdownBy, s.id) })
	}
	out := s.answer()
	s.finish()
	return out, nil
}

// beginStreams begins a step of a group: who joins makes it a streams group, if that is possible.
func (d *decision) beginStreams(g *group, r *StreamsHeartbeatRequest) (*streamsStep, error) {
	switch {
	case g == nil:
		return nil, ErrGroupNotFound
	case g.isStreams():
		return d.streamsStep(g, r), nil
	case r.Epoch != JoinEpoch || g.modern() != nil || d.m.view(g).state != Empty:
		return nil, fmt.Errorf("%w: it is of another kind", ErrGroupNotFound)
	}
	d.m.asStreams(g)
	s := d.streamsStep(g, r)
	if at := d.m.view(g).generation; at > firstStreamsEpoch { // of which nobody is a member any more
		s.epochs.group, s.epochs.target = at, at
		s.record(streamsTargetEpochRecord(g.id, s.epochs))
	}
	if _, ok := d.m.saved.Get(g.id); ok {
		s.record(&schema.GroupMetadata{Key: schema.GroupKey{Group: g.id}})
	}
	s.later(func() { g.classic = nil })
	return s, nil
}
