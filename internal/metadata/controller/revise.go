package controller

import (
	"slices"

	"chronik/internal/metadata/command"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// revision is a partition about to change. A decision sets what it wants (ISR, replicas, members that are lost), and
// decide finds what follows: the end of a reassignment, the eligible leader replicas, the leader, its epoch.
type revision struct {
	roster *roster
	topic  *image.Topic
	number int32
	old    *image.Partition
	next   image.Partition // its lists are old's until replaced; never changed in place

	prefer  bool             // move leadership to the preferred replica if that may lead
	unclean bool             // elect from outside of ISR and ELR rather than nobody
	epoch   bool             // begin a leader epoch in any case (R1)
	asked   bool             // by the leader: the partition epoch grows also where nothing else changes, which shuts out a proposal that it has given up (R3)
	lost    []model.BrokerID // members that no longer hold what they held: neither ISR nor ELR

	// Set by decide.
	changed, begins bool // whether there is a change, and whether it begins a leader epoch
	lossy           bool // the election was unclean
}

func (r *roster) revise(t *image.Topic, number int32) *revision {
	p := t.Partitions[number]
	return &revision{roster: r, topic: t, number: number, old: p, next: *p, unclean: r.of(t).unclean}
}

// decide returns the change, nil if there is none.
func (v *revision) decide() *command.PartitionChange {
	p := &v.next
	p.ISR, p.ELR = without(p.ISR, v.lost), without(p.ELR, v.lost)
	v.complete()
	v.eligible()
	v.elect()
	v.settle()
	removed := !containsAll(p.Replicas, v.old.Replicas)
	v.begins = v.epoch || removed || p.Leader != v.old.Leader
	v.changed = v.begins || v.asked || !v.same()
	if !v.changed {
		return nil
	}
	return v.message()
}

// complete ends a reassignment whose target is in sync: all members of it, so that the replicas that leave are
// not needed (KIP-455).
func (v *revision) complete() {
	p := &v.next
	if !p.Reassigning() {
		return
	}
	target := p.Target()
	if !containsAll(p.ISR, target) {
		return
	}
	p.Replicas, p.ISR, p.ELR = target, only(p.ISR, target), only(p.ELR, target)
	p.Adding, p.Removing = nil, nil
}

// eligible finds the eligible leader replicas (KIP-966). The watermark does not move while the ISR is below the effective
// minimum (D1), so whoever was in the ISR until then, or stood in the ELR before, holds all that is below it.
func (v *revision) eligible() {
	p := &v.next
	if len(p.ISR) >= p.EffectiveMinISR(v.roster.of(v.topic).minISR) {
		p.ELR = without(p.ELR, p.ISR)
		return
	}
	var elr []model.BrokerID
	for _, id := range p.Replicas {
		held := slices.Contains(v.old.ISR, id) || slices.Contains(p.ELR, id)
		if held && !slices.Contains(p.ISR, id) && !slices.Contains(v.lost, id) {
			elr = append(elr, id)
		}
	}
	p.ELR = elr
}

// settle drops what has no meaning once it is known who leads. With a leader the members whose logs were cut leave the ISR and come
// back by catching up. If the ISR suffices without them the watermark moves on, and the eligible replicas fall behind it; else they stay
// eligible, marked (R4): most of what is cut is a torn tail that nobody was told of, and the leader's next start may show that it has
// less.
func (v *revision) settle() {
	p := &v.next
	if p.Leader == model.NoBroker {
		member := func(id model.BrokerID) bool { return slices.Contains(p.ISR, id) || slices.Contains(p.ELR, id) }
		p.Cut = slices.DeleteFunc(slices.Clone(p.Cut), func(c image.CutLog) bool { return !member(c.Node) })
		if v.old.Leader != model.NoBroker {
			p.LastKnownLeader = v.old.Leader
		}
		if slices.Contains(v.lost, p.LastKnownLeader) {
			p.LastKnownLeader = model.NoBroker
		}
		return
	}
	p.LastKnownLeader = model.NoBroker
	var behind []model.BrokerID
	for _, c := range p.Cut {
		if c.Node != p.Leader {
			behind = append(behind, c.Node)
		}
	}
	p.ISR, p.ELR = without(p.ISR, behind), without(p.ELR, behind)
	if len(p.ISR) >= p.EffectiveMinISR(v.roster.of(v.topic).minISR) {
		p.Cut, p.ELR = nil, nil
		return
	}
	p.Cut = slices.DeleteFunc(slices.Clone(p.Cut), func(c image.CutLog) bool { return !v.staysEligible(c) })
	v.keepEligible()
}

// staysEligible tells whether a member whose log was cut remains a candidate beside a leader. Logs of relaxed topics may have lost
// what was acknowledged (D2); and an unclean election leaves nothing to compare.
func (v *revision) staysEligible(c image.CutLog) bool {
	return c.Node != v.next.Leader && c.End != model.NoOffset && !v.roster.of(v.topic).relaxed && !v.lossy &&
		slices.Contains(v.next.Replicas, c.Node) && !slices.Contains(v.lost, c.Node)
}

// keepEligible puts the members whose logs were cut among the eligible leader replicas, in the order of the replicas.
func (v *revision) keepEligible() {
	p := &v.next
	if len(p.Cut) == 0 {
		return
	}
	var elr []model.BrokerID
	for _, id := range p.Replicas {
		if _, cut := v.cut(id); cut || slices.Contains(p.ELR, id) {
			elr = append(elr, id)
		}
	}
	p.ELR = elr
}

func (v *revision) same() bool {
	a, b := v.old, &v.next
	return slices.Equal(a.Replicas, b.Replicas) && slices.Equal(a.ISR, b.ISR) && slices.Equal(a.ELR, b.ELR) && slices.Equal(a.Adding, b.Adding) &&
		slices.Equal(a.Removing, b.Removing) && slices.Equal(a.Cut, b.Cut) && a.LastKnownLeader == b.LastKnownLeader
}

func (v *revision) message() *command.PartitionChange {
	p := &v.next
	c := &command.PartitionChange{Partition: v.number, ExpectedPartitionEpoch: v.old.PartitionEpoch, BeginsLeaderEpoch: v.begins,
		Leader: int32(p.Leader), Replicas: model.Int32s(p.Replicas), Isr: model.Int32s(p.ISR), Elr: model.Int32s(p.ELR), Adding: model.Int32s(p.Adding), Removing: model.Int32s(p.Removing), Unclean: v.lossy}
	if p.LastKnownLeader != model.NoBroker {
		id := int32(p.LastKnownLeader)
		c.LastKnownLeader = &id
	}
	for _, cut := range p.Cut {
		c.Cut = append(c.Cut, &command.CutLog{NodeId: int32(cut.Node), EndOffset: int64(cut.End)})
	}
	return c
}

// without returns the members of list that are not in gone; list itself if that changes nothing.
func without(list, gone []model.BrokerID) []model.BrokerID {
	in := func(id model.BrokerID) bool { return slices.Contains(gone, id) }
	if !slices.ContainsFunc(list, in) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), in)
}

// only returns the members of list that are in kept; list itself if that changes nothing.
func only(list, kept []model.BrokerID) []model.BrokerID {
	out := func(id model.BrokerID) bool { return !slices.Contains(kept, id) }
	if !slices.ContainsFunc(list, out) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), out)
}

func containsAll(list, all []model.BrokerID) bool {
	return !slices.ContainsFunc(all, func(id model.BrokerID) bool { return !slices.Contains(list, id) })
}
