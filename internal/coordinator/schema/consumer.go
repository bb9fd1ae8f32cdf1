package schema

import "chronik/internal/model"

// Records of consumer groups of the new protocol (KIP-848).
type (
	ConsumerGroupEpoch                = Rec[GroupKey, ConsumerGroupMetadata]
	ConsumerGroupSubscribedPartitions = Rec[GroupKey, ConsumerGroupPartitionMetadata]
	ConsumerGroupMemberMetadata       = Rec[MemberKey, ConsumerGroupMember]
	ConsumerGroupTargetEpoch          = Rec[GroupKey, ConsumerGroupTarget]
	ConsumerGroupTargetAssignment     = Rec[MemberKey, ConsumerGroupTargetMember]
	ConsumerGroupCurrentAssignment    = Rec[MemberKey, ConsumerGroupCurrentMember]
	ConsumerGroupRegularExpression    = Rec[PatternKey, ConsumerGroupPattern]
)

// ConsumerGroupMetadata is a group's epoch.
type ConsumerGroupMetadata struct {
	Epoch        int32
	MetadataHash int64 // of the subscribed topics; 0: not known
	Tags         []Tag
}

func (v *ConsumerGroupMetadata) fields(c *coder) {
	number(c, &v.Epoch)
	c.tags(&v.Tags, tagged{0, v.MetadataHash != 0, func(c *coder) { number(c, &v.MetadataHash) }})
}

// ConsumerGroupPartitionMetadata is what brokers before 4.1 kept of the subscribed topics, in place of the hash. It is only read.
type ConsumerGroupPartitionMetadata struct {
	Topics []SubscribedTopic
	Tags   []Tag
}

// SubscribedTopic is a topic with its partitions' racks.
type SubscribedTopic struct {
	TopicID           model.TopicID
	TopicName         string
	NumPartitions     int32
	PartitionMetadata []PartitionRacks
	Tags              []Tag
}

// PartitionRacks are the racks that have a replica of a partition.
type PartitionRacks struct {
	Partition int32
	Racks     []string
	Tags      []Tag
}

func (v *ConsumerGroupPartitionMetadata) fields(c *coder) {
	array(c, &v.Topics, func(c *coder, t *SubscribedTopic) { t.fields(c) })
	c.tags(&v.Tags)
}

func (t *SubscribedTopic) fields(c *coder) {
	c.topicID(&t.TopicID)
	c.string(&t.TopicName)
	number(c, &t.NumPartitions)
	array(c, &t.PartitionMetadata, func(c *coder, p *PartitionRacks) { p.fields(c) })
	c.tags(&t.Tags)
}

func (p *PartitionRacks) fields(c *coder) {
	number(c, &p.Partition)
	array(c, &p.Racks, (*coder).string)
	c.tags(&p.Tags)
}

// ConsumerGroupMember is what a member says of itself.
type ConsumerGroupMember struct {
	InstanceID           *string
	RackID               *string
	ClientID             string
	ClientHost           string
	SubscribedTopicNames []string
	SubscribedTopicRegex *string
	RebalanceTimeoutMs   int32 // -1: none
	ServerAssignor       *string
	// ClassicMemberMetadata is nil but of a member that speaks the classic protocol.
	ClassicMemberMetadata *ClassicMember
	Tags                  []Tag
}

// ClassicMember is what only a classic member has.
type ClassicMember struct {
	SessionTimeoutMs   int32
	SupportedProtocols []ClassicProtocol
	Tags               []Tag
}

// ClassicProtocol is an assignment strategy of a classic member, with what it tells the others.
type ClassicProtocol struct {
	Name     string
	Metadata []byte
	Tags     []Tag
}

