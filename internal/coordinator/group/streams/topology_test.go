package streams

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"

	"chronik/internal/coordinator/schema"
)

// cluster is topics and their numbers of partitions.
type cluster map[string]int32

func (c cluster) Partitions(topic string) (int32, bool) {
	n, ok := c[topic]
	return n, ok
}

func (c cluster) Topics() iter.Seq[string] { return maps.Keys(c) }

// topology reads "id: a ~pat.* >sink <repartition <fixed=3 !changelog &0,1": sources, patterns, repartition topics that are written
// and read, changelogs, and which of all sources are to be partitioned alike.
func topology(lines ...string) *schema.StreamsTopology {
	t := &schema.StreamsTopology{Epoch: 1}
	for _, line := range lines {
		id, rest, _ := strings.Cut(line, ":")
		s := schema.Subtopology{SubtopologyID: id}
		for _, word := range strings.Fields(rest) {
			name, text, _ := strings.Cut(word[1:], "=")
			topic := schema.InternalTopic{Name: name}
			fmt.Sscan(text, &topic.Partitions)
			switch word[0] {
			case '>':
				s.RepartitionSinkTopics = append(s.RepartitionSinkTopics, name)
			case '<':
				s.RepartitionSourceTopics = append(s.RepartitionSourceTopics, topic)
			case '!':
				topic.TopicConfigs = []schema.KeyValue{{Key: "cleanup.policy", Value: "compact"}}
				s.StateChangelogTopics = append(s.StateChangelogTopics, topic)
			case '~':
				s.SourceTopicRegex = append(s.SourceTopicRegex, word[1:])
			case '&':
				var g schema.CopartitionGroup
				for i := range s.SourceTopics {
					g.SourceTopics = append(g.SourceTopics, int16(i))
				}
				for i := range s.SourceTopicRegex {
					g.SourceTopicRegex = append(g.SourceTopicRegex, int16(i))
				}
				for i := range s.RepartitionSourceTopics {
					g.RepartitionSourceTopics = append(g.RepartitionSourceTopics, int16(i))
				}
				s.CopartitionGroups = append(s.CopartitionGroups, g)
			default:
				s.SourceTopics = append(s.SourceTopics, word)
			}
		}
		t.Subtopologies = append(t.Subtopologies, s)
	}
	return t
}

func showConfigured(c Configured) string {
	var out []string
	for _, s := range c.Subtopologies {
		stateful := map[bool]string{true: "!"}[s.Stateful]
		out = append(out, fmt.Sprintf("%s%s*%d", s.ID, stateful, s.Tasks))
	}
	for _, n := range c.Missing {
		out = append(out, fmt.Sprintf("+%s=%d", n.Name, n.Partitions))
	}
	if c.Problem == MissingSourceTopics || c.Problem == IncorrectlyPartitioned {
		out = append(out, c.Detail)
	}
	return strings.Join(out, " ")
}

