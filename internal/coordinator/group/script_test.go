package group

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
	"chronik/internal/record"

	"github.com/cockroachdb/datadriven"
)

// TestScripts: after each script a machine that is loaded from the records it wrote is the same.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{world: newWorld(t), ids: make(map[string]string), generations: make(map[string]int32)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			for _, line := range strings.Split(d.Input, "\n") {
				if line = strings.TrimSpace(line); line != "" {
					s.do(t, strings.Fields(line))
				}
			}
			return s.out.String()
		})
		s.settle()
		if diff := s.same(); diff != "" {
			t.Error(diff)
		}
	})
}

// script is a world with clients that have names and remember what they were told.
type script struct {
	*world
	ids         map[string]string
	generations map[string]int32
	uuid        int
}

type args map[string]string

func (a args) text(key, otherwise string) string {
	if v, ok := a[key]; ok {
		return v
	}
	return otherwise
}

func (a args) pointer(key string) *string {
	if v, ok := a[key]; ok {
		return &v
	}
	return nil
}

func (a args) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(a[key]); err == nil {
		return n
	}
	return otherwise
}

// partitions are those of "t-0,t-1", with what follows "=".
func (a args) partitions(key string) (out []model.TopicPartition, values []string) {
	for _, p := range strings.Split(a[key], ",") {
		p, value, _ := strings.Cut(p, "=")
		if i := strings.LastIndex(p, "-"); i > 0 {
			n, _ := strconv.Atoi(p[i+1:])
			out, values = append(out, model.TopicPartition{Topic: p[:i], Partition: int32(n)}), append(values, value)
		}
	}
	return out, values
}

func (s *script) say(format string, values ...any) {
	s.out.WriteString(strings.TrimRight(fmt.Sprintf(format, values...), " ") + "\n")
}

func (s *script) do(t *testing.T, words []string) {
	name, a := "", args{}
	for i, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if a[key] = value; !ok && i == 0 {
			name = word
		}
	}
	for _, requests := range []map[string]func(string, args){s.requests(), s.consumerRequests(), s.shareRequests(), s.streamsRequests()} {
		if f, ok := requests[words[0]]; ok {
			f(name, a)
			return
		}
	}
	switch words[0] {
	case "hold":
		s.hold = true
	case "settle":
		s.hold = false
		s.settle()
	case "refuse":
		s.hold = false
		s.refuse()
	case "reload":
		s.reload()
	case "advance":
		d, err := time.ParseDuration(name)
		if err != nil {
			t.Fatal(err)
		}
		s.advance(d)
	case "size":
		s.config.MaxSize = a.number("max", 0)
		s.m.Config = s.config
	case "topic-deleted":
		s.deleteTopic(name, byte(a.number("again", 0)))
	default:
		t.Fatalf("what is %s?", words[0])
	}
}

func (s *script) requests() map[string]func(string, args) {
	return map[string]func(string, args){
		"join": s.join, "sync": s.sync, "heartbeat": s.heartbeat, "leave": s.leave, "commit": s.commit, "fetch": s.fetch,
		"delete-offsets": s.deleteOffsets, "delete-groups": s.deleteGroups, "describe": s.describe, "list": s.list,
		"txn-commit": s.txnCommit, "marker": s.marker,
	}
}

func problem(err error) string {
	if err == nil {
		return "ok"
	}
	return "(" + err.Error() + ")"
}

func (s *script) join(name string, a args) {
	s.uuid++
	r := JoinRequest{
		Group: a.text("group", "g"), Member: a.text("id", s.ids[name]), Instance: a.pointer("instance"), ClientID: name, ClientHost: "/h",
		SessionMs: int32(a.number("session", 10_000)), RebalanceMs: int32(a.number("rebalance", 60_000)), ProtocolType: a.text("type", "consumer"),
		NeedsID: a["v"] != "3", CanSkip: a["v"] == "9", UUID: strconv.Itoa(s.uuid),
	}
	for _, p := range strings.Split(a.text("protocols", "range:t"), ",") {
		p, subscribed, _ := strings.Cut(p, ":")
		r.Protocols = append(r.Protocols, Protocol{p, a.subscription(subscribed)})
	}
	s.run(s.m.Join(s.now, r, func(o JoinReply) {
		if s.ids[name] = o.Member; o.Err != nil {
			s.say("%s: join %s id=%s", name, problem(o.Err), o.Member)
			return
		}
		s.generations[name] = o.Generation
		var members []string
		for _, m := range o.Members {
			members = append(members, m.Member)
		}
		skip := map[bool]string{true: " skip"}[o.SkipAssignment]
		s.say("%s: join ok id=%s generation=%d protocol=%s leader=%s %s%s", name, o.Member, o.Generation, text(o.Protocol), o.Leader, strings.Join(members, ","), skip)
	}))
}

func (s *script) sync(name string, a args) {
	r := SyncRequest{
		Group: a.text("group", "g"), Generation: int32(a.number("generation", int(s.generations[name]))), Member: a.text("id", s.ids[name]),
		Instance: a.pointer("instance"), Protocol: a.pointer("protocol"), ProtocolType: a.pointer("type"),
	}
	if a["assign"] != "" {
		for _, x := range strings.Split(a["assign"], ",") {
			who, what, _ := strings.Cut(x, ":")
			r.Assignments = append(r.Assignments, Assignment{s.ids[who], []byte(what)})
		}
	}
	r.Assignments = append(r.Assignments, s.assignNamed(a["assign-named"])...)
	s.run(s.m.Sync(s.now, r, func(o SyncReply) {
		o.Assignment = readable(o.Assignment)
		s.say("%s: sync %s protocol=%s [%s]", name, problem(o.Err), text(o.Protocol), o.Assignment)
	}))
}

