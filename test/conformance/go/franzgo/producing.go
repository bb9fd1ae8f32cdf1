package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

func msTime(ms int64) time.Time { return time.UnixMilli(ms) }

// big is n bytes that no codec makes small.
func big(n int) []byte {
	var out []byte
	sum := sha256.Sum256([]byte("big"))
	for len(out) < n {
		out = append(out, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return out[:n]
}

func producing(e *driver.Env) {
	e.Check("acks-0", func(ctx context.Context) error { return acksOne(ctx, e, "0", kgo.NoAck()) })
	e.Check("acks-1", func(ctx context.Context) error { return acksOne(ctx, e, "1", kgo.LeaderAck()) })
	e.Check("acks-all", func(ctx context.Context) error { return acksOne(ctx, e, "all", kgo.AllISRAcks()) })
	e.Check("large-record", func(ctx context.Context) error { return large(ctx, e) })
	e.Check("too-large", func(ctx context.Context) error { return tooLarge(ctx, e) })
	e.Check("unknown-topic", func(ctx context.Context) error { return unknownTopic(ctx, e) })
	e.Check("auto-create", func(ctx context.Context) error { return autoCreate(ctx, e) })
	e.Check("delete-records", func(ctx context.Context) error { return deleteRecords(ctx, e) })
	e.Check("fetch-blocks-until-produce", func(ctx context.Context) error { return longPoll(ctx, e) })
}

// acksOne produces 1,000 records one data set's way without idempotence and reads them back.
func acksOne(ctx context.Context, e *driver.Env, name string, acks kgo.Acks) error {
	t := dataset.MustParse(dataset.Name(e.Client, "acks"+name, profile))
	small := *e
	small.Records = 1000
	opts := []kgo.Opt{kgo.DisableIdempotentWrite(), kgo.RequiredAcks(acks), kgo.MaxProduceRequestsInflightPerBroker(1)}
	if err := produce(ctx, &small, t, opts); err != nil {
		return err
	}
	return read(ctx, &small, t)
}

func large(ctx context.Context, e *driver.Env) error {
	c, err := client(e, kgo.ConsumeTopics(e.Topic("large")))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := create(ctx, c, 1, e.Topic("large")); err != nil {
		return err
	}
	want := big(900_000)
	for range 3 {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: e.Topic("large"), Value: want}).FirstErr(); err != nil {
			return err
		}
	}
	n := 0
	var bad error
	err = consume(ctx, c, func(r *kgo.Record) bool {
		if n++; !bytes.Equal(r.Value, want) {
			bad = fmt.Errorf("record %d came back different (%d bytes)", n, len(r.Value))
		}
		return n == 3 || bad != nil
	})
	if bad != nil {
		return bad
	}
	return err
}

func tooLarge(ctx context.Context, e *driver.Env) error {
	c, err := client(e, kgo.ProducerBatchMaxBytes(8<<20), kgo.BrokerMaxWriteBytes(16<<20))
	if err != nil {
		return err
	}
	defer c.Close()
	topic := e.Topic("too-large")
	if err := create(ctx, c, 1, topic); err != nil {
		return err
	}
	err = c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: big(2_000_000)}).FirstErr()
	if err := driver.WantError(err, "MESSAGE_TOO_LARGE"); err != nil {
		return err
	}
	// The refusal leaves no trace: the next record gets offset 0.
	r, err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("small")}).First()
	if err != nil {
		return err
	}
	return driver.Want("offset after the refusal", r.Offset, 0)
}

func unknownTopic(ctx context.Context, e *driver.Env) error {
	c, err := client(e, kgo.UnknownTopicRetries(1))
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.ProduceSync(ctx, &kgo.Record{Topic: e.Topic("never-created"), Value: []byte("v")}).FirstErr()
	return driver.WantError(err, "UNKNOWN_TOPIC_OR_PARTITION")
}

func autoCreate(ctx context.Context, e *driver.Env) error {
	c, err := client(e, kgo.AllowAutoTopicCreation())
	if err != nil {
		return err
	}
	defer c.Close()
	topic := e.Topic("auto")
	r, err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("v")}).First()
	if err != nil {
		return err
	}
	if err := driver.Want("offset", r.Offset, 0); err != nil {
		return err
	}
	topics, err := kadm.NewClient(c).ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	return driver.Want("partitions", len(topics[topic].Partitions), 1)
}

// deleteRecords moves the log start, reads from there, and expects OFFSET_OUT_OF_RANGE before it.
func deleteRecords(ctx context.Context, e *driver.Env) error {
	t := dataset.MustParse(dataset.Name(e.Client, "delrec", profile))
	small := *e
	small.Records = 300
	if err := produce(ctx, &small, t, nil); err != nil {
		return err
	}
	c, err := client(e)
	if err != nil {
		return err
	}
	defer c.Close()
	a := kadm.NewClient(c)
	to := kadm.Offsets{}
	to.AddOffset(t.Name, 0, 40, -1)
	to.AddOffset(t.Name, 1, -1, -1) // the high watermark
	got, err := a.DeleteRecords(ctx, to)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		return err
	}
	starts, err := a.ListStartOffsets(ctx, t.Name)
	if err != nil {
		return err
	}
	for p, want := range []int64{40, 100, 0} {
		if o, _ := starts.Lookup(t.Name, int32(p)); o.Offset != want {
			return fmt.Errorf("partition %d starts at %d, want %d", p, o.Offset, want)
		}
	}
	past := kadm.Offsets{}
	past.AddOffset(t.Name, 2, 101, -1)
	if got, err = a.DeleteRecords(ctx, past); err == nil {
		err = got.Error()
	}
	if err := driver.WantError(err, "OFFSET_OUT_OF_RANGE"); err != nil {
		return err
	}
	return readBelowStart(ctx, e, t)
}

func readBelowStart(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	below := map[string]map[int32]kgo.Offset{t.Name: {0: kgo.NewOffset().At(5)}}
	c, err := client(e, kgo.ConsumePartitions(below), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer c.Close()
	var bad error
	err = consume(ctx, c, func(r *kgo.Record) bool {
		if bad = driver.Want("first offset after the reset", r.Offset, 40); bad == nil {
			if diff := t.Diff(fromKgo(r), dataset.Options{}); diff != "" {
				bad = fmt.Errorf("%s", diff)
			}
		}
		return true
	})
	if bad != nil {
		return bad
	}
	return err
}

// longPoll produces while a consumer waits at the end: the record must arrive long before the fetch's max wait.
func longPoll(ctx context.Context, e *driver.Env) error {
	topic := e.Topic("poll")
	p, err := client(e)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := create(ctx, p, 1, topic); err != nil {
		return err
	}
	at := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}
	c, err := client(e, kgo.ConsumePartitions(at), kgo.FetchMaxWait(30*time.Second))
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range 20 {
		start := time.Now()
		if err := p.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte{byte(i)}}).FirstErr(); err != nil {
			return err
		}
		if err := consume(ctx, c, func(*kgo.Record) bool { return true }); err != nil {
			return err
		}
		if took := time.Since(start); took > 10*time.Second {
			return fmt.Errorf("record %d took %v to reach a waiting consumer", i, took)
		}
	}
	return nil
}
