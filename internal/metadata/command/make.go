package command

import (
	"cmp"
	"slices"

	"chronik/internal/model"
)

// The constructors below wrap one kind each; their arguments are kept, not copied.

// Add registers a node.
func Add(n *AddNode) *Command { return &Command{Kind: &Command_AddNode{n}} }

// Fence takes a node out of service, or back into it.
func Fence(id model.BrokerID, epoch int64, fenced bool) *Command {
	return &Command{Kind: &Command_FenceNode{&FenceNode{NodeId: int32(id), NodeEpoch: epoch, Fenced: fenced}}}
}

// Remove unregisters a node.
func Remove(id model.BrokerID, epoch int64) *Command {
	return &Command{Kind: &Command_RemoveNode{&RemoveNode{NodeId: int32(id), NodeEpoch: epoch}}}
}

// Create makes a topic.
func Create(t *CreateTopic) *Command { return &Command{Kind: &Command_CreateTopic{t}} }

// Delete removes a topic.
func Delete(id model.TopicID) *Command {
	return &Command{Kind: &Command_DeleteTopic{&DeleteTopic{TopicId: id[:]}}}
}

// Assign adds partitions to a topic that has first of them.
func Assign(id model.TopicID, first int32, as []*Assignment) *Command {
	return &Command{Kind: &Command_AssignPartitions{&AssignPartitions{TopicId: id[:], FirstPartition: first, Assignments: as}}}
}

// Lead begins a new leader epoch.
func Lead(l *SetPartitionLeader) *Command { return &Command{Kind: &Command_SetPartitionLeader{l}} }

// ISR changes in-sync replicas.
func ISR(u *UpdateISR) *Command { return &Command{Kind: &Command_UpdateIsr{u}} }

// Stop begins a node's controlled shutdown.
func Stop(id model.BrokerID, epoch int64) *Command {
	return &Command{Kind: &Command_StopNode{&StopNode{NodeId: int32(id), NodeEpoch: epoch}}}
}

// Change changes partitions of one topic.
func Change(id model.TopicID, changes []*PartitionChange) *Command {
	return &Command{Kind: &Command_ChangePartitions{&ChangePartitions{TopicId: id[:], Changes: changes}}}
}

// TopicConfig changes values of a topic.
func TopicConfig(id model.TopicID, set []*ConfigValue, unset []string) *Command {
	return &Command{Kind: &Command_SetConfig{&SetConfig{Resource: &SetConfig_TopicId{id[:]}, Set: set, Unset: unset}}}
}

// NodeConfig changes values of one node.
func NodeConfig(id model.BrokerID, set []*ConfigValue, unset []string) *Command {
	return &Command{Kind: &Command_SetConfig{&SetConfig{Resource: &SetConfig_NodeId{int32(id)}, Set: set, Unset: unset}}}
}

// ClusterConfig changes the defaults of all nodes.
func ClusterConfig(set []*ConfigValue, unset []string) *Command {
	return &Command{Kind: &Command_SetConfig{&SetConfig{Resource: &SetConfig_AllNodes{true}, Set: set, Unset: unset}}}
}

// GroupConfig changes values of one group.
func GroupConfig(id string, set []*ConfigValue, unset []string) *Command {
	return &Command{Kind: &Command_SetConfig{&SetConfig{Resource: &SetConfig_GroupId{id}, Set: set, Unset: unset}}}
}

// ProducerIDs gives a block of producer IDs to a node.
func ProducerIDs(b *AllocateProducerIDs) *Command {
	return &Command{Kind: &Command_AllocateProducerIds{b}}
}

// Feature finalizes the level of a feature.
func Feature(name string, level int16) *Command {
	return &Command{Kind: &Command_SetFeature{&SetFeature{Name: name, Level: int32(level)}}}
}

// Values turns a map into values sorted by name.
func Values(m map[string]string) []*ConfigValue {
	vs := make([]*ConfigValue, 0, len(m))
	for k, v := range m {
		vs = append(vs, &ConfigValue{Name: k, Value: v})
	}
	slices.SortFunc(vs, func(a, b *ConfigValue) int { return cmp.Compare(a.Name, b.Name) })
	return vs
}
