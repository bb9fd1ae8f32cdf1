package group

import (
	"errors"

	"chronik/internal/coordinator/group/streams"
	"chronik/internal/model"
)

// tenure counts who has run a task as active, one after the other.
type tenure struct {
	by string // member
	n  int
}

// begins notes that a member runs a task from now on.
func (h *streamsHistory) begins(t streams.TaskID, id string) {
	if at := h.tenures[t]; at.by != id {
		h.tenures[t] = tenure{id, at.n + 1}
	}
}

// streamsZombie is a client as it was when it had a task.
type streamsZombie struct {
	id     string
	epoch  int32
	task   streams.TaskID
	tenure int
}

func (c *stream) asZombie(t streams.TaskID) *streamsZombie {
	return &streamsZombie{c.id, c.epoch, t, c.h.tenures[t].n}
}

// haunt remembers a task that the client gives up.
func (c *stream) haunt() {
	for _, t := range listed(c.active) {
		c.zombie = c.asZombie(t)
		return
	}
}

// offsetOf is a commit of what a task has read.
func offsetOf(t streams.TaskID, member string, epoch int32) CommitRequest {
	topic := map[string]string{"0": "a", "1": "r"}[t.Subtopology]
	return CommitRequest{Group: "k", Member: member, Generation: epoch, RetentionMs: -1,
		Offsets: []CommitOffset{{TopicPartition: model.TopicPartition{Topic: topic, Partition: t.Partition}, Offset: 1}}}
}

// late commits what a client had before, as a request that was long on its way. G2: it fails once another one has run the task since, also if the client has
// got it back; but for a member that is still at that epoch: those commit what they like, as in Kafka.
func (c *stream) late() {
	z := c.zombie
	over := c.h.tenures[z.task].n != z.tenure
	if g := c.h.m.groups["k"]; g.isStreams() && g.streams.has(z.id).Epoch == z.epoch {
		over = false
	}
	c.h.asked++
	c.h.run(c.h.m.Commit(c.h.now, offsetOf(z.task, z.id, z.epoch), func(o CommitReply) {
		if c.h.answered++; o.Err == nil && over {
			c.h.fail("G2: %+v of %s commits what %s has run since", *z, c.id, c.h.tenures[z.task].by)
		}
	}))
}

// commit commits what the client runs, in the epoch in which it heard of it: it may do so as long as it is a member (KIP-1251).
func (c *stream) commit() {
	for _, t := range listed(c.active) {
		c.h.asked++
		c.h.run(c.h.m.Commit(c.h.now, offsetOf(t, c.id, c.given[t]), func(o CommitReply) {
			if c.h.answered++; errors.Is(o.Err, ErrStaleMemberEpoch) {
				c.h.fail("%s runs %v since epoch %d, and may not commit", c.id, t, c.given[t])
			}
		}))
	}
}

// strays has an old heartbeat arrive. The client has sent others since, and does not hear the answer. Only one of an epoch before can be told from one that counts;
// one from before the last epoch that the client has seen end is refused.
func (c *stream) strays() {
	r := c.stray
	if c.stray = nil; r == nil || r.Member == c.id && r.Epoch >= c.epoch {
		return
	}
	c.h.asked++
	old := r.Member == c.id && c.joined && r.Epoch < c.previous
	c.h.run(c.h.m.StreamsHeartbeat(c.h.now, *r, func(o StreamsHeartbeatReply) {
		if c.h.answered++; o.Err == nil && old {
			c.h.fail("%s, at epoch %d, is answered at epoch %d", c.id, c.epoch, r.Epoch)
		}
	}))
}
