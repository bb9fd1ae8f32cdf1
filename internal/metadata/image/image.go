package image

import (
	"encoding/base64"
	"iter"
	"maps"
	"slices"
	"strings"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// UUID identifies an incarnation of a node or a data directory.
type UUID [16]byte

// String is the form in which Kafka prints IDs.
func (u UUID) String() string { return base64.RawURLEncoding.EncodeToString(u[:]) }

// Partition is the state of one partition.
type Partition struct {
	Replicas       []model.BrokerID // the first one is the preferred leader
	ISR            []model.BrokerID
	ELR            []model.BrokerID // eligible leader replicas (KIP-966)
	Leader         model.BrokerID   // model.NoBroker if there is none
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch int32 // grows with every change

	Adding          []model.BrokerID // replicas that an ongoing reassignment adds; they are among Replicas
	Removing        []model.BrokerID // replicas that it removes once the others are in the ISR; still among Replicas
	LastKnownLeader model.BrokerID   // of a partition without a leader; else model.NoBroker
	Cut             []CutLog         // members whose logs lost their tails (L2): with a leader of the ELR only, else of the ISR, too
}

// CutLog is a replica whose log was cut when its node stopped uncleanly. What was cut may have been acknowledged: only a
// comparison with other replicas tells a torn tail from rot (L2). It is forgotten when the replica has caught up with a leader, or falls behind one
// whose ISR suffices.
type CutLog struct {
	Node model.BrokerID
	End  model.Offset // what is left; model.NoOffset: not known
}

// Reassigning tells whether a reassignment is under way.
func (p *Partition) Reassigning() bool { return len(p.Adding)+len(p.Removing) > 0 }

// Target returns the replicas that the partition has, or will have when its reassignment is done.
func (p *Partition) Target() []model.BrokerID {
	if len(p.Removing) == 0 {
		return p.Replicas
	}
	return slices.DeleteFunc(slices.Clone(p.Replicas), func(id model.BrokerID) bool { return slices.Contains(p.Removing, id) })
}

// EffectiveMinISR is how many in-sync replicas acknowledged records need, given the topic's min.insync.replicas: never
// more than the partition has replicas, not counting those that a reassignment only begins to add. The controller and
// every leader use it: while the ISR is smaller the watermark stands still (D1), which is what the ELR relies on (R4).
func (p *Partition) EffectiveMinISR(configured int32) int {
	return min(int(configured), len(p.Replicas)-len(p.Adding))
}

// Topic is one topic.
type Topic struct {
	Name       string
	ID         model.TopicID
	Partitions []*Partition      // by number
	Configs    map[string]string // its own values, as text
}

// ReplicationFactor is the smallest number of replicas that a partition of the topic has.
func (t *Topic) ReplicationFactor() int {
	rf := len(t.Partitions[0].Replicas)
	for _, p := range t.Partitions {
		rf = min(rf, len(p.Replicas))
	}
	return rf
}

// Endpoint is where clients reach a node.
type Endpoint struct {
	Listener, Host   string
	Port             uint16
	SecurityProtocol string
}

// Node is a registered node.
type Node struct {
	ID          model.BrokerID
	Epoch       int64 // of this registration: the index of its entry
	Incarnation UUID  // new at every start of the process
	Directory   UUID  // of its data directory
	Endpoints   []Endpoint
	Rack        string
	Fenced      bool           // out of service: leads nothing
	Stopping    bool           // in controlled shutdown: leads nothing new
	Features    []FeatureRange // what its program supports, by name; nil: what a node alone supports
}

// Active tells whether the node may become a leader or join an ISR.
func (n *Node) Active() bool { return !n.Fenced && !n.Stopping }

// FeatureRange says which levels of a feature a program supports.
type FeatureRange struct {
	Name     string
	Min, Max int16
}

// Image is the metadata at one index. The zero value is not usable; see New.
type Image struct {
	clusterID string
	index     uint64
	term      uint64

	topics     *pmap[model.TopicID, *Topic]
	names      *pmap[string, *Topic]
	collisions *pmap[string, string] // collision key -> name, of names that can collide
	partitions int

	nodes          []*Node // by ID
	clusterConfigs map[string]string
	nodeConfigs    map[model.BrokerID]map[string]string
	groupConfigs   *pmap[string, map[string]string]
	features       map[string]int16
	nextProducerID model.ProducerID
}

// New returns the image of a cluster of which nothing is known yet, at index 0.
func New(clusterID string) *Image {
	return &Image{
		clusterID:  clusterID,
		topics:     newPmap[model.TopicID, *Topic](hashID),
		names:      newPmap[string, *Topic](hashString),
		collisions: newPmap[string, string](hashString),

		groupConfigs: newPmap[string, map[string]string](hashString),
	}
}

// hashID spreads IDs, which are random, over buckets.
func hashID(id model.TopicID) uint8 { return id[0] ^ id[15] }

// ClusterID is the identity of the cluster.
func (m *Image) ClusterID() string { return m.clusterID }

// Index is the last entry of the metadata log that is in the image; 0 before the first.
func (m *Image) Index() uint64 { return m.index }

// Term is that of the last entry.
func (m *Image) Term() uint64 { return m.term }

// Topic finds a topic by its name; nil if there is none.
func (m *Image) Topic(name string) *Topic {
	t, _ := m.names.get(name)
	return t
}

// Partition finds a partition by the name of its topic; nil if there is none.
func (m *Image) Partition(tp model.TopicPartition) *Partition {
	t := m.Topic(tp.Topic)
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[tp.Partition]
}

// TopicByID finds a topic by its ID; nil if there is none.
func (m *Image) TopicByID(id model.TopicID) *Topic {
	t, _ := m.topics.get(id)
	return t
}

// Topics yields all topics in no particular order.
func (m *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range m.topics.all() {
			if !yield(t) {
				return
			}
		}
	}
}

