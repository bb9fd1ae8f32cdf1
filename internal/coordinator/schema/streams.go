package schema

// Records of streams groups (KIP-1071).
type (
	StreamsGroupEpoch             = Rec[GroupKey, StreamsGroupMetadata]
	StreamsGroupMemberMetadata    = Rec[MemberKey, StreamsGroupMember]
	StreamsGroupTargetEpoch       = Rec[GroupKey, StreamsGroupTarget]
	StreamsGroupTargetAssignment  = Rec[MemberKey, StreamsGroupTargetMember]
	StreamsGroupCurrentAssignment = Rec[MemberKey, StreamsGroupCurrentMember]
	StreamsGroupTopology          = Rec[GroupKey, StreamsTopology]
)

// StreamsGroupMetadata is a group's epoch.
type StreamsGroupMetadata struct {
	Epoch                  int32
	MetadataHash           int64 // of the topology's topics
	ValidatedTopologyEpoch int32 // -1: none
	LastAssignmentConfigs  []KeyValue
	Tags                   []Tag
}

func (v *StreamsGroupMetadata) fields(c *coder) {
	number(c, &v.Epoch)
	number(c, &v.MetadataHash)
	if c.reading {
		v.ValidatedTopologyEpoch = -1
	}
	c.tags(&v.Tags,
		tagged{0, v.ValidatedTopologyEpoch != -1, func(c *coder) { number(c, &v.ValidatedTopologyEpoch) }},
		tagged{1, len(v.LastAssignmentConfigs) > 0, func(c *coder) {
			nullableArray(c, &v.LastAssignmentConfigs, func(c *coder, p *KeyValue) { p.fields(c) })
		}})
}

// StreamsGroupMember is what a member says of itself.
type StreamsGroupMember struct {
	InstanceID         *string
	RackID             *string
	ClientID           string
	ClientHost         string
	RebalanceTimeoutMs int32 // -1: none
	TopologyEpoch      int32
	ProcessID          string
	UserEndpoint       *Endpoint
	ClientTags         []KeyValue
	Tags               []Tag
}

// Endpoint is where a member answers interactive queries.
type Endpoint struct {
	Host string
	Port uint16
	Tags []Tag
}

func (v *StreamsGroupMember) fields(c *coder) {
	c.nullableString(&v.InstanceID)
	c.nullableString(&v.RackID)
	c.string(&v.ClientID)
	c.string(&v.ClientHost)
	number(c, &v.RebalanceTimeoutMs)
	number(c, &v.TopologyEpoch)
	c.string(&v.ProcessID)
	optional(c, &v.UserEndpoint, func(c *coder, e *Endpoint) { e.fields(c) })
	array(c, &v.ClientTags, func(c *coder, p *KeyValue) { p.fields(c) })
	c.tags(&v.Tags)
}

func (e *Endpoint) fields(c *coder) {
	c.string(&e.Host)
	number(c, &e.Port)
	c.tags(&e.Tags)
}

// StreamsGroupTarget is the epoch of a group's target assignment.
type StreamsGroupTarget struct {
	AssignmentEpoch     int32
	AssignmentTimestamp int64 // ms; 0: not known
	Tags                []Tag
}

func (v *StreamsGroupTarget) fields(c *coder) {
	number(c, &v.AssignmentEpoch)
	c.tags(&v.Tags, timestamp(&v.AssignmentTimestamp))
}

// StreamsGroupTargetMember is which tasks a member is to have.
type StreamsGroupTargetMember struct {
	ActiveTasks, StandbyTasks, WarmupTasks []Tasks
	Tags                                   []Tag
}

// Tasks are the tasks of a subtopology for some partitions.
type Tasks struct {
	SubtopologyID string
	Partitions    []int32
	Tags          []Tag
}

func (v *StreamsGroupTargetMember) fields(c *coder) {
	for _, tasks := range []*[]Tasks{&v.ActiveTasks, &v.StandbyTasks, &v.WarmupTasks} {
		array(c, tasks, func(c *coder, t *Tasks) { t.fields(c) })
	}
	c.tags(&v.Tags)
}

func (t *Tasks) fields(c *coder) {
	c.string(&t.SubtopologyID)
	array(c, &t.Partitions, number[int32])
	c.tags(&t.Tags)
}

