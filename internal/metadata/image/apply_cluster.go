package image

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

func (b *builder) addNode(c *command.AddNode) error {
	n := nodeOf(c, int64(b.im.index))
	b.ownNodes()
	if i, ok := b.im.findNode(n.ID); ok {
		b.im.nodes[i] = n
	} else {
		b.im.nodes = slices.Insert(b.im.nodes, i, n)
	}
	b.nodeChanged(n.ID)
	return nil
}

func nodeOf(c *command.AddNode, epoch int64) *Node {
	n := &Node{ID: model.BrokerID(c.NodeId), Epoch: epoch, Incarnation: UUID(c.IncarnationId), Directory: UUID(c.DirectoryId),
		Rack: c.Rack, Fenced: c.Fenced, Endpoints: make([]Endpoint, len(c.Endpoints))}
	for _, f := range c.Features {
		n.Features = append(n.Features, FeatureRange{Name: f.Name, Min: int16(f.MinLevel), Max: int16(f.MaxLevel)})
	}
	for i, e := range c.Endpoints {
		n.Endpoints[i] = Endpoint{Listener: e.Listener, Host: e.Host, Port: uint16(e.Port), SecurityProtocol: e.SecurityProtocol}
	}
	return n
}

// registered finds a node at the registration that a command means.
func (b *builder) registered(id model.BrokerID, epoch int64) (int, error) {
	i, ok := b.im.findNode(id)
	if !ok {
		return 0, conflict("node %d is not registered any more", id)
	}
	if b.im.nodes[i].Epoch != epoch {
		return 0, conflict("node %d has registered again: its epoch is %d, not %d", id, b.im.nodes[i].Epoch, epoch)
	}
	return i, nil
}

func (b *builder) fenceNode(c *command.FenceNode) error {
	return b.changeNode(c.NodeId, c.NodeEpoch, func(n *Node) { n.Fenced = c.Fenced })
}

func (b *builder) stopNode(c *command.StopNode) error {
	return b.changeNode(c.NodeId, c.NodeEpoch, func(n *Node) { n.Stopping = true })
}

// changeNode changes a copy of a registered node.
func (b *builder) changeNode(id int32, epoch int64, change func(*Node)) error {
	i, err := b.registered(model.BrokerID(id), epoch)
	if err != nil {
		return err
	}
	b.ownNodes()
	n := *b.im.nodes[i]
	change(&n)
	b.im.nodes[i] = &n
	b.nodeChanged(n.ID)
	return nil
}

func (b *builder) removeNode(c *command.RemoveNode) error {
	i, err := b.registered(model.BrokerID(c.NodeId), c.NodeEpoch)
	if err != nil {
		return err
	}
	b.ownNodes()
	b.im.nodes = slices.Delete(b.im.nodes, i, i+1)
	b.nodeChanged(model.BrokerID(c.NodeId))
	return nil
}

func (b *builder) setConfig(c *command.SetConfig) error {
	switch r := c.Resource.(type) {
	case *command.SetConfig_TopicId:
		return b.setTopicConfig(model.TopicID(r.TopicId), c)
	case *command.SetConfig_NodeId:
		b.setNodeConfig(model.BrokerID(r.NodeId), c)
	case *command.SetConfig_GroupId:
		b.setGroupConfig(r.GroupId, c)
	default: // all nodes: Decode has refused everything else
		b.im.clusterConfigs = changed(b.im.clusterConfigs, c)
		b.delta.ClusterConfig = true
	}
	return nil
}

func (b *builder) setTopicConfig(id model.TopicID, c *command.SetConfig) error {
	t, ok := b.topics.get(id)
	if !ok {
		return conflict("topic %s does not exist any more", id)
	}
	t = b.own(t)
	t.Configs = changed(t.Configs, c)
	if b.isNew(t) {
		return nil
	}
	if i := slices.IndexFunc(b.delta.TopicConfigs, func(o *Topic) bool { return o.ID == id }); i >= 0 {
		b.delta.TopicConfigs[i] = t
	} else {
		b.delta.TopicConfigs = append(b.delta.TopicConfigs, t)
	}
	return nil
}

func (b *builder) setNodeConfig(id model.BrokerID, c *command.SetConfig) {
	next := changed(b.im.nodeConfigs[id], c)
	if next == nil {
		b.im.nodeConfigs = without(b.im.nodeConfigs, id)
	} else {
		b.im.nodeConfigs = with(b.im.nodeConfigs, id, next)
	}
	if !slices.Contains(b.delta.NodeConfigs, id) {
		b.delta.NodeConfigs = append(b.delta.NodeConfigs, id)
	}
}

func (b *builder) setGroupConfig(id string, c *command.SetConfig) {
	old, _ := b.groups.get(id)
	if next := changed(old, c); next == nil {
		b.groups.remove(id)
	} else {
		b.groups.set(id, next)
	}
	if !slices.Contains(b.delta.GroupConfigs, id) {
		b.delta.GroupConfigs = append(b.delta.GroupConfigs, id)
	}
}

// changed returns a copy of m with the changes made, nil if nothing is left.
func changed(m map[string]string, c *command.SetConfig) map[string]string {
	next := make(map[string]string, len(m)+len(c.Set))
	maps.Copy(next, m)
	for _, v := range c.Set {
		next[v.Name] = v.Value
	}
	for _, name := range c.Unset {
		delete(next, name)
	}
	if len(next) == 0 {
		return nil
	}
	return next
}

func (b *builder) allocate(c *command.AllocateProducerIDs) error {
	if _, err := b.registered(model.BrokerID(c.NodeId), c.NodeEpoch); err != nil {
		return err
	}
	if b.im.nextProducerID != model.ProducerID(c.First) {
		return conflict("the next free producer ID is %d, not %d", b.im.nextProducerID, c.First)
	}
	b.im.nextProducerID += model.ProducerID(c.Count)
	b.delta.ProducerIDs = true
	return nil
}

func (b *builder) setFeature(c *command.SetFeature) error {
	if c.Name == command.MetadataVersion {
		switch level := uint32(c.Level); {
		case level > command.FormatVersion:
			return fmt.Errorf("%w: %s is %d, this program reads %d; run a newer one", command.ErrFormat, c.Name, level, command.FormatVersion)
		case level < b.im.MetadataVersion():
			return conflict("%s is %d already, and cannot go back to %d", c.Name, b.im.MetadataVersion(), level)
		}
	}
	if c.Level == 0 {
		b.im.features = without(b.im.features, c.Name)
	} else {
		b.im.features = with(b.im.features, c.Name, int16(c.Level))
	}
	b.delta.Features = true
	return nil
}

// sortedTopics returns the topics by name.
func (m *Image) sortedTopics() []*Topic {
	return slices.SortedFunc(m.Topics(), func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
}
