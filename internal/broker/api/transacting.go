package api

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"chronik/internal/coordinator/schema"
	"chronik/internal/coordinator/shard"
	"chronik/internal/coordinator/txn"
	"chronik/internal/metadata/image"
	"chronik/internal/model"
	"chronik/internal/record"
)

// Transactions are the transactional IDs that this broker coordinates, each in the machine of its partition of __transaction_state. It is as Groups.
type Transactions interface {
	Ask(id string, decide func(m *txn.Machine, now time.Time) shard.Result, refuse func(error))
	Each(decide func(m *txn.Machine, now time.Time) shard.Result, refuse func(error)) int
}

// noTransactions coordinates nothing.
type noTransactions struct{}

func (noTransactions) Ask(_ string, _ func(*txn.Machine, time.Time) shard.Result, refuse func(error)) {
	refuse(shard.ErrNotCoordinator)
}

func (noTransactions) Each(func(*txn.Machine, time.Time) shard.Result, func(error)) int { return 0 }

// Requests that meet a transaction which is being ended are held until it is, for this long at most. Clients that are told CONCURRENT_TRANSACTIONS wait for 20
// to 100 ms before they ask again; writing markers takes some milliseconds. Questions of brokers are held for less: one answer is for several transactions.
const (
	endingTime       = 100 * time.Millisecond
	endingBrokerTime = 10 * time.Millisecond
)

// askTxn asks for a decision about a transactional ID. It does not wait: done is called once, perhaps before askTxn returns, and must not block.
func askTxn[Reply any](b *Broker, id string, d func(m *txn.Machine, now time.Time, reply func(Reply)) shard.Result, done func(Reply, error)) {
	var none Reply
	if id == "" { // nobody coordinates that
		done(none, txn.ErrInvalidRequest)
		return
	}
	b.Transactions.Ask(id,
		func(m *txn.Machine, now time.Time) shard.Result { return d(m, now, func(r Reply) { done(r, nil) }) },
		func(err error) { done(none, err) })
}

// beginTxn is askTxn for who waits for the answer.
func beginTxn[Reply any](b *Broker, id string, d func(m *txn.Machine, now time.Time, reply func(Reply)) shard.Result) pending[Reply] {
	p := pending[Reply]{make(chan decided[Reply], 1)}
	askTxn(b, id, d, func(r Reply, err error) { p.answer <- decided[Reply]{r, err} })
	return p
}

// fencedCode is the Kafka error code of what a coordinator of transactions has answered, to a request that knows PRODUCER_FENCED from a version on.
func fencedCode(err error, version, since int16) int16 {
	code := groupCode(err)
	if code == kerr.ProducerFenced.Code && version < since {
		return kerr.InvalidProducerEpoch.Code
	}
	return code
}

// kafkaError is the error of a code that another broker has answered; nil for 0.
func kafkaError(code int16) error {
	if code == 0 {
		return nil
	}
	return kerr.TypedErrorForCode(code)
}

// The versions of requests from which on their producers raise the epoch with each transaction (KIP-890).
const (
	produceRaises      = 12
	addPartitionsRaise = 4
	endRaises          = 5
	offsetsRaise       = 5
	markersRaise       = 2
)

// versionOf is the protocol of transactions that a version of a request speaks.
func versionOf(version, raises int16) txn.Version {
	if version >= raises {
		return txn.V2
	}
	return txn.V1
}

// producerOf is the producer that a request names.
func producerOf(id int64, epoch int16) txn.Producer {
	return txn.Producer{ID: model.ProducerID(id), Epoch: epoch}
}

// expected is the producer that a request believes to be; nil: none. An ID without an epoch, or the other way around, is refused.
func expected(id int64, epoch int16) (*txn.Producer, error) {
	p := producerOf(id, epoch)
	if (p.ID == model.NoProducer) != (p.Epoch == record.NoProducerEpoch) {
		return nil, errInvalidRequest
	}
	if p.ID == model.NoProducer {
		return nil, nil
	}
	return &p, nil
}

// errOvertaken refuses what a client asks to become, in a request that is taken when its connection is closed already (a broker that was stopped for a
// while finds such): the same client has perhaps asked again since, and would be fenced by itself. Nobody hears it.
var errOvertaken = shard.ErrNotCoordinator

// coordinatedBy is the partition of a coordinator's topic that a key belongs to; false: the topic does not exist yet.
func coordinatedBy(im *image.Image, topic *schema.Topic, key string) (model.TopicPartition, bool) {
	t := im.Topic(topic.Name)
	if t == nil {
		return model.TopicPartition{}, false
	}
	return model.TopicPartition{Topic: t.Name, Partition: schema.Partition(key, int32(len(t.Partitions)))}, true
}
