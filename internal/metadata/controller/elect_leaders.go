package controller

import (
	"cmp"
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// ElectionType is the protocol's number of a kind of election.
type ElectionType int8

// The kinds of election that a client can ask for.
const (
	PreferredElection ElectionType = 0
	UncleanElection   ElectionType = 1
)

// Election is the answer for one partition.
type Election struct {
	model.TopicPartition
	Err error // nil: the partition has a new leader
}

// ElectLeaders decides about elections that a client asks for: for the partitions in the order of the request, or with
// nil for all that need one, by name. An unclean election is made whether the topic allows it or not: the client does.
func ElectLeaders(in Inputs, kind ElectionType, partitions []model.TopicPartition) ([]*command.Command, []Election, error) {
	if kind != PreferredElection && kind != UncleanElection {
		return nil, nil, refuse(InvalidRequest, "Unknown election type %d", kind)
	}
	roster, err := newRoster(in)
	if err != nil {
		return nil, nil, err
	}
	all := partitions == nil
	if all {
		partitions = everyPartition(in.Image)
	}
	out := newChanges()
	answers := make([]Election, 0, len(partitions))
	for _, tp := range partitions {
		refusal := roster.electOne(out, kind, tp)
		switch {
		case refusal == nil:
			answers = append(answers, Election{TopicPartition: tp})
		case !all || refusal.Reason != ElectionNotNeeded:
			answers = append(answers, Election{tp, refusal})
		}
	}
	return out.commands(), answers, nil
}

func everyPartition(m *image.Image) []model.TopicPartition {
	list := make([]model.TopicPartition, 0, m.PartitionCount())
	each(m, func(t *image.Topic, n int32, _ *image.Partition) {
		list = append(list, model.TopicPartition{Topic: t.Name, Partition: n})
	})
	slices.SortFunc(list, model.TopicPartition.Compare)
	return list
}

func (r *roster) electOne(out *changes, kind ElectionType, tp model.TopicPartition) *Refusal {
	t, p, refusal := partitionByName(r.in.Image, tp)
	if refusal != nil {
		return refusal
	}
	if kind == PreferredElection && p.Leader == p.Replicas[0] || kind == UncleanElection && p.Leader != model.NoBroker {
		return refuse(ElectionNotNeeded, "Leader election not needed for topic partition.")
	}
	if !out.claim(t.ID, tp.Partition) {
		return refuse(InvalidRequest, "Partition %s appears more than once.", tp)
	}
	v := r.revise(t, tp.Partition)
	v.prefer, v.unclean = kind == PreferredElection, kind == UncleanElection
	out.add(v)
	switch {
	case v.next.Leader != p.Leader:
		return nil
	case kind == PreferredElection:
		return refuse(PreferredLeaderNotAvailable, "The preferred leader was not available.")
	}
	return refuse(EligibleLeadersNotAvailable, "Eligible topic partition leaders are not available.")
}

// partitionByName finds a partition that a client means.
func partitionByName(m *image.Image, tp model.TopicPartition) (*image.Topic, *image.Partition, *Refusal) {
	t := m.Topic(tp.Topic)
	if t == nil {
		return nil, nil, refuse(UnknownTopic, "No such topic as %s", tp.Topic)
	}
	if tp.Partition < 0 || int(tp.Partition) >= len(t.Partitions) {
		return nil, nil, refuse(UnknownTopic, "No such partition as %s", tp)
	}
	return t, t.Partitions[tp.Partition], nil
}

// BalanceLeaders gives leadership back to preferred replicas that are in sync (auto.leader.rebalance.enable), at most limit at a
// time. left is how many could be given back beyond that.
func BalanceLeaders(in Inputs, limit int) (commands []*command.Command, left int, err error) {
	roster, err := newRoster(in)
	if err != nil {
		return nil, 0, err
	}
	type place struct {
		topic  *image.Topic
		number int32
	}
	var due []place
	each(in.Image, func(t *image.Topic, n int32, p *image.Partition) {
		if p.Leader != model.NoBroker && p.Leader != p.Replicas[0] && roster.active[p.Replicas[0]] && slices.Contains(p.ISR, p.Replicas[0]) {
			due = append(due, place{t, n})
		}
	})
	slices.SortFunc(due, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic.Name, b.topic.Name), cmp.Compare(a.number, b.number))
	})
	out := newChanges()
	for i, d := range due {
		if i == limit {
			left = len(due) - limit
			break
		}
		v := roster.revise(d.topic, d.number)
		v.prefer = true
		out.add(v)
	}
	return out.commands(), left, nil
}
