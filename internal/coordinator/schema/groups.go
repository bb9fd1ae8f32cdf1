package schema

import "chronik/internal/model"

// The keys. Each can be the key of a map.
type (
	// OffsetKey is what an offset is committed for.
	OffsetKey struct {
		Group, Topic string
		Partition    int32
	}
	// GroupKey is a group.
	GroupKey struct{ Group string }
	// MemberKey is a member of a group.
	MemberKey struct{ Group, Member string }
	// PatternKey is a regular expression that members of a group subscribe to.
	PatternKey struct{ Group, Pattern string }
	// TransactionKey is a transactional ID.
	TransactionKey struct{ TransactionalID string }
	// SharePartitionKey is a partition as one share group reads it.
	SharePartitionKey struct {
		Group     string
		TopicID   model.TopicID
		Partition int32
	}
)

func (k *OffsetKey) fields(c *coder) {
	c.string(&k.Group)
	c.string(&k.Topic)
	number(c, &k.Partition)
}

func (k *GroupKey) fields(c *coder) { c.string(&k.Group) }

func (k *MemberKey) fields(c *coder) {
	c.string(&k.Group)
	c.string(&k.Member)
}

func (k *PatternKey) fields(c *coder) {
	c.string(&k.Group)
	c.string(&k.Pattern)
}

func (k *TransactionKey) fields(c *coder) { c.string(&k.TransactionalID) }

func (k *SharePartitionKey) fields(c *coder) {
	c.string(&k.Group)
	c.topicID(&k.TopicID)
	number(c, &k.Partition)
}

// TopicPartitions are some partitions of a topic.
type TopicPartitions struct {
	TopicID    model.TopicID
	Partitions []int32
	Tags       []Tag
}

func (p *TopicPartitions) fields(c *coder) {
	c.topicID(&p.TopicID)
	array(c, &p.Partitions, number[int32])
	c.tags(&p.Tags)
}

// KeyValue is a setting or a label.
type KeyValue struct {
	Key, Value string
	Tags       []Tag
}

func (p *KeyValue) fields(c *coder) {
	c.string(&p.Key)
	c.string(&p.Value)
	c.tags(&p.Tags)
}

// epochs are the assignment epochs that go with partitions, if they are kept (tag 0).
func epochs(e *[]int32) tagged {
	return tagged{0, *e != nil, func(c *coder) { nullableArray(c, e, number[int32]) }}
}

// timestamp is the time in ms of an assignment, if it is kept (tag 0).
func timestamp(ms *int64) tagged {
	return tagged{0, *ms != 0, func(c *coder) { number(c, ms) }}
}
