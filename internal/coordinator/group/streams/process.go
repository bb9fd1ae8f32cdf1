package streams

import (
	"cmp"
	"slices"
	"strings"
)

// process is members that share a state directory: a task is there once.
type process struct {
	id      string
	members []*runner // by ID
	tasks   map[TaskID]bool
}

// runner is a member that is being given tasks.
type runner struct {
	id              string
	process         *process
	active, standby []TaskID
}

func (r *runner) count() int { return len(r.active) + len(r.standby) }

// busier compares processes by their tasks per member.
func (p *process) busier(o *process) int {
	return cmp.Or(cmp.Compare(len(p.tasks)*len(o.members), len(o.tasks)*len(p.members)), strings.Compare(p.id, o.id))
}

// idlest is the member with the fewest tasks.
func (p *process) idlest() *runner {
	return slices.MinFunc(p.members, func(a, b *runner) int { return cmp.Or(cmp.Compare(a.count(), b.count()), strings.Compare(a.id, b.id)) })
}

// byLoad is a heap of processes, the one with the fewest tasks per member first.
type byLoad []*process

func (h byLoad) Len() int           { return len(h) }
func (h byLoad) Less(i, j int) bool { return h[i].busier(h[j]) < 0 }
func (h byLoad) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byLoad) Push(x any)        { *h = append(*h, x.(*process)) }
func (h *byLoad) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// quota is how many tasks each of some members may have, while those that have come to it leave with theirs.
type quota struct{ tasks, members int }

// each is what a member may have.
func (q *quota) each() int {
	if q.members == 0 {
		return 0
	}
	return (q.tasks + q.members - 1) / q.members
}

// took says that a member has so many now.
func (q *quota) took(n int) {
	if q.members > 0 && n == q.each() {
		q.members--
		q.tasks -= n
	}
}
