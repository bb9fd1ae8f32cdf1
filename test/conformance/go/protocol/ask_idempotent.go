package main

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

func idempotentProbes() []probe {
	return []probe{
		{"init-producer-id", initProducerID},
		{"produce/idempotent", idempotent},
		{"describe-producers", describeProducers},
	}
}

func initRequest() *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionTimeoutMillis = 60_000
	return req
}

// newProducer is a producer ID of the broker's.
func (a *asker) newProducer() (int64, int16) {
	var got *kmsg.InitProducerIDResponse
	a.until("the broker has producer IDs to give", func() bool { // Kafka's fetches its first block when it is asked
		got = a.quiet(initRequest(), 4).(*kmsg.InitProducerIDResponse)
		return got.ErrorCode == 0
	})
	return got.ProducerID, got.ProducerEpoch
}

func initProducerID(a *asker) {
	a.newProducer()
	a.each("a new producer", 0, 5, func(int16) kmsg.Request { return initRequest() })
	a.each("an empty transactional ID", 0, 5, func(int16) kmsg.Request {
		req := initRequest()
		req.TransactionalID = new(string)
		return req
	})
	id, epoch := a.newProducer()
	a.each("a producer ID and epoch without a transactional ID", 3, 5, func(int16) kmsg.Request {
		req := initRequest()
		req.ProducerID, req.ProducerEpoch = id, epoch
		return req
	})
	a.each("an epoch without a producer ID", 3, 5, func(int16) kmsg.Request {
		req := initRequest()
		req.ProducerEpoch = 3
		return req
	})
	a.each("a producer ID without an epoch", 3, 5, func(int16) kmsg.Request {
		req := initRequest()
		req.ProducerID = id
		return req
	})
	a.each("a negative transaction timeout", 0, 5, func(int16) kmsg.Request {
		req := initRequest()
		req.TransactionTimeoutMillis = -1
		return req
	})
	other, _ := a.newProducer()
	a.question("two producers have two IDs")
	a.say("%v", other != id)
}

func idempotent(a *asker) {
	for _, v := range []int16{7, 13} {
		suffix := string(rune('a' + v))
		name, topicID := a.topic("t"+suffix, 1)
		id, epoch := a.newProducer()
		send := func(question string, b *batch) { a.ask(question, produceRequest(name, topicID, 0, b.bytes()), v) }
		send("the first batch, sequence 0", newBatch(3).from(id, epoch, 0))
		send("the first batch again", newBatch(3).from(id, epoch, 0))
		send("the second batch", newBatch(2).from(id, epoch, 3))
		send("the first batch once more, no longer the last", newBatch(3).from(id, epoch, 0))
		send("a gap", newBatch(1).from(id, epoch, 9))
		send("back by one, another size", newBatch(1).from(id, epoch, 4))
		send("the second batch with more records", newBatch(3).from(id, epoch, 3))
		for i := range int32(6) {
			send("batch number "+string(rune('3'+i)), newBatch(1).from(id, epoch, 5+i))
		}
		send("the first batch again, six later", newBatch(3).from(id, epoch, 0))
		send("the second batch again, six later", newBatch(2).from(id, epoch, 3))
		send("a newer epoch that does not start at 0", newBatch(1).from(id, epoch+1, 11))
		send("a newer epoch", newBatch(1).from(id, epoch+1, 0))
		send("the older epoch", newBatch(1).from(id, epoch, 11))
		unknown, _ := a.newProducer()
		send("a producer that was not seen here starts at 5", newBatch(1).from(unknown, 0, 5))
		invented := int64(1 << 50)
		send("a producer ID that was never given out", newBatch(1).from(invented, 0, 0))
		send("a sequence that wraps", newBatch(2).from(unknown, 1, 0))
		end := a.quiet(listOffsetsRequest(name, 0, -1), 7).(*kmsg.ListOffsetsResponse)
		a.question("where the log ends (v%d)", v)
		a.say("%d", end.Topics[0].Partitions[0].Offset)
	}
	wrap(a)
}

// wrap: the sequence after the largest is 0, also within a batch.
func wrap(a *asker) {
	name, topicID := a.topic("wrap", 1)
	id, epoch := a.newProducer()
	const largest = int32(1<<31 - 1)
	send := func(question string, b *batch) { a.ask(question, produceRequest(name, topicID, 0, b.bytes()), 12) }
	send("a first batch near the largest sequence", newBatch(2).from(id, epoch, largest-2))
	send("over the edge", newBatch(2).from(id, epoch, largest))
	send("after the edge", newBatch(1).from(id, epoch, 1))
}

func describeProducers(a *asker) {
	name, topicID := a.topic("t", 2)
	id, epoch := a.newProducer()
	a.quiet(produceRequest(name, topicID, 0, newBatch(3).from(id, epoch, 0).bytes()), 12)
	ask := func(topic string, partitions ...int32) *kmsg.DescribeProducersRequest {
		req := kmsg.NewPtrDescribeProducersRequest()
		t := kmsg.NewDescribeProducersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	a.ask("a partition with a producer and one without", ask(name, 0, 1), 0)
	a.ask("a partition that does not exist", ask(name, 7), 0)
	a.ask("a topic that does not exist", ask(a.topicName("none"), 0), 0)
	a.ask("a name that cannot be", ask("no spaces", 0), 0)
	a.ask("no partitions", ask(name), 0)
}
