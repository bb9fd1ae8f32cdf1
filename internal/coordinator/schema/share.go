package schema

import "chronik/internal/model"

// Records of share groups (KIP-932): the first six in __consumer_offsets, the last two in __share_group_state.
type (
	ShareGroupMemberMetadata    = Rec[MemberKey, ShareGroupMember]
	ShareGroupEpoch             = Rec[GroupKey, ShareGroupMetadata]
	ShareGroupTargetEpoch       = Rec[GroupKey, ShareGroupTarget]
	ShareGroupTargetAssignment  = Rec[MemberKey, ShareGroupTargetMember]
	ShareGroupCurrentAssignment = Rec[MemberKey, ShareGroupCurrentMember]
	ShareGroupStatePartitions   = Rec[GroupKey, ShareGroupPartitions]
	ShareStateSnapshot          = Rec[SharePartitionKey, ShareSnapshot]
	ShareStateUpdate            = Rec[SharePartitionKey, ShareUpdate]
)

// ShareGroupMember is what a member says of itself.
type ShareGroupMember struct {
	RackID               *string
	ClientID             string
	ClientHost           string
	SubscribedTopicNames []string
	Tags                 []Tag
}

func (v *ShareGroupMember) fields(c *coder) {
	c.nullableString(&v.RackID)
	c.string(&v.ClientID)
	c.string(&v.ClientHost)
	array(c, &v.SubscribedTopicNames, (*coder).string)
	c.tags(&v.Tags)
}

// ShareGroupMetadata is a group's epoch.
type ShareGroupMetadata struct {
	Epoch        int32
	MetadataHash int64 // of the subscribed topics
	Tags         []Tag
}

func (v *ShareGroupMetadata) fields(c *coder) {
	number(c, &v.Epoch)
	number(c, &v.MetadataHash)
	c.tags(&v.Tags)
}

// ShareGroupTarget is the epoch of a group's target assignment.
type ShareGroupTarget struct {
	AssignmentEpoch     int32
	AssignmentTimestamp int64 // ms; 0: not known
	Tags                []Tag
}

func (v *ShareGroupTarget) fields(c *coder) {
	number(c, &v.AssignmentEpoch)
	c.tags(&v.Tags, timestamp(&v.AssignmentTimestamp))
}

// ShareGroupTargetMember is what a member is to have.
type ShareGroupTargetMember struct {
	TopicPartitions []TopicPartitions
	Tags            []Tag
}

func (v *ShareGroupTargetMember) fields(c *coder) {
	array(c, &v.TopicPartitions, func(c *coder, p *TopicPartitions) { p.fields(c) })
	c.tags(&v.Tags)
}

// ShareGroupCurrentMember is what a member has.
type ShareGroupCurrentMember struct {
	MemberEpoch         int32
	PreviousMemberEpoch int32
	State               int8 // Kafka's MemberState
	AssignedPartitions  []TopicPartitions
	Tags                []Tag
}

func (v *ShareGroupCurrentMember) fields(c *coder) {
	number(c, &v.MemberEpoch)
	number(c, &v.PreviousMemberEpoch)
	number(c, &v.State)
	array(c, &v.AssignedPartitions, func(c *coder, p *TopicPartitions) { p.fields(c) })
	c.tags(&v.Tags)
}

// ShareGroupPartitions is which of a group's partitions have state in __share_group_state.
type ShareGroupPartitions struct {
	InitializingTopics []NamedPartitions
	InitializedTopics  []NamedPartitions
	DeletingTopics     []NamedTopic
	Tags               []Tag
}

// NamedPartitions are some partitions of a topic, with its name.
type NamedPartitions struct {
	TopicID    model.TopicID
	TopicName  string
	Partitions []int32
	Tags       []Tag
}

// NamedTopic is a topic with its name.
type NamedTopic struct {
	TopicID   model.TopicID
	TopicName string
	Tags      []Tag
}

func (v *ShareGroupPartitions) fields(c *coder) {
	array(c, &v.InitializingTopics, func(c *coder, p *NamedPartitions) { p.fields(c) })
	array(c, &v.InitializedTopics, func(c *coder, p *NamedPartitions) { p.fields(c) })
	array(c, &v.DeletingTopics, func(c *coder, t *NamedTopic) { t.fields(c) })
	c.tags(&v.Tags)
}

func (p *NamedPartitions) fields(c *coder) {
	c.topicID(&p.TopicID)
	c.string(&p.TopicName)
	array(c, &p.Partitions, number[int32])
	c.tags(&p.Tags)
}

func (t *NamedTopic) fields(c *coder) {
	c.topicID(&t.TopicID)
	c.string(&t.TopicName)
	c.tags(&t.Tags)
}

// ShareSnapshot is all that a share group knows of a partition's records.
type ShareSnapshot struct {
	SnapshotEpoch         int32
	StateEpoch            int32
	LeaderEpoch           int32
	StartOffset           int64
	CreateTimestamp       int64 // ms
	WriteTimestamp        int64 // ms
	StateBatches          []ShareBatch
	DeliveryCompleteCount int32 // -1: not known
	Tags                  []Tag
}

// ShareUpdate is what has changed since the snapshot of the same epoch.
type ShareUpdate struct {
	SnapshotEpoch         int32
	LeaderEpoch           int32
	StartOffset           int64
	StateBatches          []ShareBatch
	DeliveryCompleteCount int32 // -1: not known
	Tags                  []Tag
}

// ShareBatch is a range of offsets, ends included, in one state.
type ShareBatch struct {
	FirstOffset, LastOffset int64
	DeliveryState           int8
	DeliveryCount           int16
	Tags                    []Tag
}

func (v *ShareSnapshot) fields(c *coder) {
	number(c, &v.SnapshotEpoch)
	number(c, &v.StateEpoch)
	number(c, &v.LeaderEpoch)
	number(c, &v.StartOffset)
	number(c, &v.CreateTimestamp)
	number(c, &v.WriteTimestamp)
	array(c, &v.StateBatches, func(c *coder, b *ShareBatch) { b.fields(c) })
	c.tags(&v.Tags, completeCount(c, &v.DeliveryCompleteCount))
}

func (v *ShareUpdate) fields(c *coder) {
	number(c, &v.SnapshotEpoch)
	number(c, &v.LeaderEpoch)
	number(c, &v.StartOffset)
	array(c, &v.StateBatches, func(c *coder, b *ShareBatch) { b.fields(c) })
	c.tags(&v.Tags, completeCount(c, &v.DeliveryCompleteCount))
}

func (b *ShareBatch) fields(c *coder) {
	number(c, &b.FirstOffset)
	number(c, &b.LastOffset)
	number(c, &b.DeliveryState)
	number(c, &b.DeliveryCount)
	c.tags(&b.Tags)
}

// completeCount is tag 0, and -1 without it.
func completeCount(c *coder, n *int32) tagged {
	if c.reading {
		*n = -1
	}
	return tagged{0, *n != -1, func(c *coder) { number(c, n) }}
}