// StreamsGroupCurrentMember is which tasks a member has, and which it is to give up.
type StreamsGroupCurrentMember struct {
	MemberEpoch                   int32
	PreviousMemberEpoch           int32
	State                         int8 // Kafka's MemberState
	ActiveTasks                   []AssignedTasks
	StandbyTasks                  []AssignedTasks
	WarmupTasks                   []AssignedTasks
	ActiveTasksPendingRevocation  []AssignedTasks
	StandbyTasksPendingRevocation []AssignedTasks
	WarmupTasksPendingRevocation  []AssignedTasks
	Tags                          []Tag
}

// AssignedTasks are tasks, and perhaps in which member epoch each was assigned.
type AssignedTasks struct {
	SubtopologyID    string
	Partitions       []int32
	AssignmentEpochs []int32 // as many as Partitions; nil: not kept
	Tags             []Tag
}

func (v *StreamsGroupCurrentMember) fields(c *coder) {
	number(c, &v.MemberEpoch)
	number(c, &v.PreviousMemberEpoch)
	number(c, &v.State)
	for _, tasks := range []*[]AssignedTasks{
		&v.ActiveTasks, &v.StandbyTasks, &v.WarmupTasks,
		&v.ActiveTasksPendingRevocation, &v.StandbyTasksPendingRevocation, &v.WarmupTasksPendingRevocation,
	} {
		array(c, tasks, func(c *coder, t *AssignedTasks) { t.fields(c) })
	}
	c.tags(&v.Tags)
}

func (t *AssignedTasks) fields(c *coder) {
	c.string(&t.SubtopologyID)
	array(c, &t.Partitions, number[int32])
	c.tags(&t.Tags, epochs(&t.AssignmentEpochs))
}

// StreamsTopology is what a group's application is made of.
type StreamsTopology struct {
	Epoch         int32
	Subtopologies []Subtopology
	Tags          []Tag
}

// Subtopology is a part whose tasks are assigned together.
type Subtopology struct {
	SubtopologyID           string
	SourceTopics            []string
	SourceTopicRegex        []string
	StateChangelogTopics    []InternalTopic
	RepartitionSinkTopics   []string
	RepartitionSourceTopics []InternalTopic
	CopartitionGroups       []CopartitionGroup
	Tags                    []Tag
}

// InternalTopic is a topic that the group makes for itself.
type InternalTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	TopicConfigs      []KeyValue
	Tags              []Tag
}

// CopartitionGroup are topics that need the same number of partitions, by their places in the subtopology.
type CopartitionGroup struct {
	SourceTopics            []int16
	SourceTopicRegex        []int16
	RepartitionSourceTopics []int16
	Tags                    []Tag
}

func (v *StreamsTopology) fields(c *coder) {
	number(c, &v.Epoch)
	array(c, &v.Subtopologies, func(c *coder, s *Subtopology) { s.fields(c) })
	c.tags(&v.Tags)
}

func (s *Subtopology) fields(c *coder) {
	c.string(&s.SubtopologyID)
	array(c, &s.SourceTopics, (*coder).string)
	array(c, &s.SourceTopicRegex, (*coder).string)
	array(c, &s.StateChangelogTopics, func(c *coder, t *InternalTopic) { t.fields(c) })
	array(c, &s.RepartitionSinkTopics, (*coder).string)
	array(c, &s.RepartitionSourceTopics, func(c *coder, t *InternalTopic) { t.fields(c) })
	array(c, &s.CopartitionGroups, func(c *coder, g *CopartitionGroup) { g.fields(c) })
	c.tags(&s.Tags)
}

func (t *InternalTopic) fields(c *coder) {
	c.string(&t.Name)
	number(c, &t.Partitions)
	number(c, &t.ReplicationFactor)
	array(c, &t.TopicConfigs, func(c *coder, p *KeyValue) { p.fields(c) })
	c.tags(&t.Tags)
}

func (g *CopartitionGroup) fields(c *coder) {
	array(c, &g.SourceTopics, number[int16])
	array(c, &g.SourceTopicRegex, number[int16])
	array(c, &g.RepartitionSourceTopics, number[int16])
	c.tags(&g.Tags)
}
