package group

import (
	"slices"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/schema"
)

func memberRecord(group, member string, v *schema.ConsumerGroupMember) *schema.ConsumerGroupMemberMetadata {
	return &schema.ConsumerGroupMemberMetadata{Key: schema.MemberKey{Group: group, Member: member}, Value: v}
}

func epochRecord(group string, e epochs) *schema.ConsumerGroupEpoch {
	return &schema.ConsumerGroupEpoch{Key: schema.GroupKey{Group: group}, Value: &schema.ConsumerGroupMetadata{Epoch: e.group, MetadataHash: e.hash}}
}

func targetEpochRecord(group string, e epochs) *schema.ConsumerGroupTargetEpoch {
	return &schema.ConsumerGroupTargetEpoch{
		Key:   schema.GroupKey{Group: group},
		Value: &schema.ConsumerGroupTarget{AssignmentEpoch: e.target, AssignmentTimestamp: e.targetMs},
	}
}

func targetRecord(group, member string, p assign.Partitions) *schema.ConsumerGroupTargetAssignment {
	v := &schema.ConsumerGroupTargetMember{TopicPartitions: make([]schema.TopicPartitions, len(p))}
	for i := range p {
		v.TopicPartitions[i] = schema.TopicPartitions{TopicID: p[i].Topic, Partitions: p[i].Partitions}
	}
	return &schema.ConsumerGroupTargetAssignment{Key: schema.MemberKey{Group: group, Member: member}, Value: v}
}

func currentRecord(group, member string, cur *current) *schema.ConsumerGroupCurrentAssignment {
	return &schema.ConsumerGroupCurrentAssignment{
		Key: schema.MemberKey{Group: group, Member: member},
		Value: &schema.ConsumerGroupCurrentMember{
			MemberEpoch: cur.epoch, PreviousMemberEpoch: cur.previous, State: int8(cur.state),
			AssignedPartitions: toHeld(&cur.assigned), PartitionsPendingRevocation: toHeld(&cur.revoking),
		},
	}
}

func toHeld(h *held) []schema.AssignedPartitions {
	out := make([]schema.AssignedPartitions, len(h.Partitions))
	for i := range h.Partitions {
		out[i] = schema.AssignedPartitions{TopicID: h.Partitions[i].Topic, Partitions: h.Partitions[i].Partitions, AssignmentEpochs: h.since[i]}
	}
	return out
}

func patternRecord(group, pattern string, v *schema.ConsumerGroupPattern) *schema.ConsumerGroupRegularExpression {
	return &schema.ConsumerGroupRegularExpression{Key: schema.PatternKey{Group: group, Pattern: pattern}, Value: v}
}

// removal are the tombstones of a member.
func removal(group, member string) []schema.Record {
	k := schema.MemberKey{Group: group, Member: member}
	return []schema.Record{
		&schema.ConsumerGroupCurrentAssignment{Key: k}, &schema.ConsumerGroupTargetAssignment{Key: k}, &schema.ConsumerGroupMemberMetadata{Key: k},
	}
}

// tombstones are those of a group with all that is in it.
func (c *consumer) tombstones(group string) []schema.Record {
	var out []schema.Record
	for _, id := range c.roster().ids {
		out = append(out, removal(group, id)...)
	}
	k := schema.GroupKey{Group: group}
	out = append(out, &schema.ConsumerGroupTargetEpoch{Key: k})
	if c.at().legacy {
		out = append(out, &schema.ConsumerGroupSubscribedPartitions{Key: k})
	}
	var patterns []string
	for p := range c.patterns.All() {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	for _, p := range patterns {
		out = append(out, patternRecord(group, p, nil))
	}
	return append(out, &schema.ConsumerGroupEpoch{Key: k})
}