func (s *script) heartbeat(name string, a args) {
	r := HeartbeatRequest{
		Group: a.text("group", "g"), Generation: int32(a.number("generation", int(s.generations[name]))),
		Member: a.text("id", s.ids[name]), Instance: a.pointer("instance"),
	}
	s.run(s.m.Heartbeat(s.now, r, func(err error) { s.say("%s: heartbeat %s", name, problem(err)) }))
}

func (s *script) leave(_ string, a args) {
	r := LeaveRequest{Group: a.text("group", "g")}
	for _, x := range strings.Split(a["members"], ",") {
		who, instance, ok := strings.Cut(x, "/")
		l := LeavingMember{Member: who}
		if id, known := s.ids[who]; known {
			l.Member = id
		}
		if ok {
			l.Instance = &instance
		}
		r.Members = append(r.Members, l)
	}
	s.run(s.m.Leave(s.now, r, func(o LeaveReply) {
		out := problem(o.Err)
		for _, l := range o.Left {
			out += fmt.Sprintf(" %s:%s", l.Member, problem(l.Err))
		}
		s.say("leave %s", out)
	}))
}

func (s *script) commit(name string, a args) {
	r := s.commitRequest(name, a)
	s.run(s.m.Commit(s.now, r, func(o CommitReply) { s.each("commit", r.partitions(), o) }))
}

func (r *CommitRequest) partitions() (all []model.TopicPartition) {
	for i := range r.Offsets {
		all = append(all, r.Offsets[i].TopicPartition)
	}
	return all
}

func (s *script) commitRequest(name string, a args) CommitRequest {
	r := CommitRequest{
		Group: a.text("group", "g"), Generation: int32(a.number("generation", -1)), Member: a.text("id", ""), Instance: a.pointer("instance"),
		RetentionMs: int64(a.number("retention", -1)), Epochless: a.number("v", 9) < 9,
	}
	if name != "" {
		r.Member, r.Generation = a.text("id", s.ids[name]), int32(a.number("generation", int(s.generations[name])))
	}
	tps, values := a.partitions("offsets")
	for i, tp := range tps {
		value, meta, _ := strings.Cut(values[i], "/")
		n, _ := strconv.Atoi(value)
		r.Offsets = append(r.Offsets, CommitOffset{TopicPartition: tp, TopicID: topicID(byte(a.number("topic-id", 0))), Offset: model.Offset(n), LeaderEpoch: 1, Metadata: meta})
	}
	return r
}

// txnCommit is of the producer p with the epoch e.
func (s *script) txnCommit(name string, a args) {
	r := TxnCommitRequest{s.commitRequest(name, a), shard.Producer{ID: model.ProducerID(a.number("p", 7)), Epoch: int16(a.number("e", 0))}}
	s.run(s.m.TxnCommit(s.now, r, func(o CommitReply) { s.each("txn-commit", r.partitions(), o) }))
}

func (s *script) marker(name string, a args) {
	m := record.Marker{Producer: model.ProducerID(a.number("p", 7)), ProducerEpoch: int16(a.number("e", 0))}
	if name == "commit" {
		m.Type = record.Commit
	}
	s.run(s.m.Marker(s.now, m, false, func(err error) { s.say("marker %s", problem(err)) }))
}

func (s *script) each(what string, tps []model.TopicPartition, o CommitReply) {
	out := problem(o.Err)
	for i, err := range o.Offsets {
		if o.Err == nil {
			out += fmt.Sprintf(" %s:%s", tps[i], problem(err))
		}
	}
	s.say("%s %s", what, out)
}

func (s *script) fetch(_ string, a args) {
	r := FetchRequest{Group: a.text("group", "g"), Stable: a["stable"] == "yes"}
	if a["offsets"] != "" {
		r.Partitions, _ = a.partitions("offsets")
	}
	out := "fetch"
	for _, f := range s.m.Fetch(r).Offsets {
		if out += fmt.Sprintf(" %s=%d", f.TopicPartition, f.Offset); f.Err != nil {
			out += problem(f.Err)
		}
	}
	s.say("%s", out)
}

func (s *script) deleteOffsets(_ string, a args) {
	r := DeleteOffsetsRequest{Group: a.text("group", "g")}
	r.Partitions, _ = a.partitions("offsets")
	s.run(s.m.DeleteOffsets(s.now, r, func(o DeleteOffsetsReply) { s.each("delete-offsets", r.Partitions, o) }))
}

func (s *script) deleteGroups(_ string, a args) {
	groups := strings.Split(a["groups"], ",")
	s.run(s.m.Delete(s.now, groups, func(o DeleteReply) {
		out := problem(o.Err)
		for i, err := range o.Groups {
			out += fmt.Sprintf(" %s:%s", groups[i], problem(err))
		}
		s.say("delete-groups %s", out)
	}))
}

func (s *script) describe(_ string, a args) {
	s.run(s.m.Describe(strings.Split(a.text("groups", "g"), ","), func(ds []Description, err error) {
		for _, d := range ds {
			s.say("describe %s %s %s", d.Group, problem(d.Err), showDescription(d))
		}
	}))
}

func (s *script) list(_ string, a args) {
	var r ListRequest
	if v, ok := a["states"]; ok {
		r.States = strings.Split(v, ",")
	}
	if v, ok := a["types"]; ok {
		r.Types = strings.Split(v, ",")
	}
	s.run(s.m.List(r, func(all []Listed, err error) {
		out := "list " + problem(err)
		for _, l := range all {
			out += fmt.Sprintf(" %s(%s,%s,%s)", l.Group, l.ProtocolType, l.State, l.Type)
		}
		s.say("%s", out)
	}))
}
