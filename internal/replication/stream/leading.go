package stream

import (
	"chronik/internal/mem"
	"chronik/internal/model"
	"chronik/internal/replication"
)

// Leading is a partition that this broker leads, to the Senders that serve its followers: a shell around a replication.Leader. Its methods
// lock the shell, call the core, and do what that asks for. None but Read may wait for a disk.
type Leading interface {
	// Subscribe is Leader.Subscribe. If the answer is Accepted, the shell wakes the lane, from then on and until LinkLost or the follower's
	// next Subscribe, whenever Leader.Next, Overtaken or Watermark may have something new for that follower: the log's end, its synced end where
	// a read of it came back empty, its start, or the watermark have moved. Other answers leave the shell with the lane that it had.
	Subscribe(m replication.Subscribe, lane *Lane) replication.Answer

	// Ack and Grant are the Leader's methods of these names.
	Ack(from model.BrokerID, m replication.Ack)
	Grant(from model.BrokerID, m replication.Credit)

	// Next says what the follower is to be sent now, in this order of preference: Leader.Overtaken; batches from Leader.Next's offset on, passed through
	// Leader.Send if they are in memory, else as a Cold read; Leader.Watermark. Batches
	// in memory are at most about most bytes, or one batch; Credit is all that the follower takes.
	Next(to model.BrokerID, most int, out *Outgoing)

	// Read reads batches from the log, from the one that holds from on: at most most bytes of them, or one batch. It may take its time, and
	// is called by any goroutine. Nothing is returned if from is not durable yet.
	Read(from model.Offset, most int) (Batches, error)

	// Send passes the first of what Read returned through Leader.Send: whole batches of at most most bytes, or one batch. The answer says how many
	// they are. It is false, and nothing has happened, if the partition is not led any more, or the log is shorter now than what was read: it may have
	// been cut, and led again, since the Read.
	Send(to model.BrokerID, from model.Offset, read Batches, most int) (replication.Batches, bool)

	// LinkLost is Leader.LinkLost, with the last subscription that was accepted over the link. It comes once for each link over which the partition was
	// subscribed, after everything else of it and before anything of the follower's next one.
	LinkLost(to model.BrokerID, n replication.Subscription)
}

// Partitions finds the partition that this broker leads, or may be about to.
type Partitions interface {
	// Leading returns nil for a partition that is not led here, or not known, or whose log is not open yet.
	Leading(topic model.TopicID, partition int32) Leading
}

// Kind says what an Outgoing holds.
type Kind uint8

// The kinds of Outgoing.
const (
	Nothing      Kind = iota
	HotBatches        // Batches, of which Owner holds the bytes
	ColdBatches       // From and Credit: to be read
	NewWatermark      // Watermark
	Restarts          // Restart
)

// Outgoing is what a follower is to be sent.
type Outgoing struct {
	Kind    Kind
	Batches replication.Batches
	// Owner holds the bytes of Batches, and was retained for the Sender, which releases it. nil: the bytes never change.
	Owner     *mem.Buf
	From      model.Offset
	Credit    int // bytes that the follower takes from there
	Watermark replication.Watermark
	Restart   replication.Restart
}

// Batches is what a Read found: whole batches up to End. The reader holds Owner, and releases it.
type Batches struct {
	Bytes []byte
	End   model.Offset
	Owner *mem.Buf
}
