package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// ISRChange is a leader's proposal for one partition (KIP-497).
type ISRChange struct {
	Topic          model.TopicID
	Partition      int32
	LeaderEpoch    model.LeaderEpoch
	PartitionEpoch int32
	ISR            []Member
}

// Member is a member of a proposed ISR, at the broker epoch in which it caught up (KIP-903).
type Member struct {
	ID    model.BrokerID
	Epoch int64 // -1: not checked
}

// AlteredPartition is the answer for one proposal, in the order of the request.
type AlteredPartition struct {
	State image.Partition // after the change; set if Err is nil
	Err   error           // a *Refusal
}

// AlterPartition decides about proposals of one leader. Each is a compare-and-set on leader epoch and partition epoch (R3). An ISR that
// contains the target of a reassignment ends it; if that takes the leadership from the proposer, the change is made and the answer is NEW_LEADER_ELECTED.
// An error of the whole request comes back as err.
func AlterPartition(in Inputs, leader model.BrokerID, epoch int64, proposals []ISRChange) (commands []*command.Command, answers []AlteredPartition, err error) {
	if _, refusal := registered(in.Image, leader, epoch); refusal != nil {
		return nil, nil, refusal
	}
	roster, err := newRoster(in)
	if err != nil {
		return nil, nil, err
	}
	answers = make([]AlteredPartition, len(proposals))
	out := newChanges()
	for i, c := range proposals {
		t, refusal := roster.checkProposal(leader, c)
		if refusal == nil && !out.claim(c.Topic, c.Partition) {
			refusal = refuse(InvalidRequest, "Partition %s-%d appears more than once.", t.Name, c.Partition)
		}
		if refusal != nil {
			answers[i].Err = refusal
			continue
		}
		v := roster.revise(t, c.Partition)
		v.asked = true
		v.next.ISR = make([]model.BrokerID, len(c.ISR))
		for j, m := range c.ISR {
			v.next.ISR[j] = m.ID
		}
		v.caughtUp()
		out.add(v)
		answers[i].State = v.result()
		if v.next.Leader != leader {
			answers[i] = AlteredPartition{Err: refuse(NewLeaderElected, "The ISR change of %s-%d was made, and with it node %d became the leader.", t.Name, c.Partition, v.next.Leader)}
		}
	}
	return out.commands(), answers, nil
}

// caughtUp takes the marks off members whose logs were cut and that hold again what the leader holds (L2).
func (v *revision) caughtUp() {
	p := &v.next
	p.Cut = slices.DeleteFunc(slices.Clone(p.Cut), func(c image.CutLog) bool { return slices.Contains(p.ISR, c.Node) })
}

// result is the state after decide.
func (v *revision) result() image.Partition {
	p := v.next
	p.LeaderEpoch, p.PartitionEpoch = v.old.LeaderEpoch, v.old.PartitionEpoch
	if v.changed {
		p.PartitionEpoch++
	}
	if v.begins {
		p.LeaderEpoch++
	}
	return p
}

func (r *roster) checkProposal(leader model.BrokerID, c ISRChange) (*image.Topic, *Refusal) {
	t, p, refusal := partitionByID(r.in.Image, c.Topic, c.Partition)
	if refusal != nil {
		return nil, refusal
	}
	switch {
	case c.LeaderEpoch > p.LeaderEpoch || c.PartitionEpoch > p.PartitionEpoch:
		return nil, refuse(NotController, "Partition %s-%d is at leader epoch %d and partition epoch %d here, behind %d and %d.",
			t.Name, c.Partition, p.LeaderEpoch, p.PartitionEpoch, c.LeaderEpoch, c.PartitionEpoch)
	case c.LeaderEpoch < p.LeaderEpoch:
		return nil, refuse(FencedLeaderEpoch, "Partition %s-%d is at leader epoch %d, not %d.", t.Name, c.Partition, p.LeaderEpoch, c.LeaderEpoch)
	case leader != p.Leader:
		return nil, refuse(InvalidRequest, "The leader of partition %s-%d is node %d, not %d.", t.Name, c.Partition, p.Leader, leader)
	case c.PartitionEpoch < p.PartitionEpoch:
		return nil, refuse(InvalidUpdateVersion, "Partition %s-%d is at partition epoch %d, not %d.", t.Name, c.Partition, p.PartitionEpoch, c.PartitionEpoch)
	}
	for i, m := range c.ISR {
		twice := slices.ContainsFunc(c.ISR[:i], func(o Member) bool { return o.ID == m.ID })
		if twice || !slices.Contains(p.Replicas, m.ID) {
			return nil, refuse(InvalidRequest, "The ISR of partition %s-%d cannot have node %d: its replicas are %v, each once.", t.Name, c.Partition, m.ID, p.Replicas)
		}
		if slices.Contains(p.ISR, m.ID) {
			continue // it stays; if it is fenced, that decision takes it out
		}
		if why := r.ineligible(m); why != "" {
			return nil, refuse(IneligibleReplica, "Node %d cannot join the ISR of partition %s-%d: it %s.", m.ID, t.Name, c.Partition, why)
		}
	}
	if !slices.ContainsFunc(c.ISR, func(m Member) bool { return m.ID == leader }) {
		return nil, refuse(InvalidRequest, "The ISR of partition %s-%d must contain its leader, node %d.", t.Name, c.Partition, leader)
	}
	return t, nil
}

