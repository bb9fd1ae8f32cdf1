package sim

import (
	"time"

	"chronik/internal/model"
)

// code is what a broker says to a client.
type code int8

const (
	okay code = iota
	notLeader
	unknownTopic
	notEnoughReplicas
	notEnoughAfterAppend
	timedOut
	outOfSequence
	storageError
	outOfRange
	notAvailable
	diskFull
	fencedEpoch
	abortable
	comeAgain
	numCodes
)

var codeNames = [numCodes]string{"ok", "not leader", "unknown topic", "not enough replicas", "not enough replicas after append",
	"timed out", "out of sequence", "storage error", "out of range", "not available", "disk full", "fenced", "not of the transaction", "come again"}

func (c code) String() string { return codeNames[c] }

// whereRequest asks any broker who leads a partition.
type whereRequest struct {
	topic string
	num   int32
}

type whereAnswer struct {
	code   code
	id     model.TopicID
	leader nodeID // 0: nobody
	epoch  model.LeaderEpoch
}

// client is what producers and consumers have in common: they know who leads, as far as somebody told them.
type client struct {
	w      *world
	id     nodeID
	topic  string
	num    int32         // of the partition
	known  model.TopicID // zero: the topic is gone, somebody said
	last   model.TopicID // that was known
	leader nodeID
	epoch  model.LeaderEpoch
	asking bool
}

// refresh asks a random broker who leads, and goes on when it knows. An answer older than what is known is not believed, as
// the epoch in it says.
func (c *client) refresh(then func()) {
	if c.asking {
		return
	}
	c.asking = true
	c.leader = 0
	c.w.call(c.id, c.w.someNode(), whereRequest{c.topic, c.num}, 300*time.Millisecond, func(answer any) {
		c.asking = false
		a, ok := answer.(whereAnswer)
		if ok && a.code == okay && a.leader != 0 && (a.id != c.last || a.epoch >= c.epoch) {
			c.known, c.last, c.leader, c.epoch = a.id, a.id, a.leader, a.epoch
			then()
			return
		}
		c.w.after(c.w.between(5*time.Millisecond, 100*time.Millisecond), func() { c.refresh(then) })
	})
}
