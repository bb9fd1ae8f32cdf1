package streams

import (
	"iter"
	"maps"
	"slices"

	"chronik/internal/coordinator/schema"
)

// Reader is the subtopology that reads a topic, if one does.
func Reader(t *schema.StreamsTopology, topic string) (id string, ok bool) {
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		if slices.Contains(s.SourceTopics, topic) || slices.ContainsFunc(s.RepartitionSourceTopics, func(r schema.InternalTopic) bool { return r.Name == topic }) {
			return s.SubtopologyID, true
		}
	}
	for i := range t.Subtopologies {
		for _, pattern := range t.Subtopologies[i].SourceTopicRegex {
			if re, err := compile(pattern); err == nil && re.MatchString(topic) {
				return t.Subtopologies[i].SubtopologyID, true
			}
		}
	}
	return "", false
}

// Topics are the names of all topics that a topology needs, each once, in no order: whatever happens to one of them may matter to it.
func Topics(t *schema.StreamsTopology, md Metadata) iter.Seq[string] {
	all := make(map[string]bool)
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		for _, name := range s.SourceTopics {
			all[name] = true
		}
		for _, topics := range [][]schema.InternalTopic{s.RepartitionSourceTopics, s.StateChangelogTopics} {
			for _, x := range topics {
				all[x.Name] = true
			}
		}
		for _, pattern := range s.SourceTopicRegex {
			re, err := compile(pattern)
			if err != nil {
				continue // no such topology is written
			}
			for name := range md.Topics() {
				if re.MatchString(name) {
					all[name] = true
				}
			}
		}
	}
	return maps.Keys(all)
}

// SameTopology tells whether two topologies are the same, in whatever order their subtopologies are.
func SameTopology(a, b *schema.StreamsTopology) bool {
	if a.Epoch != b.Epoch || len(a.Subtopologies) != len(b.Subtopologies) {
		return false
	}
	by := make(map[string]*schema.Subtopology, len(a.Subtopologies))
	for i := range a.Subtopologies {
		by[a.Subtopologies[i].SubtopologyID] = &a.Subtopologies[i]
	}
	for i := range b.Subtopologies {
		x := by[b.Subtopologies[i].SubtopologyID]
		if x == nil || !sameSubtopology(x, &b.Subtopologies[i]) {
			return false
		}
	}
	return true
}

func sameSubtopology(a, b *schema.Subtopology) bool {
	topic := func(x, y schema.InternalTopic) bool {
		return x.Name == y.Name && x.Partitions == y.Partitions && x.ReplicationFactor == y.ReplicationFactor &&
			slices.EqualFunc(x.TopicConfigs, y.TopicConfigs, func(c, d schema.KeyValue) bool { return c.Key == d.Key && c.Value == d.Value })
	}
	return slices.Equal(a.SourceTopics, b.SourceTopics) && slices.Equal(a.SourceTopicRegex, b.SourceTopicRegex) &&
		slices.Equal(a.RepartitionSinkTopics, b.RepartitionSinkTopics) &&
		slices.EqualFunc(a.StateChangelogTopics, b.StateChangelogTopics, topic) && slices.EqualFunc(a.RepartitionSourceTopics, b.RepartitionSourceTopics, topic) &&
		slices.EqualFunc(a.CopartitionGroups, b.CopartitionGroups, func(x, y schema.CopartitionGroup) bool {
			return slices.Equal(x.SourceTopics, y.SourceTopics) && slices.Equal(x.SourceTopicRegex, y.SourceTopicRegex) &&
				slices.Equal(x.RepartitionSourceTopics, y.RepartitionSourceTopics)
		})
}
