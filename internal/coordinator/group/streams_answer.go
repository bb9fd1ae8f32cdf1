package group

import (
	"fmt"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
)

// answer is what the member is told. It hears what it is to run if that has changed, if it asks for everything, and also if an answer has been lost: it is not
// at the epoch that it was told, or has something else than it is to have. (Apache Kafka leaves the last two out: there a member may wait for
// its rebalance timeout, to be fenced.)
func (s *streamsStep) answer() StreamsHeartbeatReply {
	out := StreamsHeartbeatReply{Member: s.id, Epoch: s.is.Epoch, HeartbeatMs: int32(s.d.m.streams(s.g.id).heartbeat().Milliseconds())}
	owned := s.r.owned()
	if s.r.Epoch == JoinEpoch || s.r.Epoch != s.was.Epoch || !s.is.sameTasks(s.was) || owned != nil && !s.is.exactly(owned) {
		out.Assigned, out.Tasks = true, s.is.tasks()
	}
	epoch := s.c.endpointEpoch
	if s.member.UserEndpoint != nil && (out.Assigned || s.before == nil || !sameEndpoint(s.before.UserEndpoint, s.member.UserEndpoint)) {
		epoch++
		s.later(func() { s.c.endpointEpoch = epoch })
	}
	if out.EndpointEpoch = epoch; epoch != s.r.EndpointEpoch {
		out.Endpoints = s.endpoints()
	}
	if p := s.configured.Problem; p != streams.NoProblem {
		s.tell(StreamsStatusCode(p), s.configured.Detail)
		out.Create = s.configured.Missing
	}
	by := s.c.shutdownBy
	if by == "" && s.r.Shutdown {
		by = s.id
	}
	if by != "" {
		s.tell(ShutdownApplication, fmt.Sprintf("Member %s has failed for good and asks for the whole application to shut down.", by))
	}
	out.Status = s.status
	return out
}

// exactly tells whether a member has what it may have, all of it and nothing else.
func (cur *streamsCurrent) exactly(owned streams.Owned) bool {
	return len(owned) == len(cur.Active)+len(cur.Standby)+len(cur.Warmup) && cur.within(owned)
}

// endpoints are who answers queries for what, by member.
func (s *streamsStep) endpoints() []StreamsEndpoint {
	out := []StreamsEndpoint{}
	add := func(mem *schema.StreamsGroupMember, cur *streamsCurrent) {
		if mem.UserEndpoint != nil {
			tasks := cur.tasks()
			out = append(out, StreamsEndpoint{*mem.UserEndpoint, s.read(tasks.Active), s.read(tasks.Standby)})
		}
	}
	mine := false
	for _, id := range s.c.roster().ids {
		if mem, _ := s.c.members.Get(id); id != s.id {
			add(mem, s.c.has(id))
			continue
		}
		mine = true
		add(s.member, s.is)
	}
	if !mine {
		add(s.member, s.is)
	}
	return out
}

// read is what tasks read.
func (s *streamsStep) read(tasks []streams.TaskID) []DescribedPartitions {
	out := []DescribedPartitions{}
	md := streams.FromImage(s.d.m.image)
	for i := range s.configured.Subtopologies {
		x := &s.configured.Subtopologies[i]
		var mine []int32
		for _, t := range tasks {
			if t.Subtopology == x.ID {
				mine = append(mine, t.Partition)
			}
		}
		by := x.Read(md, mine)
		for _, topic := range x.Sources {
			if len(by[topic]) > 0 {
				out = append(out, DescribedPartitions{Topic: topic, Partitions: by[topic]})
			}
		}
	}
	return out
}
