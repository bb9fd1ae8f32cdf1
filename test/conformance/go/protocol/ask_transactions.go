package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func transactionProbes() []probe {
	return []probe{
		{"transactions/init", initTransactional},
		{"transactions/life", transactionLife},
		{"transactions/raised", raisedTransactions},
		{"transactions/add-partitions", addPartitions},
		{"transactions/verify", verifyPartitions},
		{"transactions/offsets", transactionOffsets},
		{"transactions/end", endTransactions},
		{"transactions/describe", describeTransactions},
		{"transactions/list", listTransactions},
		{"transactions/markers", writeMarkers},
		{"transactions/markers-on-offsets", markersOnOffsets},
	}
}

// A txn is a producer with a transactional ID.
type txn struct {
	a        *asker
	id       string
	producer int64
	epoch    int16
	raises   int8 // of its markers: 2 says that the epoch was raised for them
}

// txn is a new producer, with a transactional ID of this probe's that the asked broker coordinates.
func (a *asker) txn(purpose string) *txn {
	x := &txn{a: a, id: a.unknown(purpose)}
	x.begin()
	return x
}

// unknown is a transactional ID that nobody has, and that the asked broker coordinates.
func (a *asker) unknown(purpose string) string {
	id := a.topicName(purpose)
	for node := a.node(); a.coordinated(1, id) != node; {
		id += a.tag
	}
	return id
}

// begin has the ID given to this producer.
func (x *txn) begin() {
	x.a.until(x.id+" is given to a producer", func() bool {
		got := x.a.quiet(x.initRequest(), 4).(*kmsg.InitProducerIDResponse)
		x.producer, x.epoch = got.ProducerID, got.ProducerEpoch
		return got.ErrorCode == 0
	})
}

func (x *txn) initRequest() *kmsg.InitProducerIDRequest {
	req := initRequest()
	req.TransactionalID = &x.id
	return req
}

// goOn is initRequest by a producer that has an ID.
func (x *txn) goOn(epoch int16) *kmsg.InitProducerIDRequest {
	req := x.initRequest()
	req.ProducerID, req.ProducerEpoch = x.producer, epoch
	return req
}

// add has the forms of all versions.
func (x *txn) add(topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.producer, x.epoch
	t := kmsg.NewAddPartitionsToTxnRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	q := kmsg.NewAddPartitionsToTxnRequestTransaction()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = x.id, x.producer, x.epoch
	each := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
	each.Topic, each.Partitions = topic, partitions
	q.Topics = append(q.Topics, each)
	req.Transactions = append(req.Transactions, q)
	return req
}

func (x *txn) verify(topic string, partitions ...int32) *kmsg.AddPartitionsToTxnRequest {
	req := x.add(topic, partitions...)
	req.Transactions[0].VerifyOnly = true
	return req
}

func (x *txn) end(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.producer, x.epoch, commit
	return req
}

// ended takes over what an EndTxn from version 5 on has answered.
func (x *txn) ended(resp kmsg.Response) {
	if got, ok := resp.(*kmsg.EndTxnResponse); ok && got.Version >= 5 && got.ErrorCode == 0 {
		x.producer, x.epoch = got.ProducerID, got.ProducerEpoch
	}
}

// complete waits until nothing of the transaction is left to be written.
func (x *txn) complete() {
	x.a.until("the transaction of "+x.id+" is complete", func() bool {
		state := x.a.quiet(x.describe(), 0).(*kmsg.DescribeTransactionsResponse).TransactionStates[0].State
		return state == "CompleteCommit" || state == "CompleteAbort" || state == "Empty"
	})
}

// open has a transaction begin with a partition.
func (x *txn) open(topic string) {
	x.a.until("a transaction of "+x.id+" is open", func() bool {
		return x.a.quiet(x.add(topic, 0), 3).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode == 0
	})
}

func (x *txn) describe(others ...string) *kmsg.DescribeTransactionsRequest {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = append([]string{x.id}, others...)
	return req
}

// produce is one batch of the transaction.
func (x *txn) produce(topic string, id [16]byte, partition, sequence int32) *kmsg.ProduceRequest {
	b := newBatch(1).from(x.producer, x.epoch, sequence)
	b.Attributes |= 1 << 4 // transactional
	req := produceRequest(topic, id, partition, b.bytes())
	req.TransactionID = &x.id
	return req
}

// The names of states are the answer: what else differs from run to run is left out.
func (x *txn) state(question string) { x.a.ask(question, x.describe(), 0) }

func initTransactional(a *asker) {
	for v := int16(0); v <= 5; v++ {
		x := a.txn(fmt.Sprint("x", v))
		topic, _ := a.topic(fmt.Sprint("t", v), 1)
		epoch := func(question string, req *kmsg.InitProducerIDRequest) {
			if got, ok := a.ask(question, req, v).(*kmsg.InitProducerIDResponse); ok && got.ErrorCode == 0 {
				a.say("the same ID: %v", got.ProducerID == x.producer)
				x.epoch = got.ProducerEpoch
			}
		}
		epoch("once more", x.initRequest())
		for _, timeout := range []int32{0, -1, 900_000, 900_001} {
			req := x.initRequest()
			req.TransactionTimeoutMillis = timeout
			epoch(fmt.Sprintf("a timeout of %d ms", timeout), req)
		}
		if v < 3 {
			continue
		}
		epoch("going on", x.goOn(x.epoch))
		epoch("going on, once more", x.goOn(x.epoch-1))
		epoch("going on two epochs back", x.goOn(x.epoch-2))
		epoch("going on with an epoch that was not given yet", x.goOn(x.epoch+1))
		other := x.goOn(x.epoch)
		other.ProducerID += 1 << 40
		epoch("going on with another ID", other)
		x.open(topic)
		epoch("going on two epochs back, in a transaction", x.goOn(x.epoch-2))
		a.quiet(x.end(false), 3)
		x.complete()
	}
}

