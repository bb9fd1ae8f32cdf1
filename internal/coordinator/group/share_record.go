package group

import (
	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// Records of share groups say what those of consumers do, less what share groups do not have. So a step decides, and is applied, in one way for
// both, and is written in the group's own records.

// asShareRecord is a record of a group of consumers as that of a share group. What has no counterpart stays as it is.
func asShareRecord(r schema.Record) schema.Record {
	switch r := r.(type) {
	case *schema.ConsumerGroupEpoch:
		out := &schema.ShareGroupEpoch{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ShareGroupMetadata{Epoch: v.Epoch, MetadataHash: v.MetadataHash}
		}
		return out
	case *schema.ConsumerGroupTargetEpoch:
		out := &schema.ShareGroupTargetEpoch{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ShareGroupTarget{AssignmentEpoch: v.AssignmentEpoch, AssignmentTimestamp: v.AssignmentTimestamp}
		}
		return out
	case *schema.ConsumerGroupMemberMetadata:
		out := &schema.ShareGroupMemberMetadata{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ShareGroupMember{
				RackID: v.RackID, ClientID: v.ClientID, ClientHost: v.ClientHost, SubscribedTopicNames: v.SubscribedTopicNames, Tags: v.Tags,
			}
		}
		return out
	case *schema.ConsumerGroupTargetAssignment:
		out := &schema.ShareGroupTargetAssignment{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ShareGroupTargetMember{TopicPartitions: v.TopicPartitions}
		}
		return out
	case *schema.ConsumerGroupCurrentAssignment:
		out := &schema.ShareGroupCurrentAssignment{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ShareGroupCurrentMember{MemberEpoch: v.MemberEpoch, PreviousMemberEpoch: v.PreviousMemberEpoch, State: v.State}
			for _, p := range v.AssignedPartitions {
				out.Value.AssignedPartitions = append(out.Value.AssignedPartitions, schema.TopicPartitions{TopicID: p.TopicID, Partitions: p.Partitions})
			}
		}
		return out
	}
	return r
}

// fromShareRecord is the way back, with the group's ID; "": the record is not one of a share group, or says what only share groups have.
func fromShareRecord(r schema.Record) (string, schema.Record) {
	switch r := r.(type) {
	case *schema.ShareGroupEpoch:
		out := &schema.ConsumerGroupEpoch{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ConsumerGroupMetadata{Epoch: v.Epoch, MetadataHash: v.MetadataHash}
		}
		return r.Key.Group, out
	case *schema.ShareGroupTargetEpoch:
		out := &schema.ConsumerGroupTargetEpoch{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ConsumerGroupTarget{AssignmentEpoch: v.AssignmentEpoch, AssignmentTimestamp: v.AssignmentTimestamp}
		}
		return r.Key.Group, out
	case *schema.ShareGroupMemberMetadata:
		out := &schema.ConsumerGroupMemberMetadata{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ConsumerGroupMember{
				RackID: v.RackID, ClientID: v.ClientID, ClientHost: v.ClientHost, SubscribedTopicNames: v.SubscribedTopicNames, Tags: v.Tags,
				RebalanceTimeoutMs: -1,
			}
		}
		return r.Key.Group, out
	case *schema.ShareGroupTargetAssignment:
		out := &schema.ConsumerGroupTargetAssignment{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ConsumerGroupTargetMember{TopicPartitions: v.TopicPartitions}
		}
		return r.Key.Group, out
	case *schema.ShareGroupCurrentAssignment:
		out := &schema.ConsumerGroupCurrentAssignment{Key: r.Key}
		if v := r.Value; v != nil {
			out.Value = &schema.ConsumerGroupCurrentMember{MemberEpoch: v.MemberEpoch, PreviousMemberEpoch: v.PreviousMemberEpoch, State: v.State}
			for _, p := range v.AssignedPartitions {
				out.Value.AssignedPartitions = append(out.Value.AssignedPartitions, schema.AssignedPartitions{TopicID: p.TopicID, Partitions: p.Partitions})
			}
		}
		return r.Key.Group, out
	}
	return "", nil
}

// applyShare changes what is replicated of share groups; false: the record is not of one.
func (m *Machine) applyShare(off model.Offset, r schema.Record) bool {
	read, own := r.(*schema.ShareGroupStatePartitions)
	id, same := fromShareRecord(r)
	switch {
	case own:
		id = read.Key.Group
	case same == nil:
		return false
	}
	if r.Tombstone() && (m.groups[id] == nil || m.groups[id].share == nil) {
		return true
	}
	g := m.open(id)
	c := m.asShare(g)
	switch {
	case !own:
		c.apply(off, same)
	case read.Value == nil:
		c.shares.read.Delete(off, struct{}{})
	default:
		c.shares.read.Put(off, struct{}{}, fromReadRecord(read.Value))
		c.shares.left, c.shares.stale = true, true
	}
	m.wrote(off, g)
	return true
}
