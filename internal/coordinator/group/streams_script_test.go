package group

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
)

func (s *script) streamsRequests() map[string]func(string, args) {
	return map[string]func(string, args){
		"run": s.streamsRun, "stop": s.streamsStop, "describe-streams": s.describeStreams, "config-streams": s.configureStreams, "fetch-streams": s.fetchStreams,
	}
}

// tasks reads "0.0,0.1,1.0"; none is not said.
func (a args) tasks(key string) []streams.TaskID {
	value, ok := a[key]
	if !ok {
		return nil
	}
	out := []streams.TaskID{}
	for _, p := range strings.Split(value, ",") {
		if id, n, ok := strings.Cut(p, "."); ok {
			number, _ := strconv.Atoi(n)
			out = append(out, streams.TaskID{Subtopology: id, Partition: int32(number)})
		}
	}
	return out
}

// topology reads "0:a+>r/1:<r*3+!s": subtopologies with their sources, patterns (~), repartition topics that they write and read, and changelogs.
func (a args) topology(epoch int) *schema.StreamsTopology {
	value, ok := a["top"]
	if !ok {
		return nil
	}
	out := &schema.StreamsTopology{Epoch: int32(epoch)}
	for _, sub := range strings.Split(value, "/") {
		id, words, _ := strings.Cut(sub, ":")
		x := schema.Subtopology{SubtopologyID: id}
		for _, word := range strings.Split(words, "+") {
			name, count, _ := strings.Cut(word[1:], "*")
			n, _ := strconv.Atoi(count)
			topic := schema.InternalTopic{Name: name, Partitions: int32(n)}
			switch word[0] {
			case '>':
				x.RepartitionSinkTopics = append(x.RepartitionSinkTopics, name)
			case '<':
				x.RepartitionSourceTopics = append(x.RepartitionSourceTopics, topic)
			case '!':
				topic.TopicConfigs = []schema.KeyValue{{Key: "cleanup.policy", Value: "compact"}}
				x.StateChangelogTopics = append(x.StateChangelogTopics, topic)
			case '~':
				x.SourceTopicRegex = append(x.SourceTopicRegex, word[1:])
			default:
				x.SourceTopics = append(x.SourceTopics, word)
			}
		}
		out.Subtopologies = append(out.Subtopologies, x)
	}
	return out
}

// streamsRun is a heartbeat of a member that remembers its epoch. With join it says all that who joins says.
func (s *script) streamsRun(name string, a args) {
	r := StreamsHeartbeatRequest{
		Group: a.text("group", "k"), Member: a.text("id", name), Epoch: int32(a.number("epoch", int(s.generations[name]))), Instance: a.pointer("instance"),
		Rack: a.pointer("rack"), RebalanceMs: int32(a.number("rebalance", -1)), Topology: a.topology(a.number("top-epoch", 0)),
		Active: a.tasks("active"), Standby: a.tasks("standby"), Warmup: a.tasks("warmup"), Process: a.pointer("process"),
		EndpointEpoch: int32(a.number("endpoints", 0)), ClientID: name, ClientHost: "/h",
	}
	if r.Active != nil && r.Standby == nil && a["partly"] == "" {
		r.Standby = []streams.TaskID{}
	}
	if r.Active != nil && r.Warmup == nil {
		r.Warmup = []streams.TaskID{}
	}
	if _, ok := a["join"]; ok {
		r.Epoch, r.RebalanceMs, r.Active, r.Standby, r.Warmup = JoinEpoch, int32(a.number("rebalance", 30_000)), []streams.TaskID{}, []streams.TaskID{}, []streams.TaskID{}
		if r.Process == nil {
			r.Process = &name
		}
	}
	if host, port, ok := strings.Cut(a["endpoint"], ":"); ok {
		n, _ := strconv.Atoi(port)
		r.Endpoint = &schema.Endpoint{Host: host, Port: uint16(n)}
	}
	if v, ok := a["tags"]; ok {
		r.Tags = []schema.KeyValue{}
		for _, tag := range strings.FieldsFunc(v, func(c rune) bool { return c == ',' }) {
			key, value, _ := strings.Cut(tag, ":")
			r.Tags = append(r.Tags, schema.KeyValue{Key: key, Value: value})
		}
	}
	_, r.Shutdown = a["shutdown"]
	_, r.TaskOffsets = a["offsets"]
	s.run(s.m.StreamsHeartbeat(s.now, r, func(o StreamsHeartbeatReply) { s.streamsAnswer(name, o) }))
}

