package assign

import (
	"cmp"
	"slices"
	"strings"
)

// Range gives the subscribers of each topic consecutive partitions of it, as many to each, and one more to the first ones. Members come in
// the same order for each topic, so that who is subscribed to topics of as many partitions has the same numbers of all. Static members
// come first, by their instances: they keep their place when they start anew with another ID.
func Range(g Group) []Partitions {
	subscribers := make([]int32, len(g.Topics))
	for i := range g.Members {
		for _, t := range g.Members[i].Topics {
			subscribers[t]++
		}
	}
	given, next := make([]int32, len(g.Topics)), make([]int32, len(g.Topics))
	out := make([]Partitions, len(g.Members))
	for _, m := range inOrder(g.Members) {
		for _, t := range g.Members[m].Topics {
			topic := g.Topics[t]
			share := topic.Partitions / subscribers[t]
			if given[t] < topic.Partitions%subscribers[t] {
				share++
			}
			given[t]++
			if share == 0 {
				continue
			}
			p := TopicPartitions{Topic: topic.ID, Partitions: make([]int32, share)}
			for i := range p.Partitions {
				p.Partitions[i] = next[t] + int32(i)
			}
			next[t] += share
			out[m] = append(out[m], p)
		}
	}
	return out
}

// inOrder are the indices of members: static ones first.
func inOrder(members []Member) []int {
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &members[i], &members[j]
		switch {
		case a.Instance != "" && b.Instance == "":
			return -1
		case a.Instance == "" && b.Instance != "":
			return 1
		}
		return cmp.Or(strings.Compare(a.Instance, b.Instance), strings.Compare(a.ID, b.ID))
	})
	return order
}
