package group

import (
	"chronik/internal/coordinator/group/streams"
	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// streamsKey is the group that a record of streams groups is of; false: it is none.
func streamsKey(r schema.Record) (string, bool) {
	switch r := r.(type) {
	case *schema.StreamsGroupEpoch:
		return r.Key.Group, true
	case *schema.StreamsGroupTopology:
		return r.Key.Group, true
	case *schema.StreamsGroupTargetEpoch:
		return r.Key.Group, true
	case *schema.StreamsGroupMemberMetadata:
		return r.Key.Group, true
	case *schema.StreamsGroupTargetAssignment:
		return r.Key.Group, true
	case *schema.StreamsGroupCurrentAssignment:
		return r.Key.Group, true
	}
	return "", false
}

// applyStreams changes what is replicated of streams groups; false: the record is not of one.
func (m *Machine) applyStreams(off model.Offset, r schema.Record) bool {
	id, ok := streamsKey(r)
	if !ok {
		return false
	}
	if r.Tombstone() && (m.groups[id] == nil || m.groups[id].streams == nil) {
		return true
	}
	g := m.open(id)
	m.asStreams(g).apply(off, r)
	if _, epoch := r.(*schema.StreamsGroupEpoch); epoch {
		m.settleKind(off, g, r.Tombstone())
	}
	m.wrote(off, g)
	return true
}

// apply is applyStreams for one group.
func (c *streamsGroup) apply(off model.Offset, r schema.Record) {
	switch r := r.(type) {
	case *schema.StreamsGroupEpoch:
		e := streamsEpochs{target: c.at().target, targetMs: c.at().targetMs}
		if v := r.Value; v != nil {
			e.exists, e.group, e.hash, e.validated, e.standbys = true, v.Epoch, v.MetadataHash, v.ValidatedTopologyEpoch, standbysOf(v)
		}
		c.setEpochs(off, e)
	case *schema.StreamsGroupTargetEpoch:
		e := c.at()
		if e.target, e.targetMs = 0, 0; r.Value != nil {
			e.target, e.targetMs = r.Value.AssignmentEpoch, r.Value.AssignmentTimestamp
		}
		c.setEpochs(off, e)
	case *schema.StreamsGroupTopology:
		if r.Value == nil {
			c.topology.Delete(off, struct{}{})
		} else {
			c.topology.Put(off, struct{}{}, r.Value)
		}
	case *schema.StreamsGroupMemberMetadata:
		_, known := c.members.Get(r.Key.Member)
		if r.Value == nil {
			c.members.Delete(off, r.Key.Member)
		} else {
			c.members.Put(off, r.Key.Member, r.Value)
		}
		if c.index != nil && known != (r.Value != nil) {
			c.index.ids = nil
		}
	case *schema.StreamsGroupTargetAssignment:
		if r.Value == nil {
			c.target.Delete(off, r.Key.Member)
		} else {
			c.target.Put(off, r.Key.Member, fromStreamsTarget(r.Value))
		}
	case *schema.StreamsGroupCurrentAssignment:
		c.setCurrent(off, r.Key.Member, r.Value)
	}
}

func (c *streamsGroup) setEpochs(off model.Offset, e streamsEpochs) {
	if e == (streamsEpochs{}) {
		c.epochs.Delete(off, struct{}{})
	} else {
		c.epochs.Put(off, struct{}{}, e)
	}
}

func (c *streamsGroup) setCurrent(off model.Offset, id string, v *schema.StreamsGroupCurrentMember) {
	if c.index != nil {
		c.index.drop(id, c.has(id))
	}
	if v == nil {
		c.current.Delete(off, id)
		return
	}
	cur := &streamsCurrent{streams.FromRecord(v), v.PreviousMemberEpoch}
	c.current.Put(off, id, cur)
	if c.index != nil {
		c.index.hold(id, cur)
	}
}
