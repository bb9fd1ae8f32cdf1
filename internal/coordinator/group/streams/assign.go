package streams

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// TaskID is one task of a subtopology: it reads the partitions of its number.
type TaskID struct {
	Subtopology string
	Partition   int32
}

// Member is one that tasks can be given to, with what it was to have before.
type Member struct {
	ID      string
	Process string // members with the same one share state on disk
	Active  []TaskID
	Standby []TaskID
}

// Tasks is what a member is to have, each list by subtopology and partition. There are no warm-ups: Apache Kafka 4.3.1 gives
// none either, though members and records know them.
type Tasks struct{ Active, Standby, Warmup []TaskID }

// Assign gives each task of the subtopologies to one member, and of the stateful ones standbys (streams.num.standby.replicas) to members of
// other processes, as far as there are any. A member keeps what it had within its share; a task that moves goes to who
// has it as a standby; the rest goes to processes with the fewest tasks per member, neighbours together.
func Assign(subtopologies []Subtopology, members []Member, standbys int) map[string]Tasks {
	if len(members) == 0 {
		return map[string]Tasks{}
	}
	a := newAssignment(subtopologies, members, standbys)
	a.assignActive()
	if standbys > 0 {
		a.assignStandbys(standbys)
	}
	out, had := make(map[string]Tasks, len(members)), make(map[string]Tasks, len(members))
	for _, p := range a.processes {
		for _, r := range p.members {
			out[r.id] = Tasks{Active: inOrder(r.active, bySubtopology), Standby: inOrder(r.standby, bySubtopology)}
		}
	}
	for _, m := range members {
		had[m.ID] = Tasks{Active: inOrder(m.Active, bySubtopology), Standby: inOrder(m.Standby, bySubtopology)}
	}
	if a.serves(had, out) {
		return had
	}
	return out
}

// serves tells whether an assignment does what another one does, without giving anybody more: standbys have no place of their own in
// what processes with the fewest tasks are given, so that without this they would move for nothing.
func (a *assignment) serves(had, out map[string]Tasks) bool {
	placed := make(map[TaskID]int) // by task: standbys, and a large number if it is active
	const active = 1 << 16
	tally := func(by map[string]Tasks, sign int) (most, mostActive int) {
		for _, x := range by {
			most, mostActive = max(most, len(x.Active)+len(x.Standby)), max(mostActive, len(x.Active))
			for _, t := range x.Active {
				placed[t] += sign * active
			}
			for _, t := range x.Standby {
				placed[t] += sign
			}
		}
		return most, mostActive
	}
	was, wasActive := tally(had, 1)
	is, isActive := tally(out, -1)
	for _, n := range placed {
		if n != 0 {
			return false
		}
	}
	for _, p := range a.processes { // two of one process may have come together since
		once := make(map[TaskID]bool)
		for _, r := range p.members {
			for _, t := range slices.Concat(had[r.id].Active, had[r.id].Standby) {
				if once[t] {
					return false
				}
				once[t] = true
			}
		}
	}
	return was <= is && wasActive <= isActive
}

// assignment is one under way.
type assignment struct {
	processes       []*process
	tasks, stateful []TaskID
	had             map[TaskID]*runner   // who was active
	followed        map[TaskID][]*runner // who were standbys
	active, all     quota
}

func newAssignment(subtopologies []Subtopology, members []Member, standbys int) *assignment {
	a := &assignment{had: make(map[TaskID]*runner), followed: make(map[TaskID][]*runner)}
	for _, s := range subtopologies {
		for n := range s.Tasks {
			a.tasks = append(a.tasks, TaskID{s.ID, n})
			if s.Stateful {
				a.stateful = append(a.stateful, TaskID{s.ID, n})
			}
		}
	}
	members = slices.Clone(members)
	slices.SortFunc(members, func(x, y Member) int {
		return cmp.Or(strings.Compare(x.Process, y.Process), strings.Compare(x.ID, y.ID))
	})
	var p *process
	for _, m := range members {
		if p == nil || p.id != m.Process {
			p = &process{id: m.Process, tasks: make(map[TaskID]bool)}
			a.processes = append(a.processes, p)
		}
		r := &runner{id: m.ID, process: p}
		p.members = append(p.members, r)
		for _, t := range m.Active {
			a.had[t] = r
		}
		for _, t := range m.Standby {
			a.followed[t] = append(a.followed[t], r)
		}
	}
	a.active = quota{len(a.tasks), len(members)}
	a.all = quota{len(a.tasks) + standbys*len(a.stateful), len(members)}
	return a
}

