// Command sarama is the conformance driver of github.com/IBM/sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

const profile = "3kevhdnt"

var codecs = []struct {
	name       string
	codec      sarama.CompressionCodec
	idempotent bool
	acks       sarama.RequiredAcks
}{
	{"none", sarama.CompressionNone, true, sarama.WaitForAll},
	{"gzip", sarama.CompressionGZIP, false, sarama.WaitForLocal},
	{"snappy", sarama.CompressionSnappy, true, sarama.WaitForAll},
	{"lz4", sarama.CompressionLZ4, false, sarama.WaitForAll},
	{"zstd", sarama.CompressionZSTD, true, sarama.WaitForAll},
}

func main() { driver.Main(own, read) }

func own(e *driver.Env) {
	for _, c := range codecs {
		t := dataset.MustParse(dataset.Name(e.Client, c.name, profile))
		conf := config()
		conf.Producer.Compression = c.codec
		conf.Producer.RequiredAcks = c.acks
		conf.Producer.Idempotent = c.idempotent
		if e.Check("produce/"+c.name, func(context.Context) error { return produce(e, t, conf) }) {
			e.Wrote(t.Name)
			e.Check("read/"+c.name, func(ctx context.Context) error { return read(ctx, e, t) })
		}
	}
	e.Check("acks-0", func(ctx context.Context) error { return acksOne(ctx, e, "0", sarama.NoResponse) })
	e.Check("acks-1", func(ctx context.Context) error { return acksOne(ctx, e, "1", sarama.WaitForLocal) })
	e.Check("acks-all", func(ctx context.Context) error { return acksOne(ctx, e, "all", sarama.WaitForAll) })
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	e.Check("seek-timestamp", func(ctx context.Context) error { return seekTimestamp(ctx, e, t) })
	e.Check("group-resume", func(ctx context.Context) error { return groupResume(ctx, e, t) })
	e.Check("transactional-copy", func(ctx context.Context) error { return transactionalCopy(ctx, e, t) })
	others(e)
}

// config is sarama's defaults with what makes order certain: one request under way on a connection.
func config() *sarama.Config {
	conf := sarama.NewConfig()
	conf.Version = sarama.MaxVersion
	conf.Net.MaxOpenRequests = 1
	conf.Producer.Return.Successes = true
	conf.Producer.Partitioner = sarama.NewManualPartitioner
	conf.Metadata.AllowAutoTopicCreation = false
	return conf
}

func withAdmin(e *driver.Env, f func(sarama.ClusterAdmin) error) error {
	a, err := sarama.NewClusterAdmin(e.Servers(), config())
	if err != nil {
		return err
	}
	return errors.Join(f(a), a.Close())
}

// create makes a topic whose records, old by their timestamps, are not deleted by age.
func create(e *driver.Env, topic string, partitions int32) error {
	keep := "-1"
	return withAdmin(e, func(a sarama.ClusterAdmin) error {
		return a.CreateTopic(topic, &sarama.TopicDetail{
			NumPartitions: partitions, ReplicationFactor: driver.Replicas, ConfigEntries: map[string]*string{"retention.ms": &keep},
		}, false)
	})
}

// ready waits until the new topic has its leaders: with acks=0 nothing retries.
func ready(e *driver.Env, t dataset.Topic) error {
	c, err := sarama.NewClient(e.Servers(), config())
	if err != nil {
		return err
	}
	defer c.Close()
	for p := range t.Partitions {
		for {
			_, err := c.GetOffset(t.Name, p, sarama.OffsetNewest)
			if err == nil {
				break
			}
			if !errors.Is(err, sarama.ErrNotLeaderForPartition) && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) && !errors.Is(err, sarama.ErrLeaderNotAvailable) {
				return err
			}
		}
	}
	return nil
}

