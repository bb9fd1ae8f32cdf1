package txn

import (
	"math"
	"slices"
	"strings"

	"chronik/internal/coordinator/schema"
	"chronik/internal/model"
)

// lastEpoch is the last one that a producer works with. The highest is for fencing it.
const lastEpoch = math.MaxInt16 - 1

func exhausted(epoch int16) bool { return epoch >= lastEpoch }

// ending tells whether markers are being written.
func ending(s State) bool { return s == schema.TxnPrepareCommit || s == schema.TxnPrepareAbort }

// ended tells whether there was a transaction, and is none now.
func ended(s State) bool { return s == schema.TxnCompleteCommit || s == schema.TxnCompleteAbort }

// created is the first state of a transactional ID.
func created(id model.ProducerID, timeoutMs int32, nowMs int64) *schema.Transaction {
	return &schema.Transaction{
		ProducerID: id, TimeoutMs: timeoutMs, Status: schema.TxnEmpty, LastUpdateTimestamp: nowMs, StartTimestamp: schema.NoTime,
		PreviousProducerID: id, NextProducerID: model.NoProducer, NextProducerEpoch: -1,
	}
}

// after is the state that follows, equal but for its name and time. What is previous is so by one state.
func after(v *schema.Transaction, s State, nowMs int64) *schema.Transaction {
	next := *v
	next.Status, next.LastUpdateTimestamp, next.PreviousProducerID = s, nowMs, v.ProducerID
	return &next
}

// initialized has no transaction, and the producer that it is given to.
func initialized(v *schema.Transaction, p Producer, timeoutMs int32, nowMs int64) *schema.Transaction {
	next := after(v, schema.TxnEmpty, nowMs)
	next.ProducerID, next.ProducerEpoch, next.TimeoutMs = p.ID, p.Epoch, timeoutMs
	next.Partitions, next.StartTimestamp = nil, schema.NoTime
	return next
}

// added has the partitions too.
func added(v *schema.Transaction, partitions []model.TopicPartition, version Version, nowMs int64) *schema.Transaction {
	next := after(v, schema.TxnOngoing, nowMs)
	if v.Status != schema.TxnOngoing {
		next.StartTimestamp = nowMs
	}
	next.ClientVersion = version
	next.Partitions = pack(append(unpack(v.Partitions), partitions...))
	return next
}

// prepared is to be ended. Under V2 the epoch grows, so that what the producer sends late is refused where the marker is; nextID follows
// if the epochs are used up. What fences grows it under V1 as well.
func prepared(v *schema.Transaction, commit, fence bool, version Version, nextID model.ProducerID, nowMs int64) *schema.Transaction {
	next := after(v, schema.TxnPrepareAbort, nowMs)
	if commit {
		next.Status = schema.TxnPrepareCommit
	}
	if (version >= V2 || fence) && v.ProducerEpoch < math.MaxInt16 {
		next.ProducerEpoch++
	}
	if v.Status != schema.TxnOngoing {
		next.StartTimestamp, next.Partitions = nowMs, []schema.TransactionTopic{}
	}
	next.ClientVersion, next.NextProducerID = version, nextID
	return next
}

// completed has all its markers.
func completed(v *schema.Transaction, nowMs int64) *schema.Transaction {
	next := after(v, schema.TxnCompleteAbort, nowMs)
	if v.Status == schema.TxnPrepareCommit {
		next.Status = schema.TxnCompleteCommit
	}
	p := successor(v)
	next.ProducerID, next.ProducerEpoch, next.NextProducerID = p.ID, p.Epoch, model.NoProducer
	next.Partitions = []schema.TransactionTopic{}
	return next
}

// successor is the producer once what is prepared is completed.
func successor(v *schema.Transaction) Producer {
	if v.ClientVersion >= V2 && v.NextProducerID != model.NoProducer {
		return Producer{ID: v.NextProducerID}
	}
	return Producer{ID: v.ProducerID, Epoch: v.ProducerEpoch}
}

// replacedEpoch is the epoch that the present one has replaced for the same producer, -1 if that is not known.
func (m *Machine) replacedEpoch(id string, t *txn) int16 {
	if t.ClientVersion >= V2 && (ending(t.Status) || ended(t.Status)) {
		if t.ProducerEpoch == 0 {
			return lastEpoch
		}
		return t.ProducerEpoch - 1
	}
	if s := m.soft[id]; s != nil && s.replaced.now == t.producer() {
		return s.replaced.last
	}
	return -1
}

// unpack are the partitions of a record, in order.
func unpack(topics []schema.TransactionTopic) []model.TopicPartition {
	var all []model.TopicPartition
	for i := range topics {
		for _, p := range topics[i].Partitions {
			all = append(all, model.TopicPartition{Topic: topics[i].Topic, Partition: p})
		}
	}
	slices.SortFunc(all, model.TopicPartition.Compare)
	return all
}

// pack sorts partitions and leaves each once.
func pack(all []model.TopicPartition) []schema.TransactionTopic {
	slices.SortFunc(all, model.TopicPartition.Compare)
	out := []schema.TransactionTopic{}
	for _, tp := range slices.Compact(all) {
		if n := len(out); n == 0 || out[n-1].Topic != tp.Topic {
			out = append(out, schema.TransactionTopic{Topic: strings.Clone(tp.Topic)})
		}
		t := &out[len(out)-1]
		t.Partitions = append(t.Partitions, tp.Partition)
	}
	return out
}
