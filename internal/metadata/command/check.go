package command

import (
	"fmt"
	"math"

	"chronik/internal/model"
)

// checkBatch refuses a batch whose commands lack a part that their meaning needs. What they refer to is checked
// when they are applied.
func checkBatch(b *Batch) error {
	if len(b.Commands) == 0 {
		return fmt.Errorf("%w: a batch without commands", ErrFormat)
	}
	for i, c := range b.Commands {
		if err := check(c); err != nil {
			return fmt.Errorf("%w: command %d (%T): %w", ErrFormat, i, c.GetKind(), err)
		}
	}
	return nil
}

func check(c *Command) error {
	switch k := c.GetKind().(type) {
	case *Command_AddNode:
		return CheckNode(k.AddNode)
	case *Command_FenceNode:
		return checkNodeID(k.FenceNode.NodeId)
	case *Command_RemoveNode:
		return checkNodeID(k.RemoveNode.NodeId)
	case *Command_CreateTopic:
		return checkCreate(k.CreateTopic)
	case *Command_DeleteTopic:
		return checkID("topic ID", k.DeleteTopic.TopicId)
	case *Command_AssignPartitions:
		return checkAssign(k.AssignPartitions)
	case *Command_SetPartitionLeader:
		return checkID("topic ID", k.SetPartitionLeader.TopicId)
	case *Command_UpdateIsr:
		return checkID("topic ID", k.UpdateIsr.TopicId)
	case *Command_SetConfig:
		return checkConfig(k.SetConfig)
	case *Command_AllocateProducerIds:
		return checkBlock(k.AllocateProducerIds)
	case *Command_SetFeature:
		return checkFeature(k.SetFeature)
	case *Command_StopNode:
		return checkNodeID(k.StopNode.NodeId)
	case *Command_ChangePartitions:
		return checkChanges(k.ChangePartitions)
	}
	return fmt.Errorf("the kind of command is missing or unknown")
}

// CheckNode refuses a registration without the identities that it needs.
func CheckNode(n *AddNode) error {
	if err := checkNodeID(n.NodeId); err != nil {
		return err
	}
	if err := checkID("incarnation ID", n.IncarnationId); err != nil {
		return err
	}
	for _, e := range n.Endpoints {
		if e.Port > math.MaxUint16 || e.Host == "" || e.Listener == "" {
			return fmt.Errorf("endpoint %q: want a listener name, a host and a port up to 65535", e)
		}
	}
	for i, f := range n.Features {
		if f.Name == "" || f.MinLevel < 0 || f.MaxLevel < f.MinLevel || f.MaxLevel > math.MaxInt16 || i > 0 && n.Features[i-1].Name >= f.Name {
			return fmt.Errorf("feature %q, levels %d to %d: want names in order, and levels from 0 to 32767", f.Name, f.MinLevel, f.MaxLevel)
		}
	}
	return checkID("directory ID", n.DirectoryId)
}

func checkNodeID(id int32) error {
	if id < 0 {
		return fmt.Errorf("node ID %d is negative", id)
	}
	return nil
}

func checkID(what string, id []byte) error {
	if len(id) != len(model.TopicID{}) {
		return fmt.Errorf("the %s has %d bytes, want 16", what, len(id))
	}
	return nil
}

func checkCreate(t *CreateTopic) error {
	if err := model.CheckTopicName(t.Name); err != nil {
		return err
	}
	if err := checkID("topic ID", t.TopicId); err != nil {
		return err
	}
	return checkAssignments(t.Assignments)
}

func checkAssign(a *AssignPartitions) error {
	if err := checkID("topic ID", a.TopicId); err != nil {
		return err
	}
	if a.FirstPartition < 1 {
		return fmt.Errorf("first partition %d: a topic has one already", a.FirstPartition)
	}
	return checkAssignments(a.Assignments)
}

func checkAssignments(as []*Assignment) error {
	if len(as) == 0 {
		return fmt.Errorf("there is no partition in it")
	}
	for i, a := range as {
		if len(a.Replicas) == 0 {
			return fmt.Errorf("assignment %d has no replicas", i)
		}
	}
	return nil
}

func checkChanges(c *ChangePartitions) error {
	if err := checkID("topic ID", c.TopicId); err != nil {
		return err
	}
	if len(c.Changes) == 0 {
		return fmt.Errorf("it changes nothing")
	}
	for _, p := range c.Changes {
		if len(p.Replicas) == 0 {
			return fmt.Errorf("partition %d has no replicas", p.Partition)
		}
	}
	return nil
}

func checkConfig(c *SetConfig) error {
	switch r := c.GetResource().(type) {
	case *SetConfig_TopicId:
		if err := checkID("topic ID", r.TopicId); err != nil {
			return err
		}
	case *SetConfig_NodeId:
		if err := checkNodeID(r.NodeId); err != nil {
			return err
		}
	case *SetConfig_AllNodes:
		if !r.AllNodes {
			return fmt.Errorf("all_nodes is false")
		}
	case *SetConfig_GroupId:
		if r.GroupId == "" {
			return fmt.Errorf("the group has no ID")
		}
	default:
		return fmt.Errorf("the resource is missing or unknown")
	}
	if len(c.Set)+len(c.Unset) == 0 {
		return fmt.Errorf("it changes nothing")
	}
	return nil
}

func checkBlock(b *AllocateProducerIDs) error {
	if b.First < 0 || b.Count < 1 || b.First > math.MaxInt64-b.Count {
		return fmt.Errorf("the block of %d producer IDs from %d on is not valid", b.Count, b.First)
	}
	return checkNodeID(b.NodeId)
}

func checkFeature(f *SetFeature) error {
	if f.Name == "" || f.Level < 0 || f.Level > math.MaxInt16 {
		return fmt.Errorf("feature %q, level %d: want a name and a level from 0 to 32767", f.Name, f.Level)
	}
	return nil
}
