package group

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/metadata/command"
)

func (s *script) consumerRequests() map[string]func(string, args) {
	return map[string]func(string, args){
		"beat": s.beat, "describe-consumer": s.describeConsumer, "fetch-as": s.fetchAs, "topic": s.topic, "config": s.configure, "own": s.own,
	}
}

// has reads "1:0,1:1,2:0": partitions of topics whose IDs begin with that byte.
func (a args) has(key string) []assign.TopicPartitions {
	value, ok := a[key]
	if !ok {
		return nil
	}
	out := []assign.TopicPartitions{}
	for _, p := range strings.Split(value, ",") {
		topic, n, ok := strings.Cut(p, ":")
		if !ok {
			continue
		}
		id, _ := strconv.Atoi(topic)
		number, _ := strconv.Atoi(n)
		out = append(out, assign.TopicPartitions{Topic: topicID(byte(id)), Partitions: []int32{int32(number)}})
	}
	return out
}

// beat is a heartbeat of a member that remembers its epoch. With join it says all that who joins says.
func (s *script) beat(name string, a args) {
	r := ConsumerHeartbeatRequest{
		Group: a.text("group", "g"), Member: a.text("id", name), Epoch: int32(a.number("epoch", int(s.generations[name]))), Instance: a.pointer("instance"),
		Rack: a.pointer("rack"), RebalanceMs: int32(a.number("rebalance", -1)), Regex: a.pointer("regex"), Assignor: a.pointer("assignor"),
		Owned: a.has("owns"), ClientID: name, ClientHost: "/h", UUID: "uuid",
	}
	if _, ok := a["join"]; ok {
		r.Epoch, r.Owned, r.RebalanceMs = JoinEpoch, a.has("owns"), int32(a.number("rebalance", 30_000))
		if r.Owned == nil {
			r.Owned = []assign.TopicPartitions{}
		}
	}
	if v, ok := a["topics"]; ok {
		r.Topics = []string{}
		if v != "" {
			r.Topics = strings.Split(v, ",")
		}
	}
	s.run(s.m.ConsumerHeartbeat(s.now, r, func(o ConsumerHeartbeatReply) {
		if o.Err != nil {
			s.say("%s: %s", name, problem(o.Err))
			return
		}
		s.ids[name], s.generations[name] = o.Member, o.Epoch
		out := fmt.Sprintf("%s: %s epoch=%d", name, o.Member, o.Epoch)
		if o.Assigned {
			out += " " + showPartitions(o.Assignment)
		}
		s.say("%s", out)
	}))
}

func (s *script) describeConsumer(_ string, a args) {
	s.run(s.m.DescribeConsumer(strings.Split(a.text("groups", "g"), ","), func(all []ConsumerDescription, err error) {
		for _, d := range all {
			s.say("%s %s %s epoch=%d assigned=%d by %s", d.Group, problem(d.Err), d.State, d.Epoch, d.AssignmentEpoch, d.Assignor)
			for _, m := range d.Members {
				s.say("  %s instance=%s rack=%s epoch=%d client=%s%s topics=%s regex=%s has %s of %s classic=%t", m.Member, text(m.Instance), text(m.Rack),
					m.Epoch, m.ClientID, m.ClientHost, strings.Join(m.Topics, ","), text(m.Regex), showNamed(m.Assignment), showNamed(m.Target), m.Classic)
			}
		}
	}))
}

func showNamed(all []DescribedPartitions) string {
	var out []string
	for _, p := range all {
		for _, n := range p.Partitions {
			out = append(out, fmt.Sprintf("%s-%d", p.Topic, n))
		}
	}
	return "[" + strings.Join(out, " ") + "]"
}

// topic makes a topic, adds partitions to it, or deletes it.
func (s *script) topic(name string, a args) {
	if n, ok := a["delete"]; ok || n != "" {
		s.deleteTopic(name, 0)
		return
	}
	want := a.number("partitions", 1)
	var c *command.Command
	if t := s.image.Topic(name); t == nil {
		c = topicOf(name, byte(a.number("id", 9)), want)
	} else {
		more := make([]*command.Assignment, want-len(t.Partitions))
		for i := range more {
			more[i] = &command.Assignment{Replicas: []int32{1}, Leader: 1}
		}
		c = command.Assign(t.ID, int32(len(t.Partitions)), more)
	}
	d := s.change(c)
	s.run(s.m.OnImage(s.now, s.image, d))
}

func (s *script) configure(_ string, a args) {
	c := &s.config.Consumer
	if v, ok := a["migration"]; ok {
		c.Migration, _ = ParseMigration(v)
	}
	if v, ok := a["assignors"]; ok {
		c.Assignors = strings.Split(v, ",")
	}
	c.MaxSize = a.number("max", c.MaxSize)
	s.config.Share.MaxSize = a.number("share-max", s.config.Share.MaxSize)
	if v, ok := a["share-interval"]; ok {
		s.config.Share.AssignmentInterval, _ = time.ParseDuration(v)
	}
	if v, ok := a["interval"]; ok {
		c.AssignmentInterval, _ = time.ParseDuration(v)
	}
	s.m.Config = s.config
}

// fetchAs is a fetch of a member.
func (s *script) fetchAs(name string, a args) {
	o := s.m.Fetch(FetchRequest{Group: "g", Member: name, Epoch: int32(a.number("epoch", int(s.generations[name])))})
	s.say("%s: fetch %s %d offsets", name, problem(o.Err), len(o.Offsets))
}

// subscription is what a classic consumer says that is subscribed to topics, and, with owns, what it has.
func (a args) subscription(names string) []byte {
	b := topics(strings.Split(names, "+")...)
	if _, ok := a["owns"]; !ok {
		return b
	}
	owned := appendAssignment(nil, 0, named(a["owns"]))
	b[1] = 1
	return append(b, owned[2:len(owned)-4]...)
}

// named reads "a-0+a-1".
func named(v string) (all []DescribedPartitions) {
	tps, _ := args{"p": strings.ReplaceAll(v, "+", ",")}.partitions("p")
	for _, tp := range tps {
		all = append(all, DescribedPartitions{Topic: tp.Topic, Partitions: []int32{tp.Partition}})
	}
	return all
}

// assignNamed reads "x:a-0+a-1,y:a-2": what consumers' leaders write.
func (s *script) assignNamed(v string) (out []Assignment) {
	for _, x := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' }) {
		who, what, _ := strings.Cut(x, ":")
		out = append(out, Assignment{s.ids[who], appendAssignment(nil, 0, named(what))})
	}
	return out
}

// readable is an assignment of consumers as text; others are theirs.
func readable(b []byte) []byte {
	all, ok := parseAssignment(b)
	if !ok || len(b) < 10 {
		return b
	}
	var out []string
	for _, p := range all {
		for _, n := range p.partitions {
			out = append(out, fmt.Sprintf("%s-%d", p.topic, n))
		}
	}
	return []byte(strings.Join(out, " "))
}
