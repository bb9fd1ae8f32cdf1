package controller

import (
	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/model"
)

// NewTopic is one topic to create.
type NewTopic struct {
	Name              string
	Partitions        int32 // -1: num.partitions, or as the assignments say
	ReplicationFactor int16 // -1: default.replication.factor, or as the assignments say
	Assignments       []Assignment
	Configs           []NewConfig
	// Internal topics take as many replicas as there are registered nodes, if that is fewer; Rebalance adds the rest (M4).
	Internal bool
}

// Assignment places one partition by hand.
type Assignment struct {
	Partition int32
	Replicas  []int32
}

// NewConfig is one value of a new topic.
type NewConfig struct {
	Name  string
	Value *string // nil is refused
}

// CreatedTopic is the answer for one topic, in the order of the request.
type CreatedTopic struct {
	Name              string
	ID                model.TopicID
	Partitions        int32
	ReplicationFactor int16
	Configs           []config.Entry // all keys, in effect; shared, not to be changed
	Err               error          // a *Refusal, or what makes the node's configuration unreadable; the rest is then unset
}

// CreateTopics decides about new topics. With validateOnly the answers are the same and there are no commands.
func CreateTopics(in Inputs, topics []NewTopic, validateOnly bool) ([]*command.Command, []CreatedTopic) {
	answers := make([]CreatedTopic, len(topics))
	set, err := in.settings()
	times := map[string]int{}
	for _, t := range topics {
		times[t.Name]++
	}
	c := creation{in: in, set: set, claimed: map[string]string{}, left: MaxPartitionsPerRequest}
	for i, t := range topics {
		a := &answers[i]
		switch {
		case err != nil:
			*a = CreatedTopic{Name: t.Name, Err: err}
		case times[t.Name] > 1:
			*a = CreatedTopic{Name: t.Name, Err: refuse(InvalidRequest, "Duplicate topic name.")}
		default:
			*a = c.create(t)
		}
	}
	if validateOnly {
		return nil, answers
	}
	return c.commands, answers
}

// creation is the state of one request.
type creation struct {
	in       Inputs
	set      settings
	claimed  map[string]string // collision keys of the topics before, to their names
	left     int               // partitions that may still be created
	placed   int               // partitions placed so far
	ring     *ring             // once it is needed
	plain    []config.Entry    // describe's answer for a topic without values of its own
	commands []*command.Command
}

func (c *creation) create(t NewTopic) CreatedTopic {
	refused := func(r error) CreatedTopic { return CreatedTopic{Name: t.Name, Err: r} }
	if r := c.checkName(t.Name); r != nil {
		return refused(r)
	}
	configs, topic, r := c.configs(t.Configs)
	if r != nil {
		return refused(r)
	}
	assignments, r := c.assignments(t)
	if r != nil {
		return refused(r)
	}
	rf := len(assignments[0].Replicas)
	if r := checkMinISR(configs, topic, rf); r != nil && !t.Internal {
		return refused(r)
	}
	entries, err := c.describe(configs)
	if err != nil {
		return refused(err)
	}
	id := c.in.NewTopicID()
	c.claimed[model.CollisionKey(t.Name)] = t.Name
	c.left -= len(assignments)
	c.placed += len(assignments)
	c.commands = append(c.commands, command.Create(&command.CreateTopic{
		Name: t.Name, TopicId: id[:], Assignments: assignments, Configs: command.Values(configs)}))
	return CreatedTopic{Name: t.Name, ID: id, Partitions: int32(len(assignments)), ReplicationFactor: int16(rf), Configs: entries}
}

// describe returns the keys in effect; topics without values of their own share them.
func (c *creation) describe(own map[string]string) ([]config.Entry, error) {
	if len(own) > 0 {
		return c.set.layers.DescribeTopic(own)
	}
	if c.plain == nil {
		entries, err := c.set.layers.DescribeTopic(nil)
		if err != nil {
			return nil, err
		}
		c.plain = entries
	}
	return c.plain, nil
}

func (c *creation) checkName(name string) *Refusal {
	if r := checkTopicName(name); r != nil {
		return r
	}
	other := c.in.Image.Colliding(name)
	if other == "" {
		other = c.claimed[model.CollisionKey(name)]
	}
	switch other {
	case "":
		return nil
	case name:
		return refuse(TopicExists, "Topic '%s' already exists.", name)
	}
	return refuse(InvalidTopic, "Topic '%s' collides with existing topic: %s", name, other)
}