func TestConfigure(t *testing.T) {
	topics := cluster{"a": 4, "b": 6, "c": 4}
	for _, x := range []struct {
		what string
		have cluster
		t    *schema.StreamsTopology
		want string
	}{
		{"as many tasks as the largest source", topics, topology("0: a b"), "0*6"},
		{"a changelog per store", topics, topology("0: a !s"), "0!*4 +s=4"},
		{"a repartition topic like who writes it", topics, topology("1: <r !s", "0: a b >r"), "0*6 1!*6 +r=6 +s=6"},
		{"through a chain, in any order", topics, topology("0: <q", "1: <r >q", "2: a >r"), "0*4 1*4 2*4 +q=4 +r=4"},
		{"with a number of its own", topics, topology("0: a >r", "1: <r=9 !s"), "0*4 1!*9 +r=9 +s=9"},
		{"like what it is joined with", topics, topology("0: b >r", "1: a <r &"), "0*6 1*4 +r=4"},
		{"like the largest of those that are free", topics, topology("0: a >q", "1: b >r", "2: <q <r &"), "0*4 1*6 2*6 +q=6 +r=6"},
		{"like the one that is not free", topics, topology("0: a >q", "1: b >r", "2: <q=3 <r &"), "0*4 1*6 2*3 +q=3 +r=3"},
		{"one that has a number elsewhere does not matter", topics, topology("0: a >q >p", "1: b >r", "2: <q <r &", "3: <p=2"), "0*4 1*6 2*6 3*2 +p=2 +q=6 +r=6"},
		{"joined with another size", topics, topology("0: a b &"), "Topics that subtopology 0 reads together have different numbers of partitions: a has 4, b has 6."},
		{"joined with another number", topics, topology("0: a >r", "1: a <r=3 &"), "Topics that subtopology 1 reads together have different numbers of partitions: a has 4, r has 3."},
		{"a loop with an entrance", topics, topology("0: a <r >r"), "0*4 +r=4"},
		{"two loops", topics, topology("0: a <q >r", "1: <r >q"), "0*4 1*4 +q=4 +r=4"},
		{"a missing source", topics, topology("0: a x y z w"), "Source topics w, x, y and 1 more are missing."},
		{"a pattern", topics, topology("0: ~[ab]"), "0*6"},
		{"a pattern for whole names", cluster{"ab": 3, "a": 1}, topology("0: ~a.?|x"), "0*3"},
		{"a pattern that matches nothing", topics, topology("0: ~x.*"), "Source topics x.* are missing."},
		{"internal topics that are there", cluster{"a": 4, "r": 4, "s": 4}, topology("0: a >r", "1: <r !s"), "0*4 1!*4"},
		{"one that has another size", cluster{"a": 4, "r": 5}, topology("0: a >r", "1: <r"),
			"Topic r has 5 partitions, the topology needs 4. Delete it, or the topic that it depends on, and start again."},
		{"a changelog that has another size", cluster{"a": 4, "s": 5}, topology("0: a !s"),
			"Topic s has 5 partitions, the topology needs 4. Delete it, or the topic that it depends on, and start again."},
	} {
		if err := Validate(x.t); err != nil {
			t.Errorf("%s: %v", x.what, err)
		}
		if got, err := Configure(x.t, x.have); err != nil || showConfigured(got) != x.want {
			t.Errorf("%s: %s, %v, want %s", x.what, showConfigured(got), err, x.want)
		}
	}
}

func TestInvalid(t *testing.T) {
	bad := topology("0: a")
	bad.Subtopologies[0].CopartitionGroups = []schema.CopartitionGroup{{SourceTopics: []int16{1}}}
	old := topology("0: a")
	old.Epoch = -1
	for _, x := range []*schema.StreamsTopology{
		old, bad, topology("0: a", "0: b"), topology("0: !s"), topology("0: a !s=3"), topology("0: <r"), topology("0: ~(a"), topology("0: a !b/d"), topology("0: a/b"), topology("0: a >__consumer_offsets"), topology("0: a <r=-1"),
	} {
		if err := Validate(x); !errors.Is(err, ErrInvalidTopology) {
			t.Errorf("%+v: %v", x, err)
		}
	}
	if got, err := Configure(topology("0: <q >r", "1: <r >q"), cluster{}); !errors.Is(err, ErrInvalidTopology) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestNewTopics(t *testing.T) {
	x := topology("0: a !s")
	x.Subtopologies[0].StateChangelogTopics[0].ReplicationFactor = 2
	x.Subtopologies[0].RepartitionSinkTopics = []string{"r"}
	x.Subtopologies = append(x.Subtopologies, topology("1: <r").Subtopologies...)
	got, err := Configure(x, cluster{"a": 3})
	if err != nil || got.Problem != MissingInternalTopics || got.Detail != "Internal topics are missing: r, s." {
		t.Fatalf("%+v, %v", got, err)
	}
	if r, s := got.Missing[0], got.Missing[1]; r.ReplicationFactor != -1 || s.ReplicationFactor != 2 || s.Configs[0].Value != "compact" {
		t.Errorf("%+v", got.Missing)
	}
}

func TestRead(t *testing.T) {
	md := cluster{"a": 2, "b": 5}
	s := Subtopology{Sources: []string{"a", "b"}}
	if got := fmt.Sprint(s.Read(md, []int32{4, 1})); got != "map[a:[1] b:[1 4]]" {
		t.Error(got)
	}
}
