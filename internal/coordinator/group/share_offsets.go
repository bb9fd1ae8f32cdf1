package group

import (
	"fmt"
	"slices"
	"time"

	"chronik/internal/coordinator/group/assign"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// forShare refuses what may be asked about share groups without members only, and only one at a time. nil: there is no such group.
func (d *decision) forShare(id string) (*group, error) {
	if id == "" {
		return nil, ErrInvalidGroupID
	}
	g := d.m.lookup(id)
	if g == nil {
		return nil, nil
	}
	d.mend(g)
	switch {
	case !g.isShare():
		return g, fmt.Errorf("%w: it is not a share group", ErrGroupNotFound)
	case g.share.members.Len() > 0:
		return g, ErrNonEmptyGroup
	case g.share.shares.call != nil:
		return g, ErrShareBusy
	}
	return g, nil
}

// AlterShareOffsets has partitions of a group without members begin anew, from the offsets that are given.
func (m *Machine) AlterShareOffsets(now time.Time, r AlterShareOffsetsRequest, reply func(AlterShareOffsetsReply)) shard.Result {
	d := m.decide(now)
	g, err := d.forShare(r.Group)
	x := &waits[AlterShareOffsetsReply]{reply: reply, failed: func(err error) AlterShareOffsetsReply {
		return AlterShareOffsetsReply{Err: err, Offsets: make([]ShareTopicReply, len(r.Offsets))}
	}}
	if err != nil {
		return d.refuse(g, x.fail, err)
	}
	x.out.Offsets = make([]ShareTopicReply, len(r.Offsets))
	call, of := &ShareCall{fail: x.fail}, make(map[partition]int)
	for i := range r.Offsets {
		o, out := &r.Offsets[i], &x.out.Offsets[i]
		t := m.image.Topic(o.Topic)
		if t != nil {
			out.TopicID = t.ID
		}
		if t == nil || o.Partition < 0 || int(o.Partition) >= len(t.Partitions) {
			out.Err = ErrUnknownPartition
			continue
		}
		p := SharePartition{t.ID, o.Partition, o.Offset}
		if at, twice := of[partition{t.ID, o.Partition}]; twice {
			call.Partitions[at] = p
		} else {
			of[partition{t.ID, o.Partition}] = len(call.Partitions)
			call.Partitions = append(call.Partitions, p)
		}
	}
	if len(call.Partitions) == 0 {
		d.answer(x.done)
		return d.done(g)
	}
	if g == nil {
		g = d.opened(r.Group)
	}
	call.then = func(d *decision, g *group, errs []error) {
		failed := d.begun(g, call, errs)
		for i := range x.out.Offsets {
			out := &x.out.Offsets[i]
			if at, ok := of[partition{out.TopicID, r.Offsets[i].Partition}]; ok && out.Err == nil && failed.Contains(out.TopicID, r.Offsets[i].Partition) {
				out.Err = errs[at]
			}
		}
		d.answer(x.done)
	}
	d.alterShare(g, call)
	d.answer(x.first)
	return d.done(g)
}

// alterShare begins a new epoch of a group, whose members' state is of it: a call that was made before it is fenced off.
func (d *decision) alterShare(g *group, call *ShareCall) {
	s := d.step(g, d.m.asShare(g))
	s.bump = true
	s.advance()
	call.StateEpoch = s.epochs.group
	all, _ := d.m.split(call, nil)
	s.record(d.m.readRecord(g.id, s.c.shares.at().asking(all)))
	s.later(func() { d.call(g, call) })
	s.finish()
}

// DeleteShareOffsets has a group without members forget topics: it begins with them as if it had never read them.
func (m *Machine) DeleteShareOffsets(now time.Time, r DeleteShareOffsetsRequest, reply func(DeleteShareOffsetsReply)) shard.Result {
	d := m.decide(now)
	g, err := d.forShare(r.Group)
	x := &waits[DeleteShareOffsetsReply]{reply: reply, failed: func(err error) DeleteShareOffsetsReply {
		return DeleteShareOffsetsReply{Err: err, Topics: make([]ShareTopicReply, len(r.Topics))}
	}}
	if err == nil && g == nil {
		err = ErrGroupNotFound
	}
	if err != nil {
		return d.refuse(g, x.fail, err)
	}
	x.out.Topics = make([]ShareTopicReply, len(r.Topics))
	known := m.known(g.share.shares.at())
	wanted := make(map[model.TopicID]bool)
	for i, name := range r.Topics {
		t, out := m.image.Topic(name), &x.out.Topics[i]
		switch {
		case t == nil:
			out.Err = ErrUnknownPartition
			continue
		case !known.Has(t.ID):
			out.Err = ErrNoShareOffsets
		default:
			wanted[t.ID] = true
		}
		out.TopicID = t.ID
	}
	if len(wanted) == 0 {
		d.answer(x.done)
		return d.done(g)
	}
	call := &ShareCall{fail: x.fail, Delete: true}
	call.then = func(d *decision, g *group, errs []error) {
		failed := d.forgotten(g, call, errs)
		for i := range x.out.Topics {
			if out := &x.out.Topics[i]; out.Err == nil {
				out.Err = failed[out.TopicID]
			}
		}
		d.answer(x.done)
	}
	d.forget(g, call, known.Filter(func(t model.TopicID, _ int32) bool { return wanted[t] }))
	d.answer(x.first)
	return d.done(g)
}

// known are the partitions of topics that exist of which something is to be forgotten.
func (m *Machine) known(p *readPartitions) assign.Partitions {
	all := p.initialized.Or(p.initializing)
	for _, id := range p.deleting {
		if t := m.image.TopicByID(id); t != nil { // which ones it had is not known any more
			all = all.Or(assign.Partitions{everyOne(id, len(t.Partitions))})
		}
	}
	return all.Filter(func(t model.TopicID, _ int32) bool { return m.image.TopicByID(t) != nil })
}

// forget has partitions forgotten that are known. Members do not have them, or others of their topics, from now on.
func (d *decision) forget(g *group, call *ShareCall, known assign.Partitions) {
	next := g.share.shares.at().without(known.Has)
	for i := range known {
		next.deleting = append(next.deleting, known[i].Topic)
	}
	slices.SortFunc(next.deleting, assign.Compare)
	call.Partitions = begin(known)
	d.call(g, call)
	d.record(d.m.readRecord(g.id, next))
}

// forgotten takes the answer of a call that has partitions forgotten, and returns the topics of which some are not.
func (d *decision) forgotten(g *group, call *ShareCall, errs []error) map[model.TopicID]error {
	_, left := d.m.split(call, errs)
	failed := make(map[model.TopicID]error)
	for i, p := range call.Partitions {
		if left.Contains(p.Topic, p.Partition) && failed[p.Topic] == nil {
			failed[p.Topic] = errs[i]
		}
	}
	next := *g.share.shares.at()
	next.deleting = slices.DeleteFunc(slices.Clone(next.deleting), func(t model.TopicID) bool {
		return failed[t] == nil && slices.ContainsFunc(call.Partitions, func(p SharePartition) bool { return p.Topic == t })
	})
	d.read(g, &next)
	return failed
}
