package streams

import (
	"maps"
	"slices"

	"chronik/internal/coordinator/schema"
)

// Record is what is written of what a member has, which was in another epoch before.
func (h *Held) Record(previousEpoch int32) *schema.StreamsGroupCurrentMember {
	return &schema.StreamsGroupCurrentMember{
		MemberEpoch: h.Epoch, PreviousMemberEpoch: previousEpoch, State: int8(h.State),
		ActiveTasks: withEpochs(h.Active), StandbyTasks: plain(h.Standby), WarmupTasks: plain(h.Warmup),
		ActiveTasksPendingRevocation: withEpochs(h.Revoking), StandbyTasksPendingRevocation: plain(h.RevokingStandby),
		WarmupTasksPendingRevocation: plain(h.RevokingWarmup),
	}
}

// FromRecord is what a member has as it was written. Where epochs are not kept, tasks were given in the member's.
func FromRecord(v *schema.StreamsGroupCurrentMember) Held {
	return Held{
		Epoch: v.MemberEpoch, State: MemberState(v.State),
		Active: epochsOf(v.ActiveTasks, v.MemberEpoch), Standby: setOf(v.StandbyTasks), Warmup: setOf(v.WarmupTasks),
		Revoking: epochsOf(v.ActiveTasksPendingRevocation, v.MemberEpoch), RevokingStandby: setOf(v.StandbyTasksPendingRevocation),
		RevokingWarmup: setOf(v.WarmupTasksPendingRevocation),
	}
}

// gather puts tasks that are in order together by subtopology.
func gather(tasks []TaskID, each func(*schema.AssignedTasks, TaskID)) (out []schema.AssignedTasks) {
	for _, t := range tasks {
		if n := len(out); n == 0 || out[n-1].SubtopologyID != t.Subtopology {
			out = append(out, schema.AssignedTasks{SubtopologyID: t.Subtopology})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, t.Partition)
		if each != nil {
			each(last, t)
		}
	}
	return out
}

func plain(tasks map[TaskID]bool) []schema.AssignedTasks {
	return gather(slices.SortedFunc(maps.Keys(tasks), bySubtopology), nil)
}

func withEpochs(tasks map[TaskID]int32) []schema.AssignedTasks {
	return gather(slices.SortedFunc(maps.Keys(tasks), bySubtopology), func(to *schema.AssignedTasks, t TaskID) {
		to.AssignmentEpochs = append(to.AssignmentEpochs, tasks[t])
	})
}

func setOf(lists []schema.AssignedTasks) map[TaskID]bool {
	out := make(map[TaskID]bool)
	for t := range epochsOf(lists, 0) {
		out[t] = true
	}
	return out
}

func epochsOf(lists []schema.AssignedTasks, otherwise int32) map[TaskID]int32 {
	out := make(map[TaskID]int32)
	for _, l := range lists {
		for i, n := range l.Partitions {
			epoch := otherwise
			if i < len(l.AssignmentEpochs) {
				epoch = l.AssignmentEpochs[i]
			}
			out[TaskID{l.SubtopologyID, n}] = epoch
		}
	}
	return out
}