func bySubtopology(a, b TaskID) int {
	return cmp.Or(strings.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
}

func byPartition(a, b TaskID) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), strings.Compare(a.Subtopology, b.Subtopology))
}

func inOrder(tasks []TaskID, by func(a, b TaskID) int) []TaskID {
	tasks = slices.Clone(tasks)
	slices.SortFunc(tasks, by)
	return tasks
}

// give makes a task a member's.
func (a *assignment) give(r *runner, t TaskID, active bool) {
	if r.process.tasks[t] = true; active {
		r.active = append(r.active, t)
		a.active.took(r.count())
	} else {
		r.standby = append(r.standby, t)
	}
	a.all.took(r.count())
}

// assignActive gives every task to one member. Tasks of a partition number come together first, as they were given by ranges:
// a member that has too much gives up its last partitions.
func (a *assignment) assignActive() {
	left := inOrder(a.tasks, byPartition)
	keep := func(who func(TaskID) *runner) {
		left = slices.DeleteFunc(left, func(t TaskID) bool {
			r := who(t)
			if r == nil || r.count() >= a.active.each() {
				return false
			}
			a.give(r, t, true)
			return true
		})
	}
	keep(func(t TaskID) *runner { return a.had[t] })
	keep(func(t TaskID) *runner { return a.follower(t, false) })
	h := a.byLoad()
	for _, t := range inOrder(left, bySubtopology) {
		a.give((*h)[0].idlest(), t, true)
		heap.Fix(h, 0)
	}
}

func (a *assignment) byLoad() *byLoad {
	h := byLoad(slices.Clone(a.processes))
	heap.Init(&h)
	return &h
}

// follower is the least busy of those who had a task as a standby; fresh: in a process that does not have the task now.
func (a *assignment) follower(t TaskID, fresh bool) *runner {
	var best *runner
	for _, r := range a.followed[t] {
		if fresh && r.process.tasks[t] {
			continue
		}
		if best == nil || cmp.Or(r.process.busier(best.process), cmp.Compare(r.count(), best.count())) < 0 {
			best = r
		}
	}
	return best
}

// assignStandbys gives standbys to processes that do not have the task: first to who was active, then to who was a standby, then to
// the least busy. Those for whom there is no process are left out.
func (a *assignment) assignStandbys(n int) {
	left := make(map[TaskID]int)
	for _, t := range inOrder(a.stateful, func(x, y TaskID) int { return byPartition(y, x) }) {
		for left[t] = n; left[t] > 0; left[t]-- {
			r := a.had[t]
			if r == nil || r.process.tasks[t] || r.count() >= a.all.each() {
				r = a.follower(t, true)
			}
			if r == nil || r.count() >= a.all.each() {
				break
			}
			a.give(r, t, false)
		}
	}
	h := a.byLoad()
	for _, t := range inOrder(a.stateful, func(x, y TaskID) int { return bySubtopology(y, x) }) {
		for ; left[t] > 0; left[t]-- {
			var with []*process // those that have it come back afterwards
			for h.Len() > 0 && (*h)[0].tasks[t] {
				with = append(with, heap.Pop(h).(*process))
			}
			found := h.Len() > 0
			if found {
				a.give((*h)[0].idlest(), t, false)
				heap.Fix(h, 0)
			}
			for _, p := range with {
				heap.Push(h, p)
			}
			if !found {
				break
			}
		}
	}
}