// TopicCount is the number of topics.
func (m *Image) TopicCount() int { return m.topics.len }

// PartitionCount is the number of partitions of all topics.
func (m *Image) PartitionCount() int { return m.partitions }

// Colliding returns the name of a topic that a new topic of this name would collide with ("a.b" and "a_b"), or
// that has the very name; empty if there is none.
func (m *Image) Colliding(name string) string {
	if t := m.Topic(name); t != nil {
		return t.Name
	}
	if !canCollide(name) {
		return ""
	}
	other, _ := m.collisions.get(model.CollisionKey(name))
	return other
}

func canCollide(name string) bool { return strings.ContainsAny(name, "._") }

// Nodes returns the registered nodes, by ID.
func (m *Image) Nodes() []*Node { return m.nodes }

// Node finds a registered node; nil if there is none.
func (m *Image) Node(id model.BrokerID) *Node {
	i, ok := m.findNode(id)
	if !ok {
		return nil
	}
	return m.nodes[i]
}

// BrokerEpoch is the epoch of a node's newest registration; 0: it is not registered.
func (m *Image) BrokerEpoch(id model.BrokerID) int64 {
	if n := m.Node(id); n != nil {
		return n.Epoch
	}
	return 0
}

func (m *Image) findNode(id model.BrokerID) (int, bool) {
	return slices.BinarySearchFunc(m.nodes, id, func(n *Node, id model.BrokerID) int { return int(n.ID) - int(id) })
}

// ClusterConfigs are the defaults of all nodes that were set at run time.
func (m *Image) ClusterConfigs() map[string]string { return m.clusterConfigs }

// NodeConfigs are the values that were set at run time for one node.
func (m *Image) NodeConfigs(id model.BrokerID) map[string]string { return m.nodeConfigs[id] }

// ConfiguredNodes returns the nodes that have values of their own, in order, whether they are registered or not.
func (m *Image) ConfiguredNodes() []model.BrokerID { return slices.Sorted(maps.Keys(m.nodeConfigs)) }

// GroupConfigs are a group's own values, as text; nil if it has none. Whether the group exists does not matter.
func (m *Image) GroupConfigs(id string) map[string]string {
	c, _ := m.groupConfigs.get(id)
	return c
}

// ConfiguredGroups returns the IDs of the groups that have values of their own, in order.
func (m *Image) ConfiguredGroups() []string {
	ids := make([]string, 0, m.groupConfigs.len)
	for id := range m.groupConfigs.all() {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Layers puts a node's dynamic values over its static ones.
func (m *Image) Layers(static map[string]string, id model.BrokerID) config.Layers {
	return config.Layers{Static: static, DynamicDefault: m.clusterConfigs, Dynamic: m.nodeConfigs[id]}
}

// Features returns the finalized feature levels.
func (m *Image) Features() map[string]int16 { return m.features }

// MetadataVersion is the newest format version of metadata records that every node of the cluster reads:
// command.VersionStandalone until the feature metadata.version is finalized at a higher level.
func (m *Image) MetadataVersion() uint32 {
	if level, ok := m.features[command.MetadataVersion]; ok {
		return uint32(level)
	}
	return command.VersionStandalone
}

// Clustered tells whether the metadata is that of a cluster, whose nodes start fenced and keep sessions.
func (m *Image) Clustered() bool { return m.MetadataVersion() >= command.VersionCluster }

// NextProducerID is the first producer ID that no node was given yet.
func (m *Image) NextProducerID() model.ProducerID { return m.nextProducerID }