func (v *ConsumerGroupMember) fields(c *coder) {
	c.nullableString(&v.InstanceID)
	c.nullableString(&v.RackID)
	c.string(&v.ClientID)
	c.string(&v.ClientHost)
	array(c, &v.SubscribedTopicNames, (*coder).string)
	c.nullableString(&v.SubscribedTopicRegex)
	number(c, &v.RebalanceTimeoutMs)
	c.nullableString(&v.ServerAssignor)
	if c.reading {
		v.ClassicMemberMetadata = new(ClassicMember) // Kafka's default; null is said
	}
	c.tags(&v.Tags, tagged{0, !v.ClassicMemberMetadata.empty(), func(c *coder) {
		optionalTag(c, &v.ClassicMemberMetadata, func(c *coder, m *ClassicMember) { m.fields(c) })
	}})
}

// empty tells whether there is one, with nothing in it.
func (m *ClassicMember) empty() bool {
	return m != nil && m.SessionTimeoutMs == 0 && len(m.SupportedProtocols) == 0 && len(m.Tags) == 0
}

func (m *ClassicMember) fields(c *coder) {
	number(c, &m.SessionTimeoutMs)
	array(c, &m.SupportedProtocols, func(c *coder, p *ClassicProtocol) { p.fields(c) })
	c.tags(&m.Tags)
}

func (p *ClassicProtocol) fields(c *coder) {
	c.string(&p.Name)
	c.bytes(&p.Metadata)
	c.tags(&p.Tags)
}

// ConsumerGroupTarget is the epoch of a group's target assignment.
type ConsumerGroupTarget struct {
	AssignmentEpoch     int32
	AssignmentTimestamp int64 // ms; 0: not known
	Tags                []Tag
}

func (v *ConsumerGroupTarget) fields(c *coder) {
	number(c, &v.AssignmentEpoch)
	c.tags(&v.Tags, timestamp(&v.AssignmentTimestamp))
}

// ConsumerGroupTargetMember is what a member is to have.
type ConsumerGroupTargetMember struct {
	TopicPartitions []TopicPartitions
	Tags            []Tag
}

func (v *ConsumerGroupTargetMember) fields(c *coder) {
	array(c, &v.TopicPartitions, func(c *coder, p *TopicPartitions) { p.fields(c) })
	c.tags(&v.Tags)
}

// ConsumerGroupCurrentMember is what a member has, and what it is to give up.
type ConsumerGroupCurrentMember struct {
	MemberEpoch                 int32
	PreviousMemberEpoch         int32
	State                       int8 // Kafka's MemberState
	AssignedPartitions          []AssignedPartitions
	PartitionsPendingRevocation []AssignedPartitions
	Tags                        []Tag
}

// AssignedPartitions are partitions of a topic, and perhaps in which member epoch each was assigned.
type AssignedPartitions struct {
	TopicID          model.TopicID
	Partitions       []int32
	AssignmentEpochs []int32 // as many as Partitions; nil: not kept
	Tags             []Tag
}

func (v *ConsumerGroupCurrentMember) fields(c *coder) {
	number(c, &v.MemberEpoch)
	number(c, &v.PreviousMemberEpoch)
	number(c, &v.State)
	array(c, &v.AssignedPartitions, func(c *coder, p *AssignedPartitions) { p.fields(c) })
	array(c, &v.PartitionsPendingRevocation, func(c *coder, p *AssignedPartitions) { p.fields(c) })
	c.tags(&v.Tags)
}

func (p *AssignedPartitions) fields(c *coder) {
	c.topicID(&p.TopicID)
	array(c, &p.Partitions, number[int32])
	c.tags(&p.Tags, epochs(&p.AssignmentEpochs))
}

// ConsumerGroupPattern is what a regular expression amounted to when it was last looked at.
type ConsumerGroupPattern struct {
	Topics    []string
	Version   int64 // of the metadata
	Timestamp int64 // ms
	Tags      []Tag
}

func (v *ConsumerGroupPattern) fields(c *coder) {
	array(c, &v.Topics, (*coder).string)
	number(c, &v.Version)
	number(c, &v.Timestamp)
	c.tags(&v.Tags)
}