func (s *script) streamsStop(name string, a args) {
	r := StreamsHeartbeatRequest{Group: a.text("group", "k"), Member: a.text("id", name), Epoch: int32(a.number("epoch", -1)), RebalanceMs: -1}
	_, r.Shutdown = a["shutdown"]
	s.run(s.m.StreamsHeartbeat(s.now, r, func(o StreamsHeartbeatReply) { s.streamsAnswer(name, o) }))
}

func (s *script) streamsAnswer(name string, o StreamsHeartbeatReply) {
	if o.Err != nil {
		s.say("%s: %s", name, problem(o.Err))
		return
	}
	s.ids[name], s.generations[name] = o.Member, o.Epoch
	out := fmt.Sprintf("%s: epoch=%d", name, o.Epoch)
	if o.Assigned {
		out += " " + showTasks(o.Tasks)
	}
	for _, x := range o.Status {
		out += fmt.Sprintf(" %d(%s)", x.Code, x.Detail)
	}
	if o.EndpointEpoch != 0 || o.Endpoints != nil {
		out += fmt.Sprintf(" endpoints=%d", o.EndpointEpoch)
	}
	for _, e := range o.Endpoints {
		out += fmt.Sprintf(" %s:%d%s%s", e.Endpoint.Host, e.Endpoint.Port, showNamed(e.Active), showNamed(e.Standby))
	}
	for _, t := range o.Create {
		out += fmt.Sprintf(" +%s*%d", t.Name, t.Partitions)
	}
	s.say("%s", out)
}

func (s *script) describeStreams(_ string, a args) {
	s.run(s.m.DescribeStreams(strings.Split(a.text("groups", "k"), ","), func(all []StreamsDescription, err error) {
		for _, d := range all {
			s.say("%s %s %s epoch=%d assigned=%d", d.Group, problem(d.Err), d.State, d.Epoch, d.AssignmentEpoch)
			if d.Topology != nil {
				s.say("  topology of epoch %d", d.Topology.Epoch)
				for _, x := range d.Topology.Subtopologies {
					s.say("    %s: %v > %v < %s ! %s", x.ID, x.Sources, x.Sinks, showInternal(x.RepartitionSources), showInternal(x.StateChangelogs))
				}
			}
			for _, m := range d.Members {
				s.say("  %s epoch=%d %s has %s of %s", m.Member, m.Epoch, showStreamsMember(m.About), showTasks(m.Assignment), showTasks(m.Target))
			}
		}
	}))
}

func showInternal(all []schema.InternalTopic) (out []string) {
	for _, t := range all {
		out = append(out, fmt.Sprintf("%s*%d", t.Name, t.Partitions))
	}
	return out
}

func (s *script) configureStreams(_ string, a args) {
	c := &s.config.Streams
	c.MaxSize, c.Standbys, c.MaxStandbys = a.number("max", c.MaxSize), a.number("standbys", c.Standbys), 2
	if v, ok := a["interval"]; ok {
		c.AssignmentInterval, _ = time.ParseDuration(v)
	}
	if v, ok := a["delay"]; ok {
		c.InitialDelay, _ = time.ParseDuration(v)
	}
	s.m.Config = s.config
}

// fetchStreams is a fetch of a member.
func (s *script) fetchStreams(name string, a args) {
	o := s.m.Fetch(FetchRequest{Group: "k", Member: name, Epoch: int32(a.number("epoch", int(s.generations[name])))})
	s.say("%s: fetch %s %d offsets", name, problem(o.Err), len(o.Offsets))
}
