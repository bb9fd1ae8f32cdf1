package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// Reassignment asks for a partition to have other replicas.
type Reassignment struct {
	model.TopicPartition
	Replicas []model.BrokerID // the target, the preferred leader first; nil: cancel what is under way
}

// AlterPartitionReassignments decides about reassignments (KIP-455). errs are in the order of the request.
//
// A reassignment begins by adding replicas. Once all of the target is in the ISR, those that are not in it go, in one change.
// A new target replaces the one that is under way: replicas that only the old one would have added go at once, and
// cancelling still leads back to the original replicas.
func AlterPartitionReassignments(in Inputs, requests []Reassignment, allowFactorChange bool) ([]*command.Command, []error) {
	errs := make([]error, len(requests))
	roster, err := newRoster(in)
	out := newChanges()
	for i, r := range requests {
		if err != nil {
			errs[i] = err
			continue
		}
		if refusal := roster.reassign(out, r, allowFactorChange); refusal != nil {
			errs[i] = refusal
		}
	}
	return out.commands(), errs
}

func (r *roster) reassign(out *changes, a Reassignment, allowFactorChange bool) *Refusal {
	t := r.in.Image.Topic(a.Topic)
	if t == nil {
		return refuse(UnknownTopic, "Unable to find a topic named %s.", a.Topic)
	}
	if a.Partition < 0 || int(a.Partition) >= len(t.Partitions) {
		return refuse(UnknownTopic, "Unable to find partition %s:%d.", a.Topic, a.Partition)
	}
	p := t.Partitions[a.Partition]
	original := without(p.Replicas, p.Adding)
	target := a.Replicas
	if target == nil {
		if !p.Reassigning() {
			return refuse(NoReassignmentInProgress, "No partition reassignment is in progress.")
		}
		target = original
	} else if refusal := r.checkTarget(t, p, target, allowFactorChange); refusal != nil {
		return refusal
	}
	if !out.claim(t.ID, a.Partition) {
		return refuse(InvalidRequest, "Partition %s appears more than once.", a.TopicPartition)
	}
	v := r.revise(t, a.Partition)
	if refusal := v.retarget(original, target); refusal != nil {
		return refusal
	}
	out.add(v)
	return nil
}

// retarget leads a partition from its original replicas to others, or back to them. It is refused where too few would stay of those that hold all
// that is committed: replicas that only the old target would have added go at once, whatever they hold.
func (v *revision) retarget(original, target []model.BrokerID) *Refusal {
	p := &v.next
	p.Removing, p.Adding = nonEmpty(without(original, target)), nonEmpty(without(target, original))
	p.Replicas = slices.Concat(target, p.Removing)
	p.ISR, p.ELR = only(p.ISR, p.Replicas), only(p.ELR, p.Replicas)
	if v.unclean {
		return nil
	}
	if len(p.ISR) == 0 && len(v.old.ISR) > 0 { // all that is in sync are replicas that the old target would have added
		return refuse(InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", v.topic.Name, v.number)
	}
	left, least := holders(p), p.EffectiveMinISR(v.roster.of(v.topic).minISR)
	if left < holders(v.old) && left < least {
		return refuse(InvalidReplicaAssignment, "Unable to change the reassignment of %s:%d: of the replicas %v only %d would be known to hold all records, and %s demands %d. "+
			"Wait until more of them are in sync, or let the reassignment go on; if a broker does not come back, unregister it.", v.topic.Name, v.number, p.Replicas, left, minISRKey, least)
	}
	return nil
}

// holders is how many replicas are known to have on their disks all that is committed: the members of ISR and ELR, but for those whose logs were cut.
func holders(p *image.Partition) (sum int) {
	for _, id := range slices.Concat(p.ISR, p.ELR) {
		if !slices.ContainsFunc(p.Cut, func(c image.CutLog) bool { return c.Node == id }) {
			sum++
		}
	}
	return sum
}

func nonEmpty(list []model.BrokerID) []model.BrokerID {
	if len(list) == 0 {
		return nil
	}
	return list
}

func (r *roster) checkTarget(t *image.Topic, p *image.Partition, target []model.BrokerID, allowFactorChange bool) *Refusal {
	if len(target) == 0 {
		return refuse(InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	for i, id := range target {
		if r.in.Image.Node(id) == nil {
			return refuse(InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if slices.Contains(target[:i], id) {
			return refuse(InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	have := len(p.Target())
	switch {
	case len(target) == have:
		return nil
	case !allowFactorChange:
		return refuse(InvalidReplicationFactor, "The replication factor is changed from %d to %d", have, len(target))
	case len(target) < have:
		if _, own := t.Configs[minISRKey]; own && int(r.of(t).minISR) > len(target) {
			return refuse(InvalidReplicaAssignment, "The topic's own %s of %d could not be reached with %d replica(s): lower it first.", minISRKey, r.of(t).minISR, len(target))
		}
	}
	return nil
}

// Ongoing is a reassignment under way.
type Ongoing struct {
	model.TopicPartition
	Replicas, Adding, Removing []model.BrokerID
}

// ListPartitionReassignments returns what is under way, among the partitions named or everywhere for nil, by name.
func ListPartitionReassignments(m *image.Image, partitions []model.TopicPartition) []Ongoing {
	if partitions == nil {
		partitions = everyPartition(m)
	}
	var out []Ongoing
	for _, tp := range partitions {
		_, p, refusal := partitionByName(m, tp)
		if refusal == nil && p.Reassigning() {
			out = append(out, Ongoing{tp, p.Replicas, p.Adding, p.Removing})
		}
	}
	return out
}
