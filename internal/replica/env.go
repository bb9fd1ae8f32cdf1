package replica

import (
	"cmp"
	"log/slog"
	"time"

	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replication"
	"chronik/internal/vfs"
)

// Env is what a Set needs of its surroundings.
type Env struct {
	FS    vfs.FS
	Disks []Disk // the first holds the metadata too
	// DiskGone: the broker had a data directory that is not among Disks any more. What is in no directory now may have been in that one.
	DiskGone bool
	Now      func() time.Time
	Log      *slog.Logger
	Node     model.BrokerID // this broker

	// Of partitions with more than one replica. A broker alone needs none of it.
	Controller  Controller
	Leaders     Leaders
	Replication Replication
	Losses      *Losses // what recovery cuts off is remembered there (L2)
	// Session tells, by the clock, whether an active controller was heard of within this broker's session (R6). SessionChanged tells the same by a
	// timer, which comes late after a pause of the whole process. nil: always.
	Session func() bool
}

// Controller is the active controller, as far as this broker reaches it. The calls must not block.
type Controller interface {
	// AlterISR asks for another ISR (KIP-497). answer is called once, on any goroutine but the caller's: with
	// replication.Committed and the new state, Declined, or Unanswered if nothing is known of it.
	AlterISR(tp model.TopicPartition, topic model.TopicID, p replication.Proposal, answer func(replication.Outcome, replication.State))
	// Resign asks for another leader, if that is still the epoch. It may get lost: it is repeated while the reason lasts.
	Resign(tp model.TopicPartition, topic model.TopicID, epoch model.LeaderEpoch, why replication.Resignation)
}

// Replication is how partitions are copied. What is 0 has its default.
type Replication struct {
	LagTime         time.Duration // replica.lag.time.max.ms; 2 s
	LagEntries      int64         // how many entries an in-sync member may lack; 0: no limit
	Retry, Patience time.Duration // after what failed; for an answer that does not come; 100 ms and 1 s
	Tick            time.Duration // how often members that time matters to are looked at; 50 ms
	Window          int           // bytes on their way to one follower of one partition; 4 MiB
	TailBytes       int64         // of batches kept in memory for followers' streams, of all partitions; 64 MiB
}

func (c Replication) withDefaults() Replication {
	return Replication{
		LagTime: cmp.Or(c.LagTime, 2*time.Second), LagEntries: c.LagEntries,
		Retry: cmp.Or(c.Retry, 100*time.Millisecond), Patience: cmp.Or(c.Patience, time.Second),
		Tick: cmp.Or(c.Tick, 50*time.Millisecond), Window: cmp.Or(c.Window, 4<<20), TailBytes: cmp.Or(c.TailBytes, 64<<20),
	}
}

// Assignment is what the metadata says of one partition on this broker.
type Assignment struct {
	Partition model.TopicPartition
	TopicID   model.TopicID
	State     *image.Partition // this broker is among its replicas
	Settings  *Settings
}

// alone tells whether the broker holds the only replica.
func (a *Assignment) alone(node model.BrokerID) bool {
	return len(a.State.Replicas) == 1 && a.State.Replicas[0] == node
}

func (a *Assignment) state() replication.State {
	p := a.State
	return replication.State{Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR}
}
