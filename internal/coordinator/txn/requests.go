package txn

import (
	"regexp"
	"time"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/model"
)

// Version is the protocol of transactions that a request speaks, the level of the feature transaction.version.
type Version = int16

// The versions. V1's level is written as 0, as Kafka does.
const (
	V1 Version = 0
	V2 Version = 2 // the epoch grows with each transaction (KIP-890)
)

// State is where a transaction stands. Its String is what clients see.
type State = schema.TransactionStatus

// Producer is an ID and an epoch.
type Producer = shard.Producer

// noProducer is what answers without a producer have.
var noProducer = Producer{ID: model.NoProducer, Epoch: -1}

// InitRequest asks for an ID and an epoch that fence whoever has the transactional ID now.
type InitRequest struct {
	TransactionalID string
	TimeoutMs       int32
	Expected        *Producer // what the producer believes to have: it goes on after an error (KIP-360)
	// Wait is how long the request is held while a transaction is being ended, before it is refused with ErrConcurrentTransactions.
	Wait time.Duration
}

// InitReply is the producer from now on.
type InitReply struct {
	Err      error
	Producer Producer
}

// AddRequest makes partitions part of the producer's transaction, which begins if there is none; or asks whether they are.
type AddRequest struct {
	TransactionalID string
	Producer        Producer
	Version         Version
	Partitions      []model.TopicPartition
	TopicIDs        []model.TopicID // of the partitions' topics, as who leads them knows them; zero, or not as many: not said
	Wait            time.Duration   // as InitRequest's
}

// VerifyReply has an error or nil for each of the request's partitions in their order, or an error for all.
type VerifyReply struct {
	Err        error
	Partitions []error
}

// EndRequest ends the producer's transaction.
type EndRequest struct {
	TransactionalID string
	Producer        Producer
	Version         Version
	Commit          bool
	Wait            time.Duration // as InitRequest's
}

// EndReply has under V2 the producer for the next transaction, under V1 none.
type EndReply struct {
	Err      error
	Producer Producer
}

// Markers is an effect, as *Markers: a marker for each of the partitions is to be written, and Machine.Written to be called with it as they
// are, until none is left. Partitions that do not exist any more are left out by both. The machine knows it by its address: what is
// told of another one, of an earlier transaction or another shard, counts for nothing.
type Markers struct {
	TransactionalID string
	Producer        Producer // of the markers
	Version         Version
	Commit          bool
	Partitions      []model.TopicPartition // in order
}

// NeedProducerID is an effect: a decision needs an ID that no producer has. Resume is to be decided with one, or Refuse to be called.
type NeedProducerID struct {
	Resume func(now time.Time, id model.ProducerID) shard.Result
	Refuse func(error)
}

// Description is what DescribeTransactions shows.
type Description struct {
	TransactionalID string
	Err             error
	Producer        Producer
	State           State
	TimeoutMs       int32
	StartMs         int64                  // schema.NoTime: none has begun
	Partitions      []model.TopicPartition // in order; while markers are written, those that have none yet
}

// ListRequest asks for transactions. What is empty lets everything pass.
type ListRequest struct {
	States     []string // by their names
	Producers  []model.ProducerID
	DurationMs int64          // those that began longer ago; -1: all
	Pattern    *regexp.Regexp // nil: all. It is for the whole of an ID if it says so
}

// ListReply has what passes, by ID.
type ListReply struct {
	Err          error
	Unknown      []string // states that there are not
	Transactions []Listed
}

// Listed is a transactional ID of a list.
type Listed struct {
	TransactionalID string
	Producer        model.ProducerID
	State           State
}
