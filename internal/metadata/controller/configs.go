package controller

import (
	"slices"
	"strconv"

	"chronik/internal/config"
	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// ResourceType is what a configuration belongs to.
type ResourceType uint8

// The resources that have configurations here.
const (
	TopicResource ResourceType = iota + 1
	BrokerResource
	GroupResource
)

// Resource is a topic, a group, a broker, or with an empty name all brokers.
type Resource struct {
	Type ResourceType
	Name string
}

// ConfigOp is one incremental change; a nil value is refused but for deletions.
type ConfigOp struct {
	Name  string
	Type  config.OpType
	Value *string
}

// Incremental is the request to change some values of a resource.
type Incremental struct {
	Resource Resource
	Ops      []ConfigOp
}

// Full is the request to replace all values of a resource.
type Full struct {
	Resource Resource
	Configs  []NewConfig
}

// IncrementalAlterConfigs decides about changes; the errors are in the order of the request. A resource is changed
// whole or not at all.
func IncrementalAlterConfigs(in Inputs, requests []Incremental, validateOnly bool) ([]*command.Command, []error) {
	resources := make([]Resource, len(requests))
	for i, r := range requests {
		resources[i] = r.Resource
	}
	return alter(in, resources, validateOnly, func(i int, t target) ([]config.Change, *Refusal) {
		ops := make([]config.Op, len(requests[i].Ops))
		seen := make(map[string]bool, len(ops))
		for j, op := range requests[i].Ops {
			if seen[op.Name] {
				return nil, refuse(InvalidRequest, "Error due to duplicate config keys: %s", op.Name)
			}
			seen[op.Name] = true
			ops[j] = config.Op{Name: op.Name, Type: op.Type}
			switch {
			case op.Value != nil:
				ops[j].Value = *op.Value
			case op.Type != config.OpDelete:
				return nil, refuse(InvalidRequest, "Null value not supported for : %s", op.Name)
			}
		}
		changes, err := config.Apply(t.scope, t.current, ops)
		if err != nil {
			return nil, refuse(t.badReason(), "%s", err)
		}
		return changes, nil
	})
}

// AlterConfigs decides about full replacements, as IncrementalAlterConfigs does.
func AlterConfigs(in Inputs, requests []Full, validateOnly bool) ([]*command.Command, []error) {
	resources := make([]Resource, len(requests))
	for i, r := range requests {
		resources[i] = r.Resource
	}
	return alter(in, resources, validateOnly, func(i int, t target) ([]config.Change, *Refusal) {
		next := make(map[string]string, len(requests[i].Configs))
		for _, c := range requests[i].Configs {
			if c.Value == nil {
				return nil, refuse(InvalidRequest, "Null value not supported for : %s", c.Name)
			}
			if _, twice := next[c.Name]; twice {
				return nil, refuse(InvalidRequest, "Error due to duplicate config keys: %s", c.Name)
			}
			next[c.Name] = *c.Value
		}
		changes, err := config.Replace(t.scope, t.current, next)
		if err != nil {
			return nil, refuse(t.badReason(), "%s", err)
		}
		return changes, nil
	})
}

// target is a resource that exists, and the values that it has.
type target struct {
	Resource
	scope   config.Scope
	current map[string]string
	topicID model.TopicID
	rf      int            // of the topic
	node    model.BrokerID // model.NoBroker: all of them
}

// badReason is the reason for an operation that does not fit: Kafka answers differently for brokers.
func (t target) badReason() Reason {
	if t.scope == config.ScopeBroker {
		return InvalidRequest
	}
	return InvalidConfig
}

func alter(in Inputs, resources []Resource, validateOnly bool, decide func(int, target) ([]config.Change, *Refusal)) ([]*command.Command, []error) {
	errs := make([]error, len(resources))
	var commands []*command.Command
	times := map[Resource]int{}
	for _, r := range resources {
		times[r]++
	}
	set, err := in.settings()
	for i, r := range resources {
		if err != nil {
			errs[i] = err
			continue
		}
		if times[r] > 1 {
			errs[i] = refuse(InvalidRequest, "Each resource must appear at most once.")
			continue
		}
		c, refusal := alterOne(in, set, r, func(t target) ([]config.Change, *Refusal) { return decide(i, t) })
		if refusal != nil {
			errs[i] = refusal
		} else if c != nil {
			commands = append(commands, c)
		}
	}
	if validateOnly || len(commands) == 0 {
		return nil, errs
	}
	more, err := narrow(in, commands)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return nil, errs
	}
	return append(commands, more...), errs
}

// narrow returns what follows for partitions from a change of min.insync.replicas: where the ISR suffices now, the watermark moves
// on from the same entry, and the eligible leader replicas must not be elected any more (KIP-966).
func narrow(in Inputs, commands []*command.Command) ([]*command.Command, error) {
	named := func(c *command.Command) bool {
		s := c.GetSetConfig()
		return slices.ContainsFunc(s.GetSet(), func(v *command.ConfigValue) bool { return v.Name == minISRKey }) || slices.Contains(s.GetUnset(), minISRKey)
	}
	if !in.Image.Clustered() || !slices.ContainsFunc(commands, named) {
		return nil, nil
	}
	after, err := in.after(commands)
	if err != nil {
		return nil, err
	}
	roster, err := newRoster(after)
	if err != nil {
		return nil, err
	}
	out := newChanges()
	each(after.Image, func(t *image.Topic, n int32, p *image.Partition) {
		if len(p.ELR) > 0 {
			out.add(roster.revise(t, n))
		}
	})
	return out.commands(), nil
}

