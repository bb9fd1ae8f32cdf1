package sim

import (
	"time"

	"chronik/internal/model"
	"chronik/internal/wal"
)

// fetchRequest reads a partition from an offset on.
type fetchRequest struct {
	topic     string
	id        model.TopicID
	num       int32
	epoch     model.LeaderEpoch
	from      model.Offset
	near      bool // the replica need not lead
	committed bool // nothing of open and aborted transactions is wanted
}

type fetchReply struct {
	code    code
	hw      model.Offset
	start   model.Offset
	settled bool // the watermark has reached the start of the epoch
	batches []stored
	// What readers of committed records are told besides.
	stable  model.Offset
	aborted []wal.AbortedTxn
}

// latestRequest is ListOffsets for the latest offset.
type latestRequest fetchRequest

// consumer reads one partition from its start, and looks whether what it is told fits together.
type consumer struct {
	client
	near      bool // it reads from any replica (KIP-392)
	committed bool
	servedAt  time.Duration
	at        model.Offset
	hw        model.Offset // the highest watermark it was told of this topic
	reading   model.TopicID
	pause     time.Duration
	stopped   bool
}

func (c *consumer) start() { c.refresh(c.fetch) }

func (c *consumer) fetch() {
	if c.stopped {
		return
	}
	if c.known != c.reading {
		c.reading, c.at, c.hw = c.known, 0, 0
	}
	id, epoch, at := c.known, c.epoch, c.at
	var req any = fetchRequest{topic: c.topic, id: id, num: c.num, epoch: epoch, from: at, committed: c.committed}
	from := c.leader
	switch {
	case c.w.one(6):
		req = latestRequest{topic: c.topic, id: id, num: c.num, epoch: epoch, from: at}
	case c.near && c.w.one(2):
		from = c.w.someNode()
		req = fetchRequest{topic: c.topic, id: id, num: c.num, epoch: epoch, from: at, near: true, committed: c.committed}
	}
	c.w.call(c.id, from, req, 500*time.Millisecond, func(answer any) {
		r, ok := answer.(fetchReply)
		if !ok || r.code != okay {
			if ok && r.code == outOfRange {
				c.outOfRange(id, at, r)
			}
			if ok && r.code == unknownTopic {
				c.known = model.TopicID{}
			}
			c.w.after(c.w.between(0, c.pause), func() { c.refresh(c.fetch) })
			return
		}
		c.servedAt = c.w.now
		c.took(id, epoch, r)
		c.w.after(c.w.between(0, c.pause), c.fetch)
	})
}

// outOfRange is an answer that a reader which only reads what it was given must not get (R5).
func (c *consumer) outOfRange(id model.TopicID, at model.Offset, r fetchReply) {
	if at < r.start {
		c.at = r.start
		return
	}
	if l := c.w.ledger(id, c.num, c.topic); l.lossy {
		c.at, c.hw = r.start, 0
		return
	}
	c.w.fail("R5", "%v reads %s at %d, which it was led to, and is told that it is out of range", c.id, id, at)
}

func (c *consumer) took(id model.TopicID, epoch model.LeaderEpoch, r fetchReply) {
	l := c.w.ledger(id, c.num, c.topic)
	if l.lossy { // what the reader had seen may be gone, and other records stand there
		for _, b := range r.batches {
			c.at = max(c.at, b.last+1)
		}
		return
	}
	if r.settled && r.hw < c.hw {
		c.w.fail("R5", "%v was told the watermark %d in epoch %d, and %d before", c.id, r.hw, epoch, c.hw)
	}
	c.hw = max(c.hw, r.hw)
	for _, b := range r.batches {
		if b.last < c.at {
			continue
		}
		if b.base > c.at && c.at >= r.start {
			c.w.fail("L1", "%v reads from %d and is given %v: records were skipped", c.id, c.at, b)
		}
		if got, ok := l.find(b.base); !ok || got != b {
			c.w.fail("R5", "%v is given %v, which is not committed: there is %v", c.id, b, got)
		}
		c.at = b.last + 1
	}
}
