package runtime

import (
	"errors"
	"log/slog"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/replica"
	"chronik/internal/wait"
	"chronik/internal/wal"
)

// ErrNoTopic refuses what is asked before the coordinator's topic exists.
var ErrNoTopic = errors.New("the coordinator's topic does not exist yet")

// Partition is what a seat needs of its replica. *replica.Replica implements it.
type Partition interface {
	Append(replica.Append) (wal.Appended, error)
	Read(replica.ReadRequest) (replica.ReadResult, error)
	Leads(model.LeaderEpoch) error
	LeaderEnd(model.LeaderEpoch) (model.Offset, error)
	HighWatermark() model.Offset
	Policy() *replica.Policy
	Watch(*replica.Watcher)
	Unwatch(*replica.Watcher)
}

// Options are what a Coordinator needs. All but those that say otherwise must be set.
type Options[M shard.Machine] struct {
	Topic *schema.Topic
	Node  model.BrokerID // this broker
	// Partition finds a replica; nil: this broker does not hold it.
	Partition func(model.TopicPartition) Partition
	Machine   func() M // an empty one, as the broker is configured at the time
	// Configure tells a machine that the broker's configuration has changed. Optional.
	Configure func(M)
	// Effect does what machines want done elsewhere. It must neither block nor ask within the call. Optional: the machines have no effects.
	Effect func(Source[M], shard.Effect)
	Limits func() Limits
	// WallClockTrusted tells whether the wall clock has not leapt (E4).
	WallClockTrusted func() bool
	Log              *slog.Logger
	Now              func() time.Time // optional; monotonic
	Loaders          int              // how many seats load at a time; 0: one per processor
}

// Limits are what the broker's configuration says. They hold from a seat's next load on.
type Limits struct {
	Patience  time.Duration // how long a reply waits for its records to be safe: offsets.commit.timeout.ms
	LoadBytes int           // how much is read at a time when a seat loads: offsets.load.buffer.size
}

// Coordinator is the shards of one topic that this broker leads. Ask, Each and Stats may be called from any goroutine; Start and Follow come from
// the one that applies metadata.
type Coordinator[M shard.Machine] struct {
	o       Options[M]
	gate    gate
	alarm   *wait.Alarm[*seat[M]]
	running sync.WaitGroup // goroutines that have a turn, or load
	crew    crew[M]
	table   atomic.Pointer[table[M]]

	mu      sync.Mutex // of those who change the table
	image   *image.Image
	stopped bool

	loads, loadNanos atomic.Int64
}

// table is who coordinates what. It does not change.
type table[M shard.Machine] struct {
	topic model.TopicID
	seats []*seat[M] // by partition; nil: another broker's
}

// New returns a Coordinator that coordinates nothing before Start.
func New[M shard.Machine](o Options[M]) *Coordinator[M] {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Loaders == 0 {
		o.Loaders = goruntime.GOMAXPROCS(0)
	}
	c := &Coordinator[M]{o: o, gate: gate{free: o.Loaders}, alarm: wait.NewAlarm[*seat[M]](o.Now)}
	c.crew.running, c.crew.size = &c.running, goruntime.GOMAXPROCS(0)
	c.table.Store(new(table[M]))
	return c
}

// Ask has a request about a key (a group's or a transaction's ID, the name of a share partition) decided by the machine that coordinates it. One of
// decide and refuse is called, once, perhaps before Ask returns, perhaps on another goroutine; neither may block, and what they hold must outlive
// the request's frame. Refusals are shard.ErrNotCoordinator, shard.ErrLoading and ErrNoTopic.
func (c *Coordinator[M]) Ask(key string, decide func(m M, now time.Time) shard.Result, refuse func(error)) {
	c.ask(key, decide, refuse, aClient)
}

// Wait is Ask for a caller that does nothing before it is answered. If the log is idle it makes the commit itself, which spares the switches to a committer's
// goroutine and back, and mostly returns when decide's reply was called. It waits for the disk then, for as long as that takes; a reply that comes
// before, because that is too long, comes from another goroutine.
func (c *Coordinator[M]) Wait(key string, decide func(m M, now time.Time) shard.Result, refuse func(error)) {
	c.ask(key, decide, refuse, aWaiter)
}

func (c *Coordinator[M]) ask(key string, decide func(m M, now time.Time) shard.Result, refuse func(error), who asking) {
	seats := c.table.Load().seats
	if len(seats) == 0 {
		refuse(ErrNoTopic)
		return
	}
	s := seats[schema.Partition(key, int32(len(seats)))]
	if s == nil {
		refuse(shard.ErrNotCoordinator)
		return
	}
	s.ask(decide, refuse, who)
}

// At is Ask for what is about a whole partition of the topic.
func (c *Coordinator[M]) At(partition int32, decide func(m M, now time.Time) shard.Result, refuse func(error)) {
	seats := c.table.Load().seats
	switch {
	case len(seats) == 0:
		refuse(ErrNoTopic)
	case partition < 0 || int(partition) >= len(seats) || seats[partition] == nil:
		refuse(shard.ErrNotCoordinator)
	default:
		seats[partition].ask(decide, refuse, aClient)
	}
}

// Each has all machines of this broker asked, for lists, and returns how many: for each of them one of decide and refuse is called, once, as by Ask.
func (c *Coordinator[M]) Each(decide func(m M, now time.Time) shard.Result, refuse func(error)) (asked int) {
	for _, s := range c.table.Load().seats {
		if s != nil {
			s.ask(decide, refuse, aClient)
			asked++
		}
	}
	return asked
}

// Stats is what a Coordinator has done, and has to do.
type Stats struct {
	Coordinated, Loading int // partitions
	Loads                int64
	LoadTime             time.Duration // of all of them
}

// Stats counts.
func (c *Coordinator[M]) Stats() Stats {
	out := Stats{Loads: c.loads.Load(), LoadTime: time.Duration(c.loadNanos.Load())}
	for _, s := range c.table.Load().seats {
		switch {
		case s == nil:
		case s.serves():
			out.Coordinated++
		default:
			out.Loading++
		}
	}
	return out
}
