package assign

import (
	"cmp"
	"slices"
)

// maxRounds is how often all topics are gone through at most to even out their subscribers. Where subscriptions overlap a move may make
// room for another one elsewhere; each round about halves what is left to do.
const maxRounds = 16

// balance is for members that are subscribed to different topics.
func (o *owners) balance() {
	subscribers := make([][]int32, len(o.group.Topics))
	for m := range o.group.Members {
		for _, t := range o.group.Members[m].Topics {
			subscribers[t] = append(subscribers[t], int32(m))
		}
	}
	order := make([]int, 0, len(subscribers))
	for t := range subscribers {
		if len(subscribers[t]) > 0 {
			order = append(order, t)
		}
	}
	// Topics whose subscribers must take the most come first: the others can still make up for it.
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := int64(o.group.Topics[a].Partitions)*int64(len(subscribers[b])), int64(o.group.Topics[b].Partitions)*int64(len(subscribers[a]))
		return cmp.Or(cmp.Compare(y, x), cmp.Compare(len(subscribers[a]), len(subscribers[b])))
	})
	for _, t := range order {
		for p := o.first[t]; p < o.first[t+1]; p++ {
			if o.of[p] == nobody {
				o.give(p, o.least(subscribers[t]))
			}
		}
	}
	for range maxRounds {
		moved := false
		for _, t := range order {
			moved = o.even(t, subscribers[t]) || moved
		}
		if !moved {
			return
		}
	}
}

// least is the one of some members that has the fewest partitions.
func (o *owners) least(members []int32) int32 {
	return slices.MinFunc(members, func(a, b int32) int { return cmp.Compare(o.counts[a], o.counts[b]) })
}

// even moves partitions of a topic from its subscribers that have the most to those that have the fewest, until no move would help.
func (o *owners) even(t int, subscribers []int32) bool {
	if len(subscribers) < 2 {
		return false
	}
	has := make(map[int32][]int32, len(subscribers)) // the topic's partitions of each
	for p := o.first[t]; p < o.first[t+1]; p++ {
		has[o.of[p]] = append(has[o.of[p]], p)
	}
	for moved := false; ; moved = true {
		from, to := nobody, o.least(subscribers)
		for _, m := range subscribers {
			if len(has[m]) > 0 && (from == nobody || o.counts[m] > o.counts[from]) {
				from = m
			}
		}
		if from == nobody || o.counts[from]-o.counts[to] < 2 {
			return moved
		}
		last := len(has[from]) - 1
		p := has[from][last]
		has[from], has[to] = has[from][:last], append(has[to], p)
		o.give(p, to)
	}
}
