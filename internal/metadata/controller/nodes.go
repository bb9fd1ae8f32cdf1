package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Registration is what a node says about itself when it starts.
type Registration struct {
	ClusterID   string
	ID          model.BrokerID
	Incarnation image.UUID
	Directory   image.UUID
	Endpoints   []image.Endpoint
	Rack        string
}

// RegisterNode decides about a registration. The node's broker epoch is then the index at which the commands are
// applied. A node that registers again has lost what it had not synced: every replicated partition that it led
// gets a new leader epoch before it may append (R1). Repeating the same incarnation gives no commands.
func RegisterNode(in Inputs, r Registration) ([]*command.Command, error) {
	if r.ClusterID != in.Image.ClusterID() {
		return nil, refuse(OtherCluster, "Node %d belongs to cluster %s, this is cluster %s: give it a data directory of this cluster, or an empty one.",
			r.ID, r.ClusterID, in.Image.ClusterID())
	}
	add := &command.AddNode{NodeId: int32(r.ID), IncarnationId: r.Incarnation[:], DirectoryId: r.Directory[:], Rack: r.Rack}
	for _, e := range r.Endpoints {
		add.Endpoints = append(add.Endpoints, &command.Endpoint{Listener: e.Listener, Host: e.Host, Port: uint32(e.Port), SecurityProtocol: e.SecurityProtocol})
	}
	if err := command.CheckNode(add); err != nil {
		return nil, refuse(InvalidRequest, "The registration of node %d is not complete: %v", r.ID, err)
	}
	old := in.Image.Node(r.ID)
	if old != nil && old.Incarnation == r.Incarnation {
		return nil, nil
	}
	led, holds := partitionsOf(in.Image, r.ID)
	if old != nil && old.Directory != r.Directory && holds > 0 {
		// R7 asks for its removal from every ISR first; with replicas elsewhere that is a reassignment.
		return nil, refuse(DuplicateBroker, "Node %d has another data directory than before (%s, was %s) and %d partitions have replicas on it: "+
			"start it with its old directory, or delete these topics first.", r.ID, r.Directory, old.Directory, holds)
	}
	return append([]*command.Command{command.Add(add)}, led...), nil
}

// partitionsOf returns a new leader epoch for each replicated partition that the node leads, and how many partitions
// have a replica on it.
func partitionsOf(m *image.Image, id model.BrokerID) (epochs []*command.Command, holds int) {
	for t := range m.Topics() {
		for n, p := range t.Partitions {
			if !slices.Contains(p.Replicas, id) {
				continue
			}
			holds++
			if p.Leader == id && len(p.Replicas) > 1 {
				epochs = append(epochs, command.Lead(&command.SetPartitionLeader{TopicId: t.ID[:], Partition: int32(n), ExpectedPartitionEpoch: p.PartitionEpoch,
					Leader: int32(id), Isr: wire(p.ISR), Elr: wire(p.ELR)}))
			}
		}
	}
	return epochs, holds
}

func wire(list []model.BrokerID) []int32 {
	out := make([]int32, len(list))
	for i, id := range list {
		out[i] = int32(id)
	}
	return out
}

// ProducerIDBlock is a range of producer IDs for one node to hand out.
type ProducerIDBlock struct {
	First model.ProducerID
	Count int64
}

// ProducerIDBlockSize is how many producer IDs a node gets at a time, as in Kafka.
const ProducerIDBlockSize = 1000

// AllocateProducerIDs gives the next block to a node. An ID is never given out twice: those of a node that stops
// before it used them are lost.
func AllocateProducerIDs(in Inputs, id model.BrokerID, epoch int64) ([]*command.Command, ProducerIDBlock, error) {
	n := in.Image.Node(id)
	switch {
	case n == nil:
		return nil, ProducerIDBlock{}, refuse(UnknownBroker, "Node %d is not registered.", id)
	case n.Epoch != epoch:
		return nil, ProducerIDBlock{}, refuse(StaleBrokerEpoch, "Node %d has registered again: its epoch is %d, not %d.", id, n.Epoch, epoch)
	}
	b := ProducerIDBlock{First: in.Image.NextProducerID(), Count: ProducerIDBlockSize}
	return []*command.Command{command.ProducerIDs(&command.AllocateProducerIDs{NodeId: int32(id), NodeEpoch: epoch, First: int64(b.First), Count: b.Count})}, b, nil
}
