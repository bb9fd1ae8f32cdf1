package shard

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
)

// What replies are called with besides the errors of the log. Whoever asked may ask again.
var (
	// ErrNotCoordinator: another broker coordinates this, or this one in a later epoch.
	ErrNotCoordinator = errors.New("this broker does not coordinate the group any more")
	// ErrLoading: the shard is not loaded yet.
	ErrLoading = errors.New("the coordinator is loading")
	// ErrTimedOut: what was decided is in the log, and may or may not be safe one day.
	ErrTimedOut = errors.New("the log has not made it safe in time: ask again")
	// ErrTooLarge: what was decided does not fit into a record batch. Nothing was changed.
	ErrTooLarge = errors.New("the records are larger than max.message.bytes of the coordinator's topic")
)

// Machine is what a shard is for. Its methods never block, fail half-way, look at a clock or iterate a map where the order shows.
type Machine interface {
	// Apply changes what is replicated as the record at an offset says. Offsets only grow, but for Revert. An error ends the shard.
	Apply(model.Offset, Entry) error
	// Settle says that what was or will be applied below the watermark is safe: how to take it back need not be known.
	Settle(watermark model.Offset)
	// Revert says that the log has refused what was applied from an offset on.
	Revert(from model.Offset)
	// Loaded is called once, before the first decision, when all that the log holds was applied: set timers, mend what was under way.
	Loaded(now time.Time, im *image.Image) Result
	// OnTimer is called at a timer's time or later.
	OnTimer(now time.Time, k TimerKey) Result
	// OnImage is called with each change of the metadata, in order.
	OnImage(now time.Time, im *image.Image, d *image.Delta) Result
	// End answers everybody who waits within the machine with ErrNotCoordinator. Nothing is called after it.
	End()
}

// Entry is a record of the log, or the marker that ends a producer's transaction there.
type Entry struct {
	TimestampMs int64
	Producer    model.ProducerID // model.NoProducer: not of a transaction
	Epoch       int16            // of the producer
	Record      schema.Record
	Marker      *record.Marker // nil: Record
}

// Producer is whose transaction records belong to.
type Producer struct {
	ID    model.ProducerID
	Epoch int16
}

// Effect is something that is to be done elsewhere, for who runs the shard: markers to send, an ID to get. Machines have their own.
type Effect any

// Result is what was decided: records, a marker, or neither.
type Result struct {
	Records []schema.Record // one batch, all or none
	// Txn makes the records part of this producer's transaction: a batch of their own. nil: they are of none.
	Txn    *Producer
	Marker *record.Marker // ends a producer's transaction in this log, instead of records
	Raised bool           // of Marker: its epoch was raised for it (KIP-890), so that it ends no transaction of that epoch
	// Reply answers everybody that the decision answers. It is called once: with nil when the records are settled, or without
	// records when Sees is; with an error if that will not be known. nil: nobody asked.
	Reply  func(error)
	Sees   model.Offset // the last record that the reply depends on, model.NoOffset: none that is not settled
	Timers []TimerChange
	// Effects are done once, in their order, when the records are settled, or Sees is: not before (T3), and however long that takes. They
	// are never done if the log refuses the records, or if the shard ends before: who loads it next decides what is to be done.
	Effects []Effect
	// Next are decisions that have waited for this one: they are made right after it, in their order, on what it has left.
	Next []Decision
}

// Decision is a request that a machine has kept. One of the two is called, once.
type Decision struct {
	Decide func(now time.Time) Result
	Refuse func(error)
}

// TimerKind is what a timer is for. Machines have their own.
type TimerKind uint8

// TimerKey is a timer's identity. A timer that is set again is moved.
type TimerKey struct {
	Kind   TimerKind
	Group  string
	Member string
}

// Compare orders timers that are due at the same time.
func (k TimerKey) Compare(o TimerKey) int {
	return cmp.Or(cmp.Compare(k.Kind, o.Kind), strings.Compare(k.Group, o.Group), strings.Compare(k.Member, o.Member))
}

// TimerChange sets a timer; the zero time takes it away.
type TimerChange struct {
	Key TimerKey
	At  time.Time
	// Wall: what happens then compares the wall clock with times in records. It does not while that clock has leapt (E4).
	Wall bool
}
