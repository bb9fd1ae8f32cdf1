package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// TopicRef names a topic to delete: by name, or by ID with an empty name.
type TopicRef struct {
	Name string
	ID   model.TopicID
}

// DeletedTopic is the answer for one topic, in the order of the request.
type DeletedTopic struct {
	Name string // empty if only an unknown ID is known
	ID   model.TopicID
	Err  error
}

// DeleteTopics decides about topics to delete.
func DeleteTopics(in Inputs, refs []TopicRef) ([]*command.Command, []DeletedTopic) {
	answers := make([]DeletedTopic, len(refs))
	set, err := in.settings()
	var commands []*command.Command
	times := map[model.TopicID]int{}
	topics := make([]*image.Topic, len(refs))
	for i, ref := range refs {
		t, r := findTopic(in.Image, ref)
		answers[i] = DeletedTopic{Name: ref.Name, ID: ref.ID}
		if r != nil {
			answers[i].Err = r
			continue
		}
		answers[i].Name, answers[i].ID, topics[i] = t.Name, t.ID, t
		times[t.ID]++
	}
	for i, t := range topics {
		a := &answers[i]
		switch {
		case a.Err != nil:
		case err != nil:
			a.Err = err
		case times[t.ID] > 1:
			a.Err = refuse(InvalidRequest, "Duplicate topic name.")
		case !set.broker.DeleteTopics:
			a.Err = refuse(DeletionDisabled, "Topic deletion is disabled: delete.topic.enable is false.")
		default:
			commands = append(commands, command.Delete(t.ID))
		}
	}
	return commands, answers
}

func findTopic(m *image.Image, ref TopicRef) (*image.Topic, *Refusal) {
	switch {
	case ref.Name != "" && !ref.ID.IsZero():
		return nil, refuse(InvalidRequest, "You may not specify both topic name and topic id.")
	case ref.Name != "":
		if t := m.Topic(ref.Name); t != nil {
			return t, nil
		}
		return nil, refuse(UnknownTopic, "This server does not host this topic-partition.")
	case !ref.ID.IsZero():
		if t := m.TopicByID(ref.ID); t != nil {
			return t, nil
		}
		return nil, refuse(UnknownTopicID, "This server does not host this topic ID.")
	}
	return nil, refuse(InvalidRequest, "Neither topic name nor id were specified.")
}

// NewPartitions asks for a topic to have more partitions.
type NewPartitions struct {
	Topic       string
	Count       int32     // in all
	Assignments [][]int32 // replicas of each new one; nil: the controller chooses
}

// CreatePartitions decides about more partitions; the errors are in the order of the request.
func CreatePartitions(in Inputs, requests []NewPartitions, validateOnly bool) ([]*command.Command, []error) {
	errs := make([]error, len(requests))
	var commands []*command.Command
	times := map[string]int{}
	for _, r := range requests {
		times[r.Topic]++
	}
	left := MaxPartitionsPerRequest
	for i, r := range requests {
		if times[r.Topic] > 1 {
			errs[i] = refuse(InvalidRequest, "Duplicate topic name.")
			continue
		}
		t, as, refusal := morePartitions(in, r, left)
		if refusal != nil {
			errs[i] = refusal
			continue
		}
		left -= len(as)
		commands = append(commands, command.Assign(t.ID, int32(len(t.Partitions)), as))
	}
	if validateOnly {
		return nil, errs
	}
	return commands, errs
}

func morePartitions(in Inputs, r NewPartitions, left int) (*image.Topic, []*command.Assignment, *Refusal) {
	t := in.Image.Topic(r.Topic)
	if t == nil {
		return nil, nil, refuse(UnknownTopic, "This server does not host this topic-partition.")
	}
	have := len(t.Partitions)
	more := int(r.Count) - have
	switch {
	case more == 0:
		return nil, nil, refuse(InvalidPartitions, "Topic already has %d partition(s).", have)
	case more < 0:
		return nil, nil, refuse(InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", r.Topic, have, r.Count)
	case more > left:
		return nil, nil, refuse(PolicyViolation, "Excessively large number of partitions per request.")
	case r.Assignments != nil && len(r.Assignments) != more:
		return nil, nil, refuse(InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(r.Assignments))
	}
	nodes, rf := in.Image.Nodes(), t.ReplicationFactor()
	if r.Assignments == nil {
		ring := ringOf(nodes)
		if refusal := checkFactor(in.Image, ring, rf); refusal != nil {
			return nil, nil, refusal
		}
		first := slices.IndexFunc(ring.nodes, func(n *image.Node) bool { return n.ID == t.Partitions[0].Replicas[0] })
		return t, ring.place(max(first, 0), have, more, rf), nil
	}
	as := make([]*command.Assignment, more)
	for i, replicas := range r.Assignments {
		if refusal := checkReplicas(nodes, replicas, rf); refusal != nil {
			return nil, nil, refusal
		}
		as[i] = assignment(nodes, replicas)
	}
	return t, as, nil
}
