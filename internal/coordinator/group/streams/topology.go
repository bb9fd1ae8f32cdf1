package streams

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// ErrInvalidTopology is Kafka's STREAMS_INVALID_TOPOLOGY: no cluster can run it.
var ErrInvalidTopology = errors.New("the topology is invalid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidTopology, fmt.Sprintf(format, args...))
}

// Validate refuses what no topology may be, whatever topics there are. Errors wrap ErrInvalidTopology.
func Validate(t *schema.StreamsTopology) error {
	if t.Epoch < 0 {
		return invalid("its epoch is %d", t.Epoch)
	}
	ids, sinks := make(map[string]bool), make(map[string]bool)
	for i := range t.Subtopologies {
		for _, name := range t.Subtopologies[i].RepartitionSinkTopics {
			sinks[name] = true
		}
	}
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		if ids[s.SubtopologyID] {
			return invalid("subtopology %s is there twice", s.SubtopologyID)
		}
		ids[s.SubtopologyID] = true
		if err := validate(s); err != nil {
			return err
		}
		for _, r := range s.RepartitionSourceTopics {
			if r.Partitions == 0 && !sinks[r.Name] {
				return invalid("repartition topic %s has no number of partitions, and no subtopology that writes it", r.Name)
			}
		}
	}
	return nil
}

// validate looks at one subtopology.
func validate(s *schema.Subtopology) error {
	if len(s.SourceTopics)+len(s.SourceTopicRegex)+len(s.RepartitionSourceTopics) == 0 {
		return invalid("subtopology %s has no source topics", s.SubtopologyID)
	}
	for _, c := range s.StateChangelogTopics {
		if c.Partitions != 0 {
			return invalid("changelog topic %s has %d partitions: leave it out, it has as many as the subtopology has tasks", c.Name, c.Partitions)
		}
	}
	names := slices.Concat(s.SourceTopics, s.RepartitionSinkTopics)
	for _, topics := range [][]schema.InternalTopic{s.StateChangelogTopics, s.RepartitionSourceTopics} {
		for _, t := range topics {
			names = append(names, t.Name)
			if t.Partitions < 0 {
				return invalid("topic %s has %d partitions", t.Name, t.Partitions)
			}
		}
	}
	for _, name := range names {
		if err := model.CheckTopicName(name); err != nil {
			return invalid("%v", err)
		}
		if name == schema.Groups.Name || name == schema.Transactions.Name || name == schema.Shares.Name {
			return invalid("topic %s is the brokers' own", name)
		}
	}
	for _, p := range s.SourceTopicRegex {
		if _, err := compile(p); err != nil {
			return invalid("subtopology %s: %v", s.SubtopologyID, err)
		}
	}
	for _, g := range s.CopartitionGroups {
		for _, x := range []struct {
			places []int16
			of     int
		}{{g.SourceTopics, len(s.SourceTopics)}, {g.SourceTopicRegex, len(s.SourceTopicRegex)}, {g.RepartitionSourceTopics, len(s.RepartitionSourceTopics)}} {
			for _, at := range x.places {
				if at < 0 || int(at) >= x.of {
					return invalid("subtopology %s: topics to be partitioned alike are at place %d of %d", s.SubtopologyID, at, x.of)
				}
			}
		}
	}
	return nil
}

// compile reads a pattern that is to match whole names.
func compile(pattern string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + pattern + ")$") }
