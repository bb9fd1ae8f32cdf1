package assign

import (
	"slices"

	"chronik/internal/model"
)

// Simple is for share groups (KIP-932), whose members share partitions. As many members have each partition as it takes for everybody to
// have one; beyond that members differ by one partition at most, and keep what they had as far as that goes. If not all are subscribed to the
// same topics, that holds for each topic by itself.
func Simple(g Group) []Partitions {
	given := make([][]TopicPartitions, len(g.Members))
	if len(g.Members) == 0 {
		return nil
	}
	if g.homogeneous() {
		all := make([]int32, len(g.Members))
		for m := range all {
			all[m] = int32(m)
		}
		g.share(g.Members[0].Topics, all, given)
	} else {
		subscribers := make([][]int32, len(g.Topics))
		for m := range g.Members {
			for _, t := range g.Members[m].Topics {
				subscribers[t] = append(subscribers[t], int32(m))
			}
		}
		for t := range g.Topics {
			g.share([]int32{int32(t)}, subscribers[t], given)
		}
	}
	out := make([]Partitions, len(given))
	for m := range out {
		if out[m] = Of(given[m]); out[m].Equal(g.Members[m].Owned) {
			out[m] = g.Members[m].Owned
		}
	}
	return out
}

// sharing is how some members share some partitions. Both are indices.
type sharing struct {
	most   int    // members of each partition, and no fewer in the end
	shares []int  // members of each partition
	quotas []int  // partitions that each member is to have: their sum is that of what partitions are to have
	counts []int  // partitions of each member
	holds  []bits // partitions of each member
}

// bits is a set of small numbers.
type bits []uint64

func (b bits) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) add(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bits) remove(i int)   { b[i/64] &^= 1 << (i % 64) }

// share adds what members get of the partitions of some topics.
func (g *Group) share(topics, members []int32, given [][]TopicPartitions) {
	var parts []TopicPartitions          // of one partition each, by topic and number
	first := make(map[model.TopicID]int) // of each topic
	for _, t := range topics {
		first[g.Topics[t].ID] = len(parts)
		for _, n := range g.Topics[t].Ready {
			parts = append(parts, TopicPartitions{g.Topics[t].ID, []int32{n}})
		}
	}
	if len(parts) == 0 || len(members) == 0 {
		return
	}
	s := newSharing(len(parts), len(members))
	owned := make([][]int, len(members))
	for i, m := range members {
		for _, t := range topics {
			topic := &g.Topics[t]
			for _, n := range g.Members[m].Owned.topic(topic.ID) {
				if at, ok := slices.BinarySearch(topic.Ready, n); ok {
					owned[i] = append(owned[i], first[topic.ID]+at)
				}
			}
		}
	}
	s.keep(owned)
	s.fill()
	for i, m := range members {
		for p := range parts {
			if s.holds[i].has(p) {
				given[m] = append(given[m], parts[p])
			}
		}
	}
}

func newSharing(parts, members int) *sharing {
	s := &sharing{
		most: (members + parts - 1) / parts, shares: make([]int, parts), quotas: make([]int, members),
		counts: make([]int, members), holds: make([]bits, members),
	}
	for m := range s.holds {
		s.holds[m] = make(bits, (parts+63)/64)
	}
	return s
}

// keep lets members keep what they had, as far as there is room. Those that had one more than the others may go on having it.
func (s *sharing) keep(owned [][]int) {
	total, members := s.most*len(s.shares), len(s.quotas)
	each, extra := total/members, total%members
	for _, more := range []bool{true, false} {
		for m := range s.quotas {
			switch {
			case more:
				s.quotas[m] = each
				if extra > 0 && len(owned[m]) > each {
					s.quotas[m]++
					extra--
				}
			case extra > 0 && s.quotas[m] == each:
				s.quotas[m]++
				extra--
			}
		}
	}
	for m := range owned {
		for _, p := range owned[m] {
			if s.counts[m] < s.quotas[m] && s.shares[p] < s.most {
				s.give(m, p)
			}
		}
	}
}

func (s *sharing) give(m, p int) {
	s.holds[m].add(p)
	s.counts[m]++
	s.shares[p]++
}

func (s *sharing) take(m, p int) {
	s.holds[m].remove(p)
	s.counts[m]--
	s.shares[p]--
}

// fill gives members what is left to be given until each has its quota.
func (s *sharing) fill() {
	var open []int // partitions that more members are to have, the last one first
	for p := len(s.shares) - 1; p >= 0; p-- {
		if s.shares[p] < s.most {
			open = append(open, p)
		}
	}
	for m := range s.quotas {
		for s.counts[m] < s.quotas[m] {
			i := len(open) - 1
			for i >= 0 && s.holds[m].has(open[i]) {
				i--
			}
			if i < 0 { // it has all that are open
				i = len(open) - 1
				s.swap(m, open[i])
			} else {
				s.give(m, open[i])
			}
			if s.shares[open[i]] == s.most {
				open = append(open[:i], open[i+1:]...)
			}
		}
	}
}

// swap gives a member, which has an open partition already, one that another member has, which gets the open one instead. There is one: any
// partition that the member does not have is not open, so more others have it than have the open one.
func (s *sharing) swap(m, open int) {
	for p := range s.shares {
		if s.holds[m].has(p) {
			continue
		}
		for other := range s.holds {
			if s.holds[other].has(p) && !s.holds[other].has(open) {
				s.take(other, p)
				s.give(other, open)
				s.give(m, p)
				return
			}
		}
	}
	panic("assign: quotas do not add up")
}