func produce(e *driver.Env, t dataset.Topic, conf *sarama.Config) error {
	if err := create(e, t.Name, t.Partitions); err != nil {
		return err
	}
	if err := ready(e, t); err != nil {
		return err
	}
	p, err := sarama.NewAsyncProducer(e.Servers(), conf)
	if err != nil {
		return err
	}
	go func() {
		for i := range e.Records {
			p.Input() <- toSarama(t, t.Record(i))
		}
	}()
	var first error
	for range e.Records {
		select {
		case <-p.Successes():
		case failed := <-p.Errors():
			if first == nil {
				first = failed
			}
		}
	}
	return errors.Join(first, p.Close())
}

func acksOne(ctx context.Context, e *driver.Env, name string, acks sarama.RequiredAcks) error {
	small := *e
	small.Records = 1000
	t := dataset.MustParse(dataset.Name(e.Client, "acks"+name, profile))
	conf := config()
	conf.Producer.RequiredAcks = acks
	if err := produce(&small, t, conf); err != nil {
		return err
	}
	return read(ctx, &small, t)
}

func encoder(b []byte) sarama.Encoder {
	if b == nil {
		return nil
	}
	return sarama.ByteEncoder(b)
}

func toSarama(t dataset.Topic, r dataset.Record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{
		Topic: t.Name, Partition: r.Partition, Key: encoder(r.Key), Value: encoder(r.Value), Timestamp: time.UnixMilli(r.TimestampMs),
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func fromSarama(m *sarama.ConsumerMessage) dataset.Record {
	r := dataset.Record{Partition: m.Partition, Offset: m.Offset, TimestampMs: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, dataset.Header{Key: string(h.Key), Value: h.Value})
	}
	return r
}

// consume reads one partition from offset until take has enough.
func consume(ctx context.Context, e *driver.Env, topic string, p int32, offset int64, take func(*sarama.ConsumerMessage) (enough bool),
	settings ...func(*sarama.Config)) error {
	conf := config()
	for _, set := range settings {
		set(conf)
	}
	conf.Consumer.Return.Errors = true
	conf.Consumer.Fetch.Default = 4 << 20
	c, err := sarama.NewConsumer(e.Servers(), conf)
	if err != nil {
		return err
	}
	defer c.Close()
	pc, err := c.ConsumePartition(topic, p, offset)
	if err != nil {
		return err
	}
	defer pc.AsyncClose()
	for {
		select {
		case m := <-pc.Messages():
			if take(m) {
				return nil
			}
		case err := <-pc.Errors():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func read(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	v := dataset.NewVerifier(t, e.Records, dataset.Options{})
	for p := range t.Partitions {
		last := t.Count(p, e.Records) - 1
		err := consume(ctx, e, t.Name, p, sarama.OffsetOldest, func(m *sarama.ConsumerMessage) bool {
			v.Add(fromSarama(m))
			return v.Done() || m.Offset >= last
		})
		if err != nil {
			return err
		}
	}
	return v.Err()
}

func seekTimestamp(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	c, err := sarama.NewClient(e.Servers(), config())
	if err != nil {
		return err
	}
	defer c.Close()
	middle := dataset.TimestampMs(e.Records/2) - 1
	for p := range t.Partitions {
		want := t.FirstAtOrAfter(p, middle, e.Records)
		for _, ask := range []struct {
			name     string
			at, want int64
		}{{"by time", middle, want}, {"oldest", sarama.OffsetOldest, 0}, {"newest", sarama.OffsetNewest, t.Count(p, e.Records)}} {
			got, err := c.GetOffset(t.Name, p, ask.at)
			if err != nil {
				return err
			}
			if err := driver.Want(fmt.Sprintf("partition %d: %s", p, ask.name), got, ask.want); err != nil {
				return err
			}
		}
		var diff string
		err := consume(ctx, e, t.Name, p, want, func(m *sarama.ConsumerMessage) bool {
			diff = t.Diff(fromSarama(m), dataset.Options{})
			return true
		})
		if err != nil {
			return err
		}
		if diff != "" {
			return fmt.Errorf("after the seek: %s", diff)
		}
	}
	return nil
}
