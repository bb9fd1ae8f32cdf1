package streams

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/image"
)

// Metadata is the cluster's topics.
type Metadata interface {
	Partitions(topic string) (int32, bool)
	Topics() iter.Seq[string] // all names
}

// FromImage is the topics of an image.
func FromImage(im *image.Image) Metadata { return topics{im} }

type topics struct{ im *image.Image }

func (t topics) Partitions(topic string) (int32, bool) {
	if x := t.im.Topic(topic); x != nil {
		return int32(len(x.Partitions)), true
	}
	return 0, false
}

func (t topics) Topics() iter.Seq[string] {
	return func(yield func(string) bool) {
		for x := range t.im.Topics() {
			if !yield(x.Name) {
				return
			}
		}
	}
}

// Problem is why a topology cannot run yet. The numbers are those of the status in a heartbeat's answer.
type Problem int8

const (
	NoProblem              Problem = -1
	MissingSourceTopics    Problem = 1 // somebody has to create them
	IncorrectlyPartitioned Problem = 2 // somebody has to create them anew
	MissingInternalTopics  Problem = 3 // the coordinator is to create them: Configured.Missing
)

// Configured is a topology held against the topics that there are. Without Subtopologies nothing can be assigned.
type Configured struct {
	Epoch         int32
	Subtopologies []Subtopology // by ID
	Missing       []NewTopic    // internal topics to be created, by name
	Problem       Problem
	Detail        string // what a person is told of the problem
}

// Subtopology is one with its tasks, which are numbered from 0 like the partitions that they read.
type Subtopology struct {
	ID       string
	Tasks    int32
	Stateful bool
	Sources  []string // what its tasks read, by name: topics of others and repartition topics
}

// NewTopic is an internal topic to be created.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // -1: the default
	Configs           []schema.KeyValue
}

// Configure holds a topology that is valid against the topics that there are. The error wraps ErrInvalidTopology.
func Configure(t *schema.StreamsTopology, md Metadata) (Configured, error) {
	out := Configured{Epoch: t.Epoch, Problem: NoProblem}
	p, err := newPlan(t, md)
	if err != nil {
		return out, err
	}
	if missing := p.missingSources(); len(missing) > 0 {
		out.Problem, out.Detail = MissingSourceTopics, fmt.Sprintf("Source topics %s are missing.", summary(missing))
		return out, nil
	}
	if err := p.decide(); err != nil {
		return out, err
	}
	if p.mismatch == "" {
		p.finish(&out)
	}
	if p.mismatch != "" {
		return Configured{Epoch: t.Epoch, Problem: IncorrectlyPartitioned, Detail: p.mismatch}, nil
	}
	return out, nil
}

// finish counts tasks, and compares internal topics with those that there are.
func (p *plan) finish(out *Configured) {
	wanted := make(map[string]NewTopic)
	for _, s := range p.subtopologies {
		tasks := p.tasks(s)
		out.Subtopologies = append(out.Subtopologies, Subtopology{s.SubtopologyID, tasks, len(s.StateChangelogTopics) > 0, s.sources})
		for _, r := range s.RepartitionSourceTopics {
			wanted[r.Name] = newTopic(r, p.decided[r.Name])
		}
		for _, c := range s.StateChangelogTopics {
			wanted[c.Name] = newTopic(c, tasks)
		}
	}
	var names []string
	for _, name := range sorted(wanted) {
		n := wanted[name]
		if have, ok := p.md.Partitions(name); !ok {
			out.Missing = append(out.Missing, n)
			names = append(names, name)
		} else if have != n.Partitions && p.mismatch == "" {
			p.mismatch = fmt.Sprintf("Topic %s has %d partitions, the topology needs %d. Delete it, or the topic that it depends on, and start again.", name, have, n.Partitions)
		}
	}
	if len(names) > 0 {
		out.Problem, out.Detail = MissingInternalTopics, fmt.Sprintf("Internal topics are missing: %s.", summary(names))
	}
}

func newTopic(t schema.InternalTopic, partitions int32) NewTopic {
	n := NewTopic{t.Name, partitions, t.ReplicationFactor, t.TopicConfigs}
	if n.ReplicationFactor == 0 {
		n.ReplicationFactor = -1
	}
	return n
}

// Read returns which partitions of its sources some tasks of a subtopology read: those that the topic has of their numbers.
func (s *Subtopology) Read(md Metadata, tasks []int32) map[string][]int32 {
	out := make(map[string][]int32, len(s.Sources))
	for _, topic := range s.Sources {
		n, _ := md.Partitions(topic)
		for _, task := range tasks {
			if task < n {
				out[topic] = append(out[topic], task)
			}
		}
		slices.Sort(out[topic])
	}
	return out
}

// summary names some of many.
func summary(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}
