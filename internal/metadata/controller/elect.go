package controller

import (
	"cmp"
	"slices"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
)

// elect chooses the leader (R4): the present one if it may stay, else
//
//  1. the first replica, in order, that is active and in the ISR, and whose log was not cut;
//  2. the present one, if it is stopping: nobody who could follow holds all that it has;
//  3. the first replica that is active and eligible (KIP-966), and whose log was not cut;
//  4. an active member of ISR or ELR whose log was cut, if every other member has reported a log that is no longer (L2). One that
//     has not reported counts as longer: only the comparison tells a torn tail from lost records;
//  5. with unclean elections allowed, the active replica that holds most; what the others had more is lost;
//  6. nobody.
func (v *revision) elect() {
	p := &v.next
	stays := slices.Contains(p.ISR, p.Leader) && v.roster.active[p.Leader]
	if stays && !(v.prefer && v.mayLead(p.Replicas[0])) {
		return
	}
	if id, ok := v.first(v.mayLead); ok {
		p.Leader = id
		return
	}
	if slices.Contains(p.ISR, p.Leader) && v.roster.up[p.Leader] {
		return
	}
	if id, ok := v.first(v.mayBePromoted); ok {
		v.promote(id)
		return
	}
	if id, ok := v.longestCut(); ok {
		if slices.Contains(p.ISR, id) {
			p.Leader = id
		} else {
			v.promote(id)
		}
		return
	}
	if id, ok := v.mostLikely(); ok && v.unclean {
		p.Leader, p.ISR, p.ELR, v.lossy = id, []model.BrokerID{id}, nil, true
		return
	}
	p.Leader = model.NoBroker
}

func (v *revision) first(ok func(model.BrokerID) bool) (model.BrokerID, bool) {
	i := slices.IndexFunc(v.next.Replicas, ok)
	if i < 0 {
		return model.NoBroker, false
	}
	return v.next.Replicas[i], true
}

// mayLead tells whether a replica may become leader without a look at the other logs.
func (v *revision) mayLead(id model.BrokerID) bool {
	_, cut := v.cut(id)
	return slices.Contains(v.next.ISR, id) && v.roster.active[id] && !cut
}

func (v *revision) cut(id model.BrokerID) (model.Offset, bool) {
	i := slices.IndexFunc(v.next.Cut, func(c image.CutLog) bool { return c.Node == id })
	if i < 0 {
		return 0, false
	}
	return v.next.Cut[i].End, true
}

// mayBePromoted tells the same of an eligible replica.
func (v *revision) mayBePromoted(id model.BrokerID) bool {
	_, cut := v.cut(id)
	return slices.Contains(v.next.ELR, id) && v.roster.active[id] && !cut
}

// longestCut finds an active member with a cut log that no other member's log can be longer than; in the ISR rather than in the ELR.
func (v *revision) longestCut() (model.BrokerID, bool) {
	members := slices.Concat(v.next.ISR, v.next.ELR)
	for _, among := range [][]model.BrokerID{v.next.ISR, v.next.ELR} {
		id, ok := v.first(func(id model.BrokerID) bool {
			end, cut := v.cut(id)
			return cut && slices.Contains(among, id) && v.roster.active[id] && !slices.ContainsFunc(members, func(other model.BrokerID) bool {
				theirs, reported := v.cut(other)
				return !reported || longer(theirs, end)
			})
		})
		if ok {
			return id, true
		}
	}
	return model.NoBroker, false
}

// longer compares what two nodes have left. A log whose end is not known was not cut: its node only stopped
// uncleanly, and the topic is relaxed.
func longer(a, b model.Offset) bool {
	return b != model.NoOffset && (a == model.NoOffset || a > b)
}

// promote gives the partition to an eligible replica. The members of the ISR, none of which is there, hold what it holds
// and are eligible now, but for those whose logs were cut.
func (v *revision) promote(id model.BrokerID) {
	p := &v.next
	eligible := func(m model.BrokerID) bool {
		_, cut := v.cut(m)
		return m != id && !cut && (slices.Contains(p.ISR, m) || slices.Contains(p.ELR, m))
	}
	var elr []model.BrokerID
	for _, m := range p.Replicas {
		if eligible(m) {
			elr = append(elr, m)
		}
	}
	p.Leader, p.ISR, p.ELR = id, []model.BrokerID{id}, elr
}

// mostLikely finds the active replica that probably holds most: by what the nodes report; else a member of the ISR or of the
// ELR, then the last leader, then by order. A replica that lost its disk comes last.
func (v *revision) mostLikely() (model.BrokerID, bool) {
	active := slices.DeleteFunc(slices.Clone(v.next.Replicas), func(id model.BrokerID) bool { return !v.roster.active[id] })
	if len(active) == 0 {
		return model.NoBroker, false
	}
	return slices.MinFunc(active, func(a, b model.BrokerID) int { // the first one of equals
		if c := v.compareLogs(b, a); c != 0 {
			return c
		}
		return cmp.Compare(v.claim(b), v.claim(a))
	}), true
}

// compareLogs orders two replicas by their reported logs; a report counts more than none.
func (v *revision) compareLogs(a, b model.BrokerID) int {
	if v.roster.in.LogEnd == nil {
		return 0
	}
	la, knownA := v.roster.in.LogEnd(v.topic.ID, v.number, a)
	lb, knownB := v.roster.in.LogEnd(v.topic.ID, v.number, b)
	if !knownA || !knownB {
		return cmp.Compare(number(knownA), number(knownB))
	}
	return cmp.Or(cmp.Compare(la.Epoch, lb.Epoch), cmp.Compare(la.End, lb.End))
}

func (v *revision) claim(id model.BrokerID) int {
	switch {
	case slices.Contains(v.lost, id):
		return -1
	case slices.Contains(v.next.ISR, id):
		return 3
	case slices.Contains(v.next.ELR, id):
		return 2
	case id == v.next.LastKnownLeader || id == v.old.Leader:
		return 1
	}
	return 0
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
