package group

import (
	"cmp"
	"slices"
	"strings"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
)

// standbysKey is the one configuration that an assignment goes by.
const standbysKey = "num.standby.replicas"

func standbysOf(v *schema.StreamsGroupMetadata) string {
	for _, kv := range v.LastAssignmentConfigs {
		if kv.Key == standbysKey {
			return kv.Value
		}
	}
	return ""
}

func streamsEpochRecord(group string, e streamsEpochs) *schema.StreamsGroupEpoch {
	v := &schema.StreamsGroupMetadata{Epoch: e.group, MetadataHash: e.hash, ValidatedTopologyEpoch: e.validated}
	if e.standbys != "" {
		v.LastAssignmentConfigs = []schema.KeyValue{{Key: standbysKey, Value: e.standbys}}
	}
	return &schema.StreamsGroupEpoch{Key: schema.GroupKey{Group: group}, Value: v}
}

func streamsTargetEpochRecord(group string, e streamsEpochs) *schema.StreamsGroupTargetEpoch {
	return &schema.StreamsGroupTargetEpoch{
		Key:   schema.GroupKey{Group: group},
		Value: &schema.StreamsGroupTarget{AssignmentEpoch: e.target, AssignmentTimestamp: e.targetMs},
	}
}

func streamsTargetRecord(group, member string, t streams.Tasks) *schema.StreamsGroupTargetAssignment {
	return &schema.StreamsGroupTargetAssignment{
		Key: schema.MemberKey{Group: group, Member: member},
		Value: &schema.StreamsGroupTargetMember{
			ActiveTasks: bySubtopology(t.Active), StandbyTasks: bySubtopology(t.Standby), WarmupTasks: bySubtopology(t.Warmup),
		},
	}
}

// bySubtopology puts tasks that are in order together.
func bySubtopology(tasks []streams.TaskID) []schema.Tasks {
	var out []schema.Tasks
	for _, t := range tasks {
		if n := len(out); n == 0 || out[n-1].SubtopologyID != t.Subtopology {
			out = append(out, schema.Tasks{SubtopologyID: t.Subtopology})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, t.Partition)
	}
	return out
}

func fromStreamsTarget(v *schema.StreamsGroupTargetMember) streams.Tasks {
	list := func(all []schema.Tasks) []streams.TaskID {
		var out []streams.TaskID
		for _, t := range all {
			for _, n := range t.Partitions {
				out = append(out, streams.TaskID{Subtopology: t.SubtopologyID, Partition: n})
			}
		}
		return inOrder(out)
	}
	return streams.Tasks{Active: list(v.ActiveTasks), Standby: list(v.StandbyTasks), Warmup: list(v.WarmupTasks)}
}

// inOrder sorts tasks, by subtopology and partition.
func inOrder(tasks []streams.TaskID) []streams.TaskID {
	slices.SortFunc(tasks, func(a, b streams.TaskID) int {
		return cmp.Or(strings.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
	})
	return slices.Compact(tasks)
}

func sameTasks(a, b streams.Tasks) bool {
	return slices.Equal(a.Active, b.Active) && slices.Equal(a.Standby, b.Standby) && slices.Equal(a.Warmup, b.Warmup)
}

func streamsMemberRecord(group, member string, v *schema.StreamsGroupMember) *schema.StreamsGroupMemberMetadata {
	return &schema.StreamsGroupMemberMetadata{Key: schema.MemberKey{Group: group, Member: member}, Value: v}
}

func streamsCurrentRecord(group, member string, cur *streamsCurrent) *schema.StreamsGroupCurrentAssignment {
	return &schema.StreamsGroupCurrentAssignment{Key: schema.MemberKey{Group: group, Member: member}, Value: cur.Record(cur.previous)}
}

// streamsRemoval are the tombstones of a member.
func streamsRemoval(group, member string) []schema.Record {
	k := schema.MemberKey{Group: group, Member: member}
	return []schema.Record{
		&schema.StreamsGroupCurrentAssignment{Key: k}, &schema.StreamsGroupTargetAssignment{Key: k}, &schema.StreamsGroupMemberMetadata{Key: k},
	}
}

// tombstones are those of a group with all that is in it.
func (c *streamsGroup) tombstones(group string) []schema.Record {
	var out []schema.Record
	for _, id := range c.roster().ids {
		out = append(out, streamsRemoval(group, id)...)
	}
	k := schema.GroupKey{Group: group}
	return append(out, &schema.StreamsGroupTargetEpoch{Key: k}, &schema.StreamsGroupEpoch{Key: k}, &schema.StreamsGroupTopology{Key: k})
}