// configs checks a topic's own values one by one and together.
func (c *creation) configs(list []NewConfig) (map[string]string, *config.Topic, *Refusal) {
	own := make(map[string]string, len(list))
	for _, v := range list {
		if v.Value == nil {
			return nil, nil, refuse(InvalidConfig, "Null value not supported for topic configs: %s", v.Name)
		}
		if _, twice := own[v.Name]; twice {
			return nil, nil, refuse(InvalidConfig, "Duplicate topic config name: %s", v.Name)
		}
		own[v.Name] = *v.Value
	}
	topic, r := checkTopicConfig(c.set.topic, own)
	return own, topic, r
}

// checkTopicConfig parses a topic's own values over the defaults and refuses what this version cannot do.
func checkTopicConfig(base *config.Topic, own map[string]string) (*config.Topic, *Refusal) {
	t, err := base.With(own)
	if err != nil {
		return nil, refuse(InvalidConfig, "%s", err)
	}
	if t.RemoteStorage {
		return nil, refuse(InvalidConfig, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
	}
	return t, nil
}

// checkMinISR refuses a topic's own min.insync.replicas that its replicas can never fulfil (M4). An inherited one is
// not the topic's mistake: it counts as the smaller of both.
func checkMinISR(own map[string]string, t *config.Topic, rf int) *Refusal {
	if _, set := own[minISRKey]; set && int(t.MinInsyncReplicas) > rf {
		return refuse(InvalidConfig, "Invalid value %d for configuration %s: the topic has a replication factor of %d, so that no acks=all "+
			"produce could ever succeed; set it to %d at most, or give the topic more replicas", t.MinInsyncReplicas, minISRKey, rf, rf)
	}
	return nil
}

func (c *creation) assignments(t NewTopic) ([]*command.Assignment, *Refusal) {
	if len(t.Assignments) > 0 {
		return c.manual(t)
	}
	switch {
	case t.ReplicationFactor < -1 || t.ReplicationFactor == 0:
		return nil, refuse(InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	case t.Partitions < -1 || t.Partitions == 0:
		return nil, refuse(InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	partitions, rf := int(t.Partitions), int(t.ReplicationFactor)
	if partitions == -1 {
		partitions = int(c.set.broker.NumPartitions)
	}
	if rf == -1 {
		rf = int(c.set.broker.DefaultReplicationFactor)
	}
	if r := c.checkCount(partitions); r != nil {
		return nil, r
	}
	if t.Internal {
		rf = min(rf, len(c.in.Image.Nodes()))
	}
	if c.ring == nil {
		r := ringOf(c.in.Image.Nodes())
		c.ring = &r
	}
	if r := checkFactor(c.in.Image, *c.ring, rf); r != nil {
		return nil, r
	}
	return c.ring.place(c.in.Image.PartitionCount()+c.placed, 0, partitions, rf), nil
}

func (c *creation) checkCount(partitions int) *Refusal {
	if partitions > c.left {
		return refuse(PolicyViolation, "Excessively large number of partitions per request.")
	}
	return nil
}

func (c *creation) manual(t NewTopic) ([]*command.Assignment, *Refusal) {
	switch {
	case t.ReplicationFactor != -1:
		return nil, refuse(InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	case t.Partitions != -1:
		return nil, refuse(InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	if r := c.checkCount(len(t.Assignments)); r != nil {
		return nil, r
	}
	nodes := c.in.Image.Nodes()
	out := make([]*command.Assignment, len(t.Assignments))
	seen := make(map[int32]bool, len(out))
	rf := 0
	for _, a := range t.Assignments {
		if seen[a.Partition] {
			return nil, refuse(InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		seen[a.Partition] = true
		if r := checkReplicas(nodes, a.Replicas, rf); r != nil {
			return nil, r
		}
		rf = len(a.Replicas)
		if a.Partition >= 0 && int(a.Partition) < len(out) {
			out[a.Partition] = assignment(nodes, a.Replicas)
		}
	}
	for i := range out {
		if out[i] == nil {
			return nil, refuse(InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
	}
	return out, nil
}