func transactionLife(a *asker) {
	for v := int16(0); v <= 3; v++ {
		x := a.txn(fmt.Sprint("x", v))
		topic, id := a.topic(fmt.Sprint("t", v), 2)
		for _, commit := range []bool{true, false} {
			name := map[bool]string{true: "commit", false: "abort"}[commit]
			a.ask("ending what has not begun, "+name, x.end(commit), v)
			a.ask("adding a partition, then "+name, x.add(topic, 0), v)
			a.ask("adding it again, and another, then "+name, x.add(topic, 0, 1), v)
			x.state(fmt.Sprintf("what is open, then %s, version %d", name, v))
			a.ask(fmt.Sprintf("producing, then %s, version %d", name, v), x.produce(topic, id, 0, 0), 9+v%3)
			a.ask(name, x.end(commit), v)
			x.complete()
			a.ask(name+", once more", x.end(commit), v)
			a.ask("the opposite of "+name, x.end(!commit), v)
			x.state(fmt.Sprintf("after %s, version %d", name, v))
			x.begin()
		}
	}
}

// raisedTransactions: the second version of transactions, where producers do not ask.
func raisedTransactions(a *asker) {
	x := a.txn("x")
	topic, id := a.topic("t", 2)
	for _, v := range []int16{12, 13} {
		a.ask("the first batch, not asked for", x.produce(topic, id, 0, 0), v)
		a.ask("the second batch", x.produce(topic, id, 0, 1), v)
		a.ask("a batch for another partition", x.produce(topic, id, 1, 0), v)
		x.state(fmt.Sprintf("what is open, version %d", v))
		old := *x
		x.ended(a.ask(fmt.Sprintf("commit, after Produce v%d", v), x.end(true), 5))
		a.question("the epoch is raised, version %d", v)
		a.say("%v, the same ID: %v", x.epoch == old.epoch+1, x.producer == old.producer)
		x.complete()
		a.ask(fmt.Sprintf("commit once more, after Produce v%d", v), old.end(true), 5)
		a.ask(fmt.Sprintf("abort what is committed, after Produce v%d", v), old.end(false), 5)
		a.ask(fmt.Sprintf("commit nothing, after Produce v%d", v), x.end(true), 5)
		a.ask("a batch of the epoch before", old.produce(topic, id, 0, 2), v)
		x.ended(a.ask(fmt.Sprintf("abort nothing, after Produce v%d", v), x.end(false), 5))
		x.complete()
		no := x.produce(topic, id, 0, 0)
		no.TransactionID = nil
		a.ask("a batch of a transaction in a request without one", no, v)
		x.begin()
	}
	for _, v := range []int16{7, 10, 11} {
		a.ask("the first batch, not asked for", x.produce(topic, id, 0, 0), v)
	}
}

func addPartitions(a *asker) {
	for v := int16(0); v <= 5; v++ {
		topic, _ := a.topic(fmt.Sprint("t", v), 2)
		x := a.txn(fmt.Sprint("x", v))
		bad := *x
		a.ask("a partition that does not exist beside one that does", x.add(topic, 0, 7), v)
		a.ask("a topic that does not exist", x.add(a.topicName("none"), 0), v)
		a.ask("no partitions", x.add(topic), v)
		a.ask("a partition twice", x.add(topic, 1, 1), v)
		bad.id = a.unknown("nobody")
		a.ask("a transactional ID that nobody has", bad.add(topic, 0), v)
		bad.id = ""
		a.ask("an empty transactional ID", bad.add(topic, 0), v)
		bad = *x
		bad.producer += 1 << 40
		a.ask("another producer ID", bad.add(topic, 0), v)
		bad = *x
		bad.epoch++
		a.ask("an epoch that was not given yet", bad.add(topic, 0), v)
		old := *x
		x.begin()
		a.ask("the epoch before", old.add(topic, 0), v)
	}
}

// verifyPartitions: what brokers ask, of several transactions at once.
func verifyPartitions(a *asker) {
	topic, _ := a.topic("t", 2)
	for v := int16(4); v <= 5; v++ {
		x, y, z := a.txn(fmt.Sprint("x", v)), a.txn(fmt.Sprint("y", v)), a.txn(fmt.Sprint("z", v))
		a.ask("nothing is open", x.verify(topic, 0), v)
		x.open(topic)
		a.ask("a partition of the transaction, and one that is not", x.verify(topic, 0, 1), v)
		a.ask("a partition that does not exist", x.verify(topic, 7), v)
		old := *z
		z.begin()
		several := x.verify(topic, 0)
		several.Transactions = append(several.Transactions, y.add(topic, 0, 1).Transactions[0], old.verify(topic, 0).Transactions[0])
		a.ask("several transactions", several, v)
	}
}