// ineligible says why a node may not join an ISR; empty if it may.
func (r *roster) ineligible(m Member) string {
	n := r.in.Image.Node(m.ID)
	switch {
	case n == nil:
		return "is not registered"
	case n.Stopping:
		return "is shutting down"
	case n.Fenced:
		return "is fenced"
	case m.Epoch != -1 && m.Epoch != n.Epoch:
		return "has registered again since it caught up"
	}
	return ""
}

// Resignation is a leader's wish to lead a partition no longer: its disk has failed, or does not come to an end (D3, R8).
type Resignation struct {
	Topic       model.TopicID
	Partition   int32
	LeaderEpoch model.LeaderEpoch
	// Failed says that the replica cannot go on. Then it gives up leadership even if nobody can take over; else
	// it goes on leading.
	Failed bool
}

// Resign decides about resignations of one node. Where another active ISR member can lead, it does, and the node leaves the
// ISR until it has caught up again. errs are in the order of the request.
func Resign(in Inputs, leader model.BrokerID, epoch int64, items []Resignation) (commands []*command.Command, errs []error, err error) {
	if _, refusal := registered(in.Image, leader, epoch); refusal != nil {
		return nil, nil, refusal
	}
	roster, err := newRoster(in)
	if err != nil {
		return nil, nil, err
	}
	errs = make([]error, len(items))
	out := newChanges()
	for i, item := range items {
		t, p, refusal := partitionByID(in.Image, item.Topic, item.Partition)
		switch {
		case refusal != nil:
			errs[i] = refusal
		case p.Leader != leader || p.LeaderEpoch != item.LeaderEpoch:
			errs[i] = refuse(FencedLeaderEpoch, "Node %d does not lead partition %s-%d in leader epoch %d.", leader, t.Name, item.Partition, item.LeaderEpoch)
		case !out.claim(item.Topic, item.Partition):
			errs[i] = refuse(InvalidRequest, "Partition %s-%d appears more than once.", t.Name, item.Partition)
		default:
			errs[i] = roster.resign(out, t, item, leader)
		}
	}
	return out.commands(), errs, nil
}

func (r *roster) resign(out *changes, t *image.Topic, item Resignation, leader model.BrokerID) error {
	up, active := r.up[leader], r.active[leader]
	defer func() { r.up[leader], r.active[leader] = up, active }()
	r.active[leader], r.up[leader] = false, up && !item.Failed
	v := r.revise(t, item.Partition)
	if v.othersLead(leader) {
		v.next.ISR = without(v.next.ISR, []model.BrokerID{leader})
	}
	if !out.add(v) {
		return refuse(EligibleLeadersNotAvailable, "No other in-sync replica of partition %s-%d is in service.", t.Name, item.Partition)
	}
	return nil
}

// othersLead tells whether another member of the ISR may lead.
func (v *revision) othersLead(id model.BrokerID) bool {
	return slices.ContainsFunc(v.next.ISR, func(m model.BrokerID) bool { return m != id && v.mayLead(m) })
}

// partitionByID finds a partition that a broker means.
func partitionByID(m *image.Image, id model.TopicID, number int32) (*image.Topic, *image.Partition, *Refusal) {
	t := m.TopicByID(id)
	if t == nil {
		return nil, nil, refuse(UnknownTopicID, "This server does not host this topic ID.")
	}
	if number < 0 || int(number) >= len(t.Partitions) {
		return nil, nil, refuse(UnknownTopic, "Topic %s has no partition %d.", t.Name, number)
	}
	return t, t.Partitions[number], nil
}