func alterOne(in Inputs, set settings, r Resource, decide func(target) ([]config.Change, *Refusal)) (*command.Command, *Refusal) {
	t, refusal := resolve(in, r)
	if refusal != nil {
		return nil, refusal
	}
	changes, refusal := decide(t)
	if refusal != nil {
		return nil, refusal
	}
	if refusal := checkChanges(in, set, t, changes); refusal != nil {
		return nil, refusal
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return t.command(changes), nil
}

func resolve(in Inputs, r Resource) (target, *Refusal) {
	switch r.Type {
	case TopicResource:
		if r.Name == "" {
			return target{}, refuse(InvalidRequest, "Default topic resources are not allowed.")
		}
		if refusal := checkTopicName(r.Name); refusal != nil {
			return target{}, refusal
		}
		t := in.Image.Topic(r.Name)
		if t == nil {
			return target{}, refuse(UnknownTopic, "The topic '%s' does not exist.", r.Name)
		}
		return target{Resource: r, scope: config.ScopeTopic, current: t.Configs, topicID: t.ID, rf: t.ReplicationFactor()}, nil
	case BrokerResource:
		if r.Name == "" {
			return target{Resource: r, scope: config.ScopeBroker, current: in.Image.ClusterConfigs(), node: model.NoBroker}, nil
		}
		id, refusal := ParseBroker(r.Name)
		if refusal != nil {
			return target{}, refusal
		}
		if in.Image.Node(id) == nil {
			return target{}, refuse(InvalidRequest, "No broker %d is registered: name a registered one, or none for all of them.", id)
		}
		return target{Resource: r, scope: config.ScopeBroker, current: in.Image.NodeConfigs(id), node: id}, nil
	case GroupResource:
		if r.Name == "" {
			return target{}, refuse(InvalidRequest, "Default group resources are not allowed.")
		}
		return target{Resource: r, scope: config.ScopeGroup, current: in.Image.GroupConfigs(r.Name)}, nil
	}
	return target{}, refuse(InvalidRequest, "Unknown resource type %d: topics, brokers and groups have configurations.", r.Type)
}

// ParseBroker reads the name of a broker resource.
func ParseBroker(name string) (model.BrokerID, *Refusal) {
	n, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return 0, refuse(InvalidRequest, "Node id must be an integer, but it is: %s", name)
	}
	if n < 0 {
		return 0, refuse(InvalidRequest, "Invalid negative broker ID.")
	}
	return model.BrokerID(n), nil
}

// checkChanges looks at what the changes lead to.
func checkChanges(in Inputs, set settings, t target, changes []config.Change) *Refusal {
	next := config.Merged(t.current, changes)
	switch t.scope {
	case config.ScopeTopic:
		topic, r := checkTopicConfig(set.topic, next)
		if r != nil {
			return r
		}
		return checkMinISR(next, topic, t.rf)
	case config.ScopeGroup:
		if err := set.broker.CheckGroup(next); err != nil {
			return refuse(InvalidConfig, "%s", err)
		}
		return nil
	}
	if r := checkClusterMinISR(in, t, changes); r != nil {
		return r
	}
	if err := config.CheckDynamic(changes, t.node == model.NoBroker); err != nil {
		return refuse(InvalidRequest, "%s", err)
	}
	layers := in.Image.Layers(in.Static, in.NodeID)
	switch t.node {
	case model.NoBroker:
		layers.DynamicDefault = next
	default:
		layers.Dynamic = next
	}
	return checkTopics(in, layers)
}

// checkClusterMinISR keeps min.insync.replicas one value for all nodes of a cluster: FormCluster says why.
func checkClusterMinISR(in Inputs, t target, changes []config.Change) *Refusal {
	i := slices.IndexFunc(changes, func(c config.Change) bool { return c.Name == minISRKey })
	if i < 0 || !in.Image.Clustered() {
		return nil
	}
	if t.node != model.NoBroker || changes[i].Deleted {
		return refuse(InvalidConfig, "%s has one value for the whole cluster: set it for all brokers, and do not delete it.", minISRKey)
	}
	return nil
}

// checkTopics refuses layers that no topic, or not every existing topic with its own values, can live with.
func checkTopics(in Inputs, layers config.Layers) *Refusal {
	base, err := layers.Topic()
	if err == nil {
		err = base.Check()
	}
	if err != nil {
		return refuse(InvalidConfig, "%s", err)
	}
	for t := range in.Image.Topics() {
		if _, err := base.With(t.Configs); err != nil {
			return refuse(InvalidConfig, "%s, which topic %s has values of its own for", err, t.Name)
		}
	}
	return nil
}

func (t target) command(changes []config.Change) *command.Command {
	var set []*command.ConfigValue
	var unset []string
	for _, c := range changes {
		if c.Deleted {
			unset = append(unset, c.Name)
		} else {
			set = append(set, &command.ConfigValue{Name: c.Name, Value: c.Value})
		}
	}
	switch {
	case t.scope == config.ScopeTopic:
		return command.TopicConfig(t.topicID, set, unset)
	case t.scope == config.ScopeGroup:
		return command.GroupConfig(t.Name, set, unset)
	case t.node == model.NoBroker:
		return command.ClusterConfig(set, unset)
	}
	return command.NodeConfig(t.node, set, unset)
}
