package group

import (
	"chronik/internal/coordinator/group/streams"
)

// checkStreamsCommit tells whether a request may commit for a streams group: a member at its epoch, or at an older one for what the tasks read that it has had
// since then; who is no member if there is none. A transaction need not say who commits.
func (d *decision) checkStreamsCommit(g *group, r *CommitRequest, transactional bool) error {
	c := g.streams
	if r.Generation < 0 && (c.members.Len() == 0 || transactional && r.Member == "" && r.Instance == nil) {
		return nil
	}
	if _, ok := c.members.Get(r.Member); !ok {
		return ErrUnknownMember
	}
	if r.Epochless {
		return ErrEpochless
	}
	cur := c.has(r.Member)
	if r.Generation == cur.Epoch {
		return nil
	}
	t, ok := c.topology.Get(struct{}{})
	if r.Generation > cur.Epoch || !ok || !d.commitsHeld(r, func(o *CommitOffset) (since int32, ok bool) {
		id, ok := streams.Reader(t, o.Topic)
		task := streams.TaskID{Subtopology: id, Partition: o.Partition}
		if !ok {
			return 0, false
		}
		if since, ok = cur.Active[task]; !ok {
			since, ok = cur.Revoking[task]
		}
		return since, ok
	}) {
		return ErrStaleMemberEpoch
	}
	return nil
}

// checkStreamsFetch tells whether a member may fetch offsets of a streams group. It sees what is settled, as the offsets do.
func (c *streamsGroup) checkFetch(r *FetchRequest) error {
	if c == nil {
		return nil
	}
	if e, ok := c.epochs.Settled(struct{}{}); !ok || !e.exists {
		return nil
	}
	if _, ok := c.members.Settled(r.Member); !ok {
		return ErrUnknownMember
	}
	if cur, ok := c.current.Settled(r.Member); !ok || cur.Epoch != r.Epoch {
		return ErrStaleMemberEpoch
	}
	return nil
}
