package txn

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// TestScripts: after each script a machine that is loaded from the records it wrote is the same.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{world: newWorld(t), producers: make(map[string]Producer)}
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

// script is a world with a producer for each transactional ID, which remembers what it was told.
type script struct {
	*world
	producers map[string]Producer
}

type args map[string]string

func (a args) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(a[key]); err == nil {
		return n
	}
	return otherwise
}

// producer is "ID/epoch".
func (a args) producer(key string, otherwise Producer) Producer {
	id, epoch, ok := strings.Cut(a[key], "/")
	if !ok {
		return otherwise
	}
	n, _ := strconv.Atoi(id)
	e, _ := strconv.Atoi(epoch)
	return Producer{ID: model.ProducerID(n), Epoch: int16(e)}
}

// wait is how long the request may be held.
func (a args) wait() time.Duration { return time.Duration(a.number("wait", 0)) * time.Millisecond }

// partitions are those of "t-0,t-1".
func partitions(s string) (out []model.TopicPartition) {
	for _, p := range strings.Split(s, ",") {
		if i := strings.LastIndex(p, "-"); i > 0 {
			n, _ := strconv.Atoi(p[i+1:])
			out = append(out, model.TopicPartition{Topic: p[:i], Partition: int32(n)})
		}
	}
	return out
}

// ids are the IDs of topics, "1,2".
func (a args) ids() (out []model.TopicID) {
	for _, s := range strings.Split(a["ids"], ",") {
		n, _ := strconv.Atoi(s)
		out = append(out, model.TopicID{byte(n)})
	}
	return out
}

func problem(err error) string {
	if err == nil {
		return "ok"
	}
	return "(" + err.Error() + ")"
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
	requests := map[string]func(string, args){
		"init": s.init, "add": s.add, "verify": s.verify, "commit": s.commit, "abort": s.abort, "written": s.written, "describe": s.describe, "list": s.list,
		"epoch": s.epoch,
	}
	if f, ok := requests[words[0]]; ok {
		f(name, a)
		return
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
	case "clock": // the wall clock is set
		s.now = s.now.Add(time.Duration(a.number("ms", 0)) * time.Millisecond)
	case "ids":
		s.dry = name == "none"
		s.give()
	case "version":
		s.config.Version = Version(a.number("v", 2))
		s.m.Config = s.config
	case "topic-unseen": // deleted, and the coordinator is not told
		s.change(command.Delete(s.image.Topic(name).ID))
	case "topic-deleted":
		s.deleteTopic(name, byte(a.number("again", 0)))
	default:
		t.Fatalf("what is %s?", words[0])
	}
}

func (s *script) init(id string, a args) {
	r := InitRequest{TransactionalID: id, TimeoutMs: int32(a.number("timeout", 10_000)), Wait: a.wait()}
	if a["expected"] == "mine" {
		p := s.producers[id]
		r.Expected = &p
	} else if p := a.producer("expected", noProducer); p != noProducer {
		r.Expected = &p
	}
	if id == "-" {
		r.TransactionalID = ""
	}
	s.run(s.m.InitProducerID(s.now, r, func(o InitReply) {
		if o.Err == nil && a["lost"] == "" {
			s.producers[id] = o.Producer
		}
		s.say("init %s %s %s", id, problem(o.Err), showProducer(o.Producer))
	}))
}

func (s *script) add(id string, a args) {
	r := AddRequest{TransactionalID: id, Producer: a.producer("p", s.producers[id]), Version: Version(a.number("v", 2)), Partitions: partitions(a["partitions"]), TopicIDs: a.ids(), Wait: a.wait()}
	s.run(s.m.AddPartitions(s.now, r, func(err error) { s.say("add %s %s", id, problem(err)) }))
}

func (s *script) verify(id string, a args) {
	r := AddRequest{TransactionalID: id, Producer: a.producer("p", s.producers[id]), Partitions: partitions(a["partitions"]), TopicIDs: a.ids(), Wait: a.wait()}
	s.run(s.m.Verify(s.now, r, func(o VerifyReply) {
		out := problem(o.Err)
		for i, err := range o.Partitions {
			if o.Err == nil {
				out += fmt.Sprintf(" %s:%s", r.Partitions[i], problem(err))
			}
		}
		s.say("verify %s %s", id, out)
	}))
}

func (s *script) commit(id string, a args) { s.endTxn(id, a, true) }

func (s *script) abort(id string, a args) { s.endTxn(id, a, false) }

func (s *script) endTxn(id string, a args, commit bool) {
	r := EndRequest{TransactionalID: id, Producer: a.producer("p", s.producers[id]), Version: Version(a.number("v", 2)), Commit: commit, Wait: a.wait()}
	s.run(s.m.EndTxn(s.now, r, func(o EndReply) {
		if o.Err == nil && o.Producer != noProducer && a["lost"] == "" {
			s.producers[id] = o.Producer
		}
		s.say("%s %s %s %s", map[bool]string{true: "commit", false: "abort"}[commit], id, problem(o.Err), showProducer(o.Producer))
	}))
}

// written tells of markers: of all partitions if none are named, of the last that were sent or of those before.
func (s *script) written(id string, a args) {
	before := a.number("before", 0)
	for i := len(s.sent) - 1; i >= 0; i-- {
		if e := s.sent[i]; e.TransactionalID == id {
			if before--; before >= 0 {
				continue
			}
			tps := partitions(a["partitions"])
			if tps == nil {
				tps = e.Partitions
			}
			s.run(s.m.Written(s.now, e, tps))
			return
		}
	}
	s.say("no markers were sent")
}

// epoch lets a producer go through all epochs up to one.
func (s *script) epoch(id string, a args) {
	to := int16(a.number("to", 0))
	for s.producers[id].Epoch < to {
		p := s.producers[id]
		s.run(s.m.InitProducerID(s.now, InitRequest{TransactionalID: id, TimeoutMs: 10_000, Expected: &p}, func(o InitReply) {
			if s.producers[id] = o.Producer; o.Err != nil {
				s.t.Fatal(o.Err)
			}
		}))
	}
	s.out.Reset()
	s.say("epoch %s %s", id, showProducer(s.producers[id]))
}

func (s *script) describe(id string, _ args) {
	id = strings.TrimPrefix(id, "-")
	s.run(s.m.Describe(s.now, id, func(d Description) {
		s.say("describe %s %s %s %v timeout=%d start=%d %s", d.TransactionalID, problem(d.Err), showProducer(d.Producer), d.State, d.TimeoutMs, d.StartMs, join(d.Partitions))
	}))
}

func (s *script) list(_ string, a args) {
	r := ListRequest{DurationMs: int64(a.number("longer", -1))}
	if v, ok := a["states"]; ok {
		r.States = strings.Split(v, ",")
	}
	if n := a.number("producer", 0); n != 0 {
		r.Producers = []model.ProducerID{model.ProducerID(n)}
	}
	if v, ok := a["pattern"]; ok {
		r.Pattern = regexp.MustCompile(`\A(?:` + v + `)\z`)
	}
	s.run(s.m.List(s.now, r, func(o ListReply) {
		out := "list " + problem(o.Err)
		for _, l := range o.Transactions {
			out += fmt.Sprintf(" %s(%d,%v)", l.TransactionalID, l.Producer, l.State)
		}
		if o.Unknown != nil {
			out += " unknown: " + strings.Join(o.Unknown, ",")
		}
		s.say("%s", out)
	}))
}
