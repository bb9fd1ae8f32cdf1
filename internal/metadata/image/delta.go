package image

import "chronik/internal/model"

// Delta says what a batch changed. A topic that was made and deleted in one batch is in neither list. Whoever
// follows the image handles deletions first: a topic may be deleted and another of its name created at once.
type Delta struct {
	TopicsDeleted []*Topic // as they were
	TopicsCreated []*Topic // with all their partitions, and as they are at the end of the batch
	Partitions    []PartitionChange
	Unclean       []model.TopicPartition // of these, whose leaders were elected from outside of ISR and ELR: records may be lost
	TopicConfigs  []*Topic               // existing topics whose own values changed, as they are now

	NodesChanged  []model.BrokerID // registered, fenced, unfenced or removed
	NodeConfigs   []model.BrokerID // nodes whose own values changed
	GroupConfigs  []string         // groups whose own values changed
	ClusterConfig bool             // the defaults of all nodes changed
	Features      bool
	ProducerIDs   bool
}

// PartitionChange is a partition of an existing topic that was added (Old is nil) or changed.
type PartitionChange struct {
	Topic     *Topic // as it is now
	Partition int32
	Old, New  *Partition
}

// Empty tells whether nothing changed but the index.
func (d *Delta) Empty() bool {
	return len(d.TopicsDeleted)+len(d.TopicsCreated)+len(d.Partitions)+len(d.TopicConfigs)+len(d.NodesChanged)+len(d.NodeConfigs)+len(d.GroupConfigs) == 0 &&
		!d.ClusterConfig && !d.Features && !d.ProducerIDs
}
