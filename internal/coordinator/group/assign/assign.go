package assign

import (
	"slices"

	"chronik/internal/model"
)

// Topic is a topic that exists.
type Topic struct {
	ID         model.TopicID
	Partitions int32
	Ready      []int32 // those that may be shared, in order; only Simple looks at it
}

// Member is a member of a group.
type Member struct {
	ID       string
	Instance string  // of a static member; empty: a dynamic one
	Topics   []int32 // what it is subscribed to: indices of the group's topics, in order
	Owned    Partitions
}

// Group is what is to be assigned to whom.
type Group struct {
	Topics  []Topic  // by ID
	Members []Member // by ID
}

// Assignor returns what each member is to have, in the members' order.
type Assignor func(Group) []Partitions

// assignors are those that there are, by the names that groups and configurations have for them.
var assignors = map[string]Assignor{"uniform": Uniform, "range": Range}

// Named returns the assignor of a name; nil: there is none.
func Named(name string) Assignor { return assignors[name] }

// homogeneous tells whether all members are subscribed to the same topics.
func (g *Group) homogeneous() bool {
	for i := range g.Members {
		if !slices.Equal(g.Members[i].Topics, g.Members[0].Topics) {
			return false
		}
	}
	return true
}

// nobody owns a partition that is not assigned yet.
const nobody = int32(-1)

// owners are the owners of all partitions of a group's topics, as indices of members.
type owners struct {
	group  *Group
	first  []int32 // of each topic, the index of its partition 0 in of
	of     []int32
	counts []int32 // how many partitions each member has
}

// claim makes each member the owner of what it had, if it still may have it.
func claim(g *Group) *owners {
	o := &owners{group: g, first: make([]int32, len(g.Topics)+1), counts: make([]int32, len(g.Members))}
	for i, t := range g.Topics {
		o.first[i+1] = o.first[i] + t.Partitions
	}
	o.of = make([]int32, o.first[len(g.Topics)])
	for i := range o.of {
		o.of[i] = nobody
	}
	for m := range g.Members {
		o.claim(int32(m))
	}
	return o
}

// claim walks what a member had and what it is subscribed to side by side: both are sorted.
func (o *owners) claim(m int32) {
	member := &o.group.Members[m]
	next := 0
	for _, t := range member.Topics {
		topic := &o.group.Topics[t]
		for next < len(member.Owned) && Compare(member.Owned[next].Topic, topic.ID) < 0 {
			next++
		}
		if next == len(member.Owned) {
			return
		}
		if member.Owned[next].Topic != topic.ID {
			continue
		}
		for _, n := range member.Owned[next].Partitions {
			if n < topic.Partitions && o.of[o.first[t]+n] == nobody {
				o.give(o.first[t]+n, m)
			}
		}
	}
}

// give makes a member the owner of a partition.
func (o *owners) give(partition, member int32) {
	if old := o.of[partition]; old != nobody {
		o.counts[old]--
	}
	if o.of[partition] = member; member != nobody {
		o.counts[member]++
	}
}

// assignment is what each member owns. A member that owns what it did keeps the very set.
func (o *owners) assignment() []Partitions {
	out := make([]Partitions, len(o.group.Members))
	left := make([][]int32, len(out)) // room for each member's partitions, in one piece
	for m := range left {
		left[m] = make([]int32, 0, o.counts[m])
	}
	for t := range o.group.Topics {
		for p := o.first[t]; p < o.first[t+1]; p++ {
			m := o.of[p]
			if m == nobody {
				continue
			}
			had := len(left[m])
			left[m] = append(left[m], p-o.first[t])
			last := len(out[m]) - 1
			if last < 0 || out[m][last].Topic != o.group.Topics[t].ID {
				out[m] = append(out[m], TopicPartitions{Topic: o.group.Topics[t].ID, Partitions: left[m][had:]})
			} else {
				n := len(out[m][last].Partitions)
				out[m][last].Partitions = left[m][had-n : had+1 : had+1]
			}
		}
	}
	for m := range out {
		if owned := o.group.Members[m].Owned; out[m].Equal(owned) {
			out[m] = owned
		}
	}
	return out
}
