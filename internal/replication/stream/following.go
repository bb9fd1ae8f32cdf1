package stream

import (
	"chronik/internal/mem"
	"chronik/internal/replication"
)

// Following is a partition that this broker follows, to the Receiver that hears its leader: a shell around a replication.Follower. Its
// methods lock the shell, call the core, and do what that asks for. None may wait for a disk: the whole link does meanwhile.
type Following interface {
	// Answer, Batches and Watermark are Follower.Answer, Batches and HearWatermark. The bytes of Batches are owner's: whoever
	// uses them after the return retains it, as wal.Append does.
	Answer(a replication.Answer)
	Batches(m replication.Batches, owner *mem.Buf)
	Watermark(m replication.Watermark)

	// Report asks for what Follower.Ack and Credit have to say. It is called after each Route.Wake.
	Report(r *Report)

	// LinkLost is Follower.LinkLost. It comes once for each link over which the partition has subscribed, after everything else of that link.
	LinkLost()
}

// Report is what a follower tells its leader of one partition.
type Report struct {
	HasAck, HasCredit bool
	Ack               replication.Ack
	Credit            replication.Credit
}
