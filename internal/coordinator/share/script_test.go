package share

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"chronik/internal/model"
)

// TestScripts: after each script a machine that is loaded from what the log holds is the same.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := script{newWorld(t)}
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

type script struct{ *world }

type args map[string]string

func (a args) number(key string, otherwise int) int {
	if n, err := strconv.Atoi(a[key]); err == nil {
		return n
	}
	return otherwise
}

// key is what "t-0" means to group g.
func (a args) key(name string) Key {
	topic, n, _ := strings.Cut(name, "-")
	p, _ := strconv.Atoi(n)
	k := Key{Group: "g", TopicID: topicID(topic), Partition: int32(p)}
	if g, ok := a["group"]; ok {
		k.Group = g
	}
	return k
}

// batches are those of "0-4:acknowledged*1,7:available*2".
func (a args) batches() (out []Batch) {
	for _, x := range strings.Split(a["batches"], ",") {
		offsets, fate, ok := strings.Cut(x, ":")
		if !ok {
			continue
		}
		state, count, _ := strings.Cut(fate, "*")
		first, last, _ := strings.Cut(offsets, "-")
		if last == "" {
			last = first
		}
		var b Batch
		f, _ := strconv.Atoi(first)
		l, _ := strconv.Atoi(last)
		n, _ := strconv.Atoi(count)
		b.First, b.Last, b.Deliveries = model.Offset(f), model.Offset(l), int16(n)
		for s, name := range letters {
			if name == state {
				b.State = s
			}
		}
		if state == "acquired" {
			b.State = Acquired
		}
		out = append(out, b)
	}
	return out
}

func problem(err error) string {
	if err == nil {
		return "ok"
	}
	return "(" + err.Error() + ")"
}

func (s script) say(what string) func(error) {
	return func(err error) { fmt.Fprintf(&s.out, "%s %s\n", what, problem(err)) }
}

func (s script) tell(what string) func(State, error) {
	return func(st State, err error) {
		if s.say(what)(err); err == nil {
			fmt.Fprintf(&s.out, "  %s\n", showState(st))
		}
	}
}

func (s script) do(t *testing.T, words []string) {
	name, a := "", args{}
	for i, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if a[key] = value; !ok && i == 0 {
			name = word
		}
	}
	if s.ask(words[0], name, a) {
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
	case "prune":
		s.prune()
		fmt.Fprintf(&s.out, "the log begins at %d\n", s.Start)
	case "advance":
		d, err := time.ParseDuration(name)
		if err != nil {
			t.Fatal(err)
		}
		s.advance(d)
	case "topic-deleted":
		s.deleteTopic(name)
	default:
		t.Fatalf("what is %s?", words[0])
	}
}

func (s script) ask(what, name string, a args) bool {
	k, leader, epoch := a.key(name), int32(a.number("leader", AnyEpoch)), int32(a.number("epoch", AnyEpoch))
	start := model.Offset(a.number("start", -1))
	switch what {
	case "initialize":
		s.run(s.m.Initialize(s.now, InitializeRequest{k, epoch, start}, s.say(what)))
	case "read":
		s.run(s.m.Read(s.now, ReadRequest{k, leader}, s.tell(what)))
	case "write":
		r := WriteRequest{Key: k, StateEpoch: epoch, LeaderEpoch: leader, Start: start, Complete: int32(a.number("complete", 0)), Batches: a.batches()}
		s.run(s.m.Write(s.now, r, s.say(what)))
	case "summarize":
		s.run(s.m.Summarize(k, s.tell(what)))
	case "delete":
		s.run(s.m.Delete(k, s.say(what)))
	default:
		return false
	}
	return true
}
