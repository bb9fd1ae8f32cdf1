package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chronik/internal/bench"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// load is a closed loop over librdkafka: a fixed number of records outstanding, each sent again as soon
// as its delivery report has come.
type load struct {
	opts    *bench.Options
	gen     *bench.Generator
	span    bench.Span
	fail    func()
	clients []*client
	halted  atomic.Bool
	left    atomic.Int64
}

// client is one librdkafka producer. One goroutine serves all its delivery reports.
type client struct {
	load       *load
	number     int
	places     int
	topic      string
	partitions int
	producer   *kafka.Producer
	account    *bench.Account
	latencies  *bench.Latencies
	sent       int64
}

// place is room for one outstanding record.
type place struct {
	message  kafka.Message
	sequence uint64
	due      time.Time
}

// open is the bench.Opener of librdkafka.
func open(o *bench.Options, t bench.Topic, gen *bench.Generator, fail func()) (bench.Load, error) {
	if o.Mode != bench.Produce || o.Rate > 0 || o.Blocking || o.Keys > 0 || o.Partitioner != bench.RoundRobin {
		return nil, errors.New("this driver has --mode produce only, as a closed loop of records without keys, round-robin")
	}
	l := &load{opts: o, gen: gen, fail: fail}
	l.left.Store(o.Records)
	for i := range o.Connections {
		p, err := kafka.NewProducer(&kafka.ConfigMap{
			"bootstrap.servers":                     strings.Join(o.Brokers, ","),
			"client.id":                             o.ClientID,
			"acks":                                  o.Acks,
			"enable.idempotence":                    o.Idempotence,
			"linger.ms":                             fmt.Sprintf("%g", float64(o.Linger)/float64(time.Millisecond)),
			"compression.type":                      o.Compression,
			"batch.size":                            o.BatchBytes,
			"max.in.flight.requests.per.connection": o.MaxInFlight,
			"go.delivery.report.fields":             "none",
			"go.events.channel.size":                o.Concurrency + 16,
		})
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("options that librdkafka refuses: %w", err)
		}
		places := o.Concurrency / o.Connections
		if i < o.Concurrency%o.Connections {
			places++
		}
		l.clients = append(l.clients, &client{
			load: l, number: i, places: places, topic: t.Name, partitions: t.Partitions, producer: p,
			latencies: bench.NewLatencies(), account: bench.NewAccount(t.Partitions, o.Samples, o.Acks != 0),
		})
	}
	return l, nil
}

// Start implements bench.Load.
func (l *load) Start(s bench.Span) <-chan struct{} {
	l.span = s
	var running sync.WaitGroup
	for _, c := range l.clients {
		running.Go(c.run)
	}
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	return done
}

// run keeps the client's places busy until no more may be sent and all is answered.
func (c *client) run() {
	outstanding := 0
	for i := range c.places {
		pl := &place{}
		pl.message.Value = c.load.gen.NewPayload(c.load.opts.MessageSize, uint32(c.number)<<20+uint32(i))
		pl.message.Opaque = pl
		if c.next(pl, time.Now()) {
			outstanding++
		}
	}
	for outstanding > 0 {
		switch e := (<-c.producer.Events()).(type) {
		case *kafka.Message:
			pl := e.Opaque.(*place)
			now := time.Now()
			if !c.settle(pl, e, now) || !c.next(pl, now) {
				outstanding--
			}
		case kafka.Error:
			if e.IsFatal() {
				c.failed(-1, e) // librdkafka fails what is outstanding by itself
			}
		}
	}
}

// next sends the place's next record and tells whether it is on its way.
func (c *client) next(pl *place, now time.Time) bool {
	l := c.load
	if l.halted.Load() || l.opts.Records > 0 && l.left.Add(-1) < 0 {
		return false
	}
	pl.due, pl.sequence = now, bench.Sequence(c.number, c.sent)
	l.gen.Stamp(pl.message.Value, pl.sequence, pl.due)
	pl.message.TopicPartition = kafka.TopicPartition{Topic: &c.topic, Partition: int32((int64(c.number) + c.sent) % int64(c.partitions))}
	c.sent++
	if err := c.producer.Produce(&pl.message, nil); err != nil { // librdkafka copies the value
		c.failed(-1, err)
		return false
	}
	return true
}

// settle books a delivery report and tells whether it is one of success.
func (c *client) settle(pl *place, m *kafka.Message, now time.Time) bool {
	tp := m.TopicPartition
	if tp.Error != nil {
		c.failed(tp.Partition, tp.Error)
		return false
	}
	if c.load.span.Holds(pl.due) {
		c.latencies.Record(now.Sub(pl.due))
	}
	c.account.Ack(tp.Partition, int64(tp.Offset), pl.sequence, len(pl.message.Value))
	return true
}

func (c *client) failed(partition int32, err error) {
	c.account.Fail(partition, err)
	c.load.halted.Store(true)
	c.load.fail()
}

// Halt implements bench.Load.
func (l *load) Halt() { l.halted.Store(true) }

// Close implements bench.Load.
func (l *load) Close() {
	for _, c := range l.clients {
		c.producer.Close()
	}
}

// Acked implements bench.Load.
func (l *load) Acked() (n int64) {
	for _, c := range l.clients {
		n += c.account.Acked.Load()
	}
	return n
}

// Accounts implements bench.Load.
func (l *load) Accounts() (all []*bench.Account) {
	for _, c := range l.clients {
		all = append(all, c.account)
	}
	return all
}

// Latencies implements bench.Load.
func (l *load) Latencies() *bench.Latencies {
	sum := bench.NewLatencies()
	for _, c := range l.clients {
		sum.Merge(c.latencies)
	}
	return sum
}
