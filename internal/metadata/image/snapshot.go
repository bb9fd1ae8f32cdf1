package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// A snapshot's bytes: magic, format version, CRC32-C of all that follows it, length of the message, the message
// (command.Snapshot). docs/format/metadata.md has the table.
const (
	snapshotMagic      = "CHRNMETA"
	snapshotHeaderSize = 8 + 4 + 4 + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrSnapshot is for bytes that are no whole snapshot. What may be done about it is in the message.
var ErrSnapshot = errors.New("the metadata snapshot is damaged")

// EncodeSnapshot returns the image as bytes. Equal images give equal bytes.
func EncodeSnapshot(m *Image) ([]byte, error) {
	message := m.message()
	payload, err := command.Marshal(message)
	if err != nil {
		return nil, err
	}
	out := make([]byte, snapshotHeaderSize, snapshotHeaderSize+len(payload))
	copy(out, snapshotMagic)
	binary.BigEndian.PutUint32(out[8:], message.FormatVersion)
	binary.BigEndian.PutUint64(out[16:], uint64(len(payload)))
	out = append(out, payload...)
	binary.BigEndian.PutUint32(out[12:], crc32.Checksum(out[16:], castagnoli))
	return out, nil
}

// DecodeSnapshot reads what EncodeSnapshot wrote, whole and of this cluster.
func DecodeSnapshot(clusterID string, data []byte) (*Image, error) {
	switch {
	case len(data) < snapshotHeaderSize || string(data[:8]) != snapshotMagic:
		return nil, fmt.Errorf("%w: it does not begin as one", ErrSnapshot)
	case command.CheckVersion(binary.BigEndian.Uint32(data[8:])) != nil:
		return nil, command.CheckVersion(binary.BigEndian.Uint32(data[8:]))
	case binary.BigEndian.Uint64(data[16:]) != uint64(len(data)-snapshotHeaderSize):
		return nil, fmt.Errorf("%w: it has %d bytes after its header and announces %d", ErrSnapshot,
			len(data)-snapshotHeaderSize, binary.BigEndian.Uint64(data[16:]))
	case binary.BigEndian.Uint32(data[12:]) != crc32.Checksum(data[16:], castagnoli):
		return nil, fmt.Errorf("%w: its checksum does not match", ErrSnapshot)
	}
	s := new(command.Snapshot)
	if err := command.Unmarshal(data[snapshotHeaderSize:], s); err != nil {
		return nil, err
	}
	if s.ClusterId != clusterID {
		return nil, fmt.Errorf("%w: %s, and this node belongs to %s", command.ErrCluster, s.ClusterId, clusterID)
	}
	return fromMessage(s)
}

// message describes the image in the format version of the cluster: what a newer version adds is never there
// before that version is finalized.
func (m *Image) message() *command.Snapshot {
	s := &command.Snapshot{
		FormatVersion: m.MetadataVersion(), ClusterId: m.clusterID, Index: m.index, Term: m.term,
		AllNodesConfigs: command.Values(m.clusterConfigs), NextProducerId: int64(m.nextProducerID),
	}
	for _, n := range m.nodes {
		s.Nodes = append(s.Nodes, &command.NodeState{Registration: registration(n), NodeEpoch: n.Epoch, Stopping: n.Stopping})
	}
	for _, id := range m.ConfiguredNodes() {
		s.NodeConfigs = append(s.NodeConfigs, &command.NodeConfigs{NodeId: int32(id), Configs: command.Values(m.nodeConfigs[id])})
	}
	for _, id := range m.ConfiguredGroups() {
		s.GroupConfigs = append(s.GroupConfigs, &command.GroupConfigs{GroupId: id, Configs: command.Values(m.GroupConfigs(id))})
	}
	for _, name := range slices.Sorted(maps.Keys(m.features)) {
		s.Features = append(s.Features, &command.SetFeature{Name: name, Level: int32(m.features[name])})
	}
	for _, t := range m.sortedTopics() {
		ts := &command.TopicState{Name: t.Name, TopicId: t.ID[:], Configs: command.Values(t.Configs), Partitions: make([]*command.PartitionState, len(t.Partitions))}
		for i, p := range t.Partitions {
			ts.Partitions[i] = stateOf(p)
		}
		s.Topics = append(s.Topics, ts)
	}
	return s
}

func stateOf(p *Partition) *command.PartitionState {
	s := &command.PartitionState{Replicas: model.Int32s(p.Replicas), Isr: model.Int32s(p.ISR), Elr: model.Int32s(p.ELR), Leader: int32(p.Leader),
		LeaderEpoch: int32(p.LeaderEpoch), PartitionEpoch: p.PartitionEpoch, Adding: model.Int32s(p.Adding), Removing: model.Int32s(p.Removing)}
	if p.LastKnownLeader != model.NoBroker {
		id := int32(p.LastKnownLeader)
		s.LastKnownLeader = &id
	}
	for _, c := range p.Cut {
		s.Cut = append(s.Cut, &command.CutLog{NodeId: int32(c.Node), EndOffset: int64(c.End)})
	}
	return s
}

func registration(n *Node) *command.AddNode {
	a := &command.AddNode{NodeId: int32(n.ID), IncarnationId: n.Incarnation[:], DirectoryId: n.Directory[:], Rack: n.Rack, Fenced: n.Fenced}
	for _, f := range n.Features {
		a.Features = append(a.Features, &command.FeatureRange{Name: f.Name, MinLevel: int32(f.Min), MaxLevel: int32(f.Max)})
	}
	for _, e := range n.Endpoints {
		a.Endpoints = append(a.Endpoints, &command.Endpoint{Listener: e.Listener, Host: e.Host, Port: uint32(e.Port), SecurityProtocol: e.SecurityProtocol})
	}
	return a
}

func fromMessage(s *command.Snapshot) (*Image, error) {
	b := newBuilder(New(s.ClusterId), s.Term, s.Index)
	b.im.clusterConfigs = valuesOf(s.AllNodesConfigs)
	b.im.nextProducerID = model.ProducerID(s.NextProducerId)
	for _, n := range s.Nodes {
		if n.Registration == nil || command.CheckNode(n.Registration) != nil {
			return nil, fmt.Errorf("%w: the registration of a node is not complete", command.ErrFormat)
		}
		node := nodeOf(n.Registration, n.NodeEpoch)
		node.Stopping = n.Stopping
		b.im.nodes = append(b.im.nodes, node)
	}
	for _, c := range s.NodeConfigs {
		b.im.nodeConfigs = with(b.im.nodeConfigs, model.BrokerID(c.NodeId), valuesOf(c.Configs))
	}
	for _, c := range s.GroupConfigs {
		b.groups.set(c.GroupId, valuesOf(c.Configs))
	}
	for _, f := range s.Features {
		b.im.features = with(b.im.features, f.Name, int16(f.Level))
	}
	for _, t := range s.Topics {
		if err := b.restore(t); err != nil {
			return nil, fmt.Errorf("topic %q: %w", t.Name, err)
		}
	}
	im, _ := b.done()
	return im, nil
}

func (b *builder) restore(s *command.TopicState) error {
	if len(s.TopicId) != len(model.TopicID{}) || len(s.Partitions) == 0 {
		return fmt.Errorf("%w: it lacks its ID or its partitions", command.ErrFormat)
	}
	t := &Topic{Name: s.Name, ID: model.TopicID(s.TopicId), Partitions: make([]*Partition, len(s.Partitions)), Configs: valuesOf(s.Configs)}
	for i, p := range s.Partitions {
		t.Partitions[i] = &Partition{Replicas: model.BrokerIDs(p.Replicas), ISR: model.BrokerIDs(p.Isr), ELR: model.BrokerIDs(p.Elr), Leader: model.BrokerID(p.Leader),
			LeaderEpoch: model.LeaderEpoch(p.LeaderEpoch), PartitionEpoch: p.PartitionEpoch,
			Adding: model.BrokerIDs(p.Adding), Removing: model.BrokerIDs(p.Removing), LastKnownLeader: orNone(p.LastKnownLeader), Cut: cutLogs(p.Cut)}
		if len(p.Replicas) == 0 {
			return fmt.Errorf("%w: partition %d has no replicas", command.ErrFormat, i)
		}
		if err := t.Partitions[i].check(); err != nil {
			return err
		}
	}
	if canCollide(t.Name) {
		b.collisions.set(model.CollisionKey(t.Name), t.Name)
	}
	b.im.partitions += len(t.Partitions)
	b.put(t)
	return nil
}
