package assign

import (
	"bytes"
	"iter"
	"slices"

	"chronik/internal/model"
)

// Partitions are a set of partitions, sorted by topic ID; no topic is there without a partition. They are not changed once made.
type Partitions []TopicPartitions

// TopicPartitions are the partitions of a topic, in order, none twice.
type TopicPartitions struct {
	Topic      model.TopicID
	Partitions []int32
}

// Compare orders topics.
func Compare(a, b model.TopicID) int { return bytes.Compare(a[:], b[:]) }

// Of makes a set out of what comes in any order, perhaps twice.
func Of(all []TopicPartitions) Partitions {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b TopicPartitions) int { return Compare(a.Topic, b.Topic) })
	var out Partitions
	for _, t := range sorted {
		if len(t.Partitions) == 0 {
			continue
		}
		if last := len(out) - 1; last >= 0 && out[last].Topic == t.Topic {
			out[last].Partitions = append(out[last].Partitions, t.Partitions...)
		} else {
			out = append(out, TopicPartitions{t.Topic, slices.Clone(t.Partitions)})
		}
	}
	for i := range out {
		slices.Sort(out[i].Partitions)
		out[i].Partitions = slices.Compact(out[i].Partitions)
	}
	return out
}

// topic returns a topic's partitions.
func (p Partitions) topic(id model.TopicID) []int32 {
	i, ok := slices.BinarySearchFunc(p, id, func(t TopicPartitions, id model.TopicID) int { return Compare(t.Topic, id) })
	if !ok {
		return nil
	}
	return p[i].Partitions
}

// Contains tells whether a partition is in the set.
func (p Partitions) Contains(topic model.TopicID, partition int32) bool {
	_, ok := slices.BinarySearch(p.topic(topic), partition)
	return ok
}

// Has tells whether there are partitions of a topic.
func (p Partitions) Has(topic model.TopicID) bool { return len(p.topic(topic)) > 0 }

// Of returns a topic's partitions, in order. They must not be changed.
func (p Partitions) Of(topic model.TopicID) []int32 { return p.topic(topic) }

// Count is how many partitions there are.
func (p Partitions) Count() int {
	n := 0
	for i := range p {
		n += len(p[i].Partitions)
	}
	return n
}

// All yields the partitions in order.
func (p Partitions) All() iter.Seq2[model.TopicID, int32] {
	return func(yield func(model.TopicID, int32) bool) {
		for i := range p {
			for _, n := range p[i].Partitions {
				if !yield(p[i].Topic, n) {
					return
				}
			}
		}
	}
}

// Equal tells whether two sets are the same.
func (p Partitions) Equal(o Partitions) bool {
	return slices.EqualFunc(p, o, func(a, b TopicPartitions) bool { return a.Topic == b.Topic && slices.Equal(a.Partitions, b.Partitions) })
}

// Filter returns those partitions that pass.
func (p Partitions) Filter(pass func(model.TopicID, int32) bool) Partitions {
	var out Partitions
	for i := range p {
		var kept []int32
		for _, n := range p[i].Partitions {
			if pass(p[i].Topic, n) {
				kept = append(kept, n)
			}
		}
		if len(kept) > 0 {
			out = append(out, TopicPartitions{p[i].Topic, kept})
		}
	}
	return out
}

// And returns what is in both sets.
func (p Partitions) And(o Partitions) Partitions { return p.Filter(o.Contains) }

// Minus returns what is not in the other set.
func (p Partitions) Minus(o Partitions) Partitions {
	return p.Filter(func(t model.TopicID, n int32) bool { return !o.Contains(t, n) })
}

// Or returns what is in one of the sets.
func (p Partitions) Or(o Partitions) Partitions {
	switch {
	case len(o) == 0:
		return p
	case len(p) == 0:
		return o
	}
	return Of(slices.Concat(p, o))
}

// Within tells whether all are in the other set.
func (p Partitions) Within(o Partitions) bool {
	for t, n := range p.All() {
		if !o.Contains(t, n) {
			return false
		}
	}
	return true
}
