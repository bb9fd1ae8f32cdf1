package streams

import (
	"maps"
	"slices"
)

// MemberState is how far a member is on its way to what it is to have. The numbers are those of the records.
type MemberState int8

const (
	Stable     MemberState = 1 // it has all of its target, in the target's epoch
	Unrevoked  MemberState = 2 // it is to give up tasks, and has not said that it did
	Unreleased MemberState = 3 // others have not given up tasks that it is to have
)

// Held is what a member has.
type Held struct {
	Epoch   int32 // of the member
	State   MemberState
	Active  map[TaskID]int32 // with the epoch in which each was given
	Standby map[TaskID]bool
	Warmup  map[TaskID]bool
	// What it is to give up. Standbys and warm-ups are among it: until then the state directory is theirs.
	Revoking                        map[TaskID]int32
	RevokingStandby, RevokingWarmup map[TaskID]bool
}

// Owned is what a member says that it has, of whatever kind; nil: it says nothing.
type Owned map[TaskID]bool

// Others is what the other members of the group have, and are giving up.
type Others interface {
	Active(t TaskID) bool              // somebody has it as an active task
	InProcess(t TaskID, p string) bool // a member of the process has it, in whatever role
}

// Reconcile brings a member of a process closer to its target: first it gives up what is not in it and says so, then it is given what
// nobody else has any more. So a task is never active twice, and never twice in a process. A member in a state that is not known here, as a
// newer broker may have left it, is to be fenced instead.
func Reconcile(h Held, process string, target Tasks, targetEpoch int32, owned Owned, others Others) Held {
	epoch := h.Epoch
	switch h.State {
	case Stable:
		if h.Epoch == targetEpoch {
			return h
		}
	case Unrevoked:
		if owned == nil || owned.anyOf(&h) {
			return h
		}
		epoch++
	}
	return next(h, epoch, process, target, targetEpoch, owned, others)
}

// anyOf tells whether a member has something that it is to give up.
func (o Owned) anyOf(h *Held) bool {
	for t := range h.Revoking {
		if o[t] {
			return true
		}
	}
	for _, tasks := range []map[TaskID]bool{h.RevokingStandby, h.RevokingWarmup} {
		for t := range tasks {
			if o[t] {
				return true
			}
		}
	}
	return false
}

// next is where a member goes that has nothing to give up from before.
func next(h Held, epoch int32, process string, target Tasks, targetEpoch int32, owned Owned, others Others) Held {
	out := Held{Epoch: epoch, Active: make(map[TaskID]int32), Revoking: make(map[TaskID]int32)}
	wanted := set(target.Active)
	for t, since := range h.Active {
		if wanted[t] {
			out.Active[t] = since
		} else {
			out.Revoking[t] = since
		}
	}
	out.Standby, out.RevokingStandby = part(h.Standby, target.Standby)
	out.Warmup, out.RevokingWarmup = part(h.Warmup, target.Warmup)
	giving := len(out.Revoking)+len(out.RevokingStandby)+len(out.RevokingWarmup) > 0
	if giving && (owned == nil || owned.anyOf(&out)) {
		out.State = Unrevoked
		return out
	}
	out.Epoch, out.State = targetEpoch, Stable
	clear(out.Revoking) // it never had them, or has them no more
	clear(out.RevokingStandby)
	clear(out.RevokingWarmup)
	for _, t := range target.Active {
		if _, ok := out.Active[t]; ok {
			continue
		}
		if others.Active(t) || others.InProcess(t, process) {
			out.State = Unreleased
		} else {
			out.Active[t] = targetEpoch
		}
	}
	out.take(out.Standby, target.Standby, process, others)
	out.take(out.Warmup, target.Warmup, process, others)
	return out
}

// part returns the standbys or warm-ups that stay, and those that are to be given up.
func part(had map[TaskID]bool, target []TaskID) (stay, leave map[TaskID]bool) {
	stay, leave = make(map[TaskID]bool), make(map[TaskID]bool)
	wanted := set(target)
	for t := range had {
		if wanted[t] {
			stay[t] = true
		} else {
			leave[t] = true
		}
	}
	return stay, leave
}

// take adds standbys or warm-ups that nobody of the process has.
func (h *Held) take(to map[TaskID]bool, target []TaskID, process string, others Others) {
	for _, t := range target {
		switch {
		case to[t]:
		case others.InProcess(t, process):
			h.State = Unreleased
		default:
			to[t] = true
		}
	}
}

func set(tasks []TaskID) map[TaskID]bool {
	out := make(map[TaskID]bool, len(tasks))
	for _, t := range tasks {
		out[t] = true
	}
	return out
}

// Tasks are all that a member has or has not given up yet, in order.
func (h *Held) Tasks() []TaskID {
	all := make(map[TaskID]bool)
	for _, m := range []map[TaskID]int32{h.Active, h.Revoking} {
		for t := range m {
			all[t] = true
		}
	}
	for _, m := range []map[TaskID]bool{h.Standby, h.Warmup, h.RevokingStandby, h.RevokingWarmup} {
		maps.Copy(all, m)
	}
	return slices.SortedFunc(maps.Keys(all), bySubtopology)
}
