// Command segmentio is the conformance driver of github.com/segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"chronik/test/conformance/go/dataset"
	"chronik/test/conformance/go/driver"
)

const profile = "3kevhdnt"

// alike: this client's reader makes no difference between null and empty.
var alike = dataset.Options{NullIsEmpty: true}

var codecs = []struct {
	name  string
	codec kafka.Compression
	acks  kafka.RequiredAcks
}{
	{"none", 0, kafka.RequireAll}, {"gzip", kafka.Gzip, kafka.RequireOne}, {"snappy", kafka.Snappy, kafka.RequireAll},
	{"lz4", kafka.Lz4, kafka.RequireOne}, {"zstd", kafka.Zstd, kafka.RequireAll},
}

func main() { driver.Main(own, read) }

func own(e *driver.Env) {
	for _, c := range codecs {
		t := dataset.MustParse(dataset.Name(e.Client, c.name, profile))
		w := writer(e, t.Name)
		w.Compression, w.RequiredAcks = c.codec, c.acks
		if e.Check("produce/"+c.name, func(ctx context.Context) error { return produce(ctx, e, t, w) }) {
			e.Wrote(t.Name)
			e.Check("read/"+c.name, func(ctx context.Context) error { return read(ctx, e, t) })
		}
	}
	e.Check("acks-0", func(ctx context.Context) error { return acksOne(ctx, e, "0", kafka.RequireNone) })
	e.Check("acks-1", func(ctx context.Context) error { return acksOne(ctx, e, "1", kafka.RequireOne) })
	e.Check("acks-all", func(ctx context.Context) error { return acksOne(ctx, e, "all", kafka.RequireAll) })
	t := dataset.MustParse(dataset.Name(e.Client, "none", profile))
	e.Check("seek-timestamp", func(ctx context.Context) error { return seekTimestamp(ctx, e, t) })
	e.Check("list-offsets", func(ctx context.Context) error { return listOffsets(ctx, e, t) })
	e.Check("group-resume", func(ctx context.Context) error { return groupResume(ctx, e, t) })
	others(e)
}

// fresh is a transport that soon sees what an admin call changed; the default one caches metadata for six seconds.
var fresh = &kafka.Transport{MetadataTTL: 100 * time.Millisecond}

func client(e *driver.Env) *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(e.Servers()...), Timeout: 30 * time.Second, Transport: fresh}
}

// writer sends each message to the partition that WriterData names.
func writer(e *driver.Env, topic string) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(e.Servers()...), Topic: topic, BatchSize: 500, BatchTimeout: 10 * time.Millisecond, RequiredAcks: kafka.RequireAll,
		Transport: fresh,
		Balancer:  kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return int(m.WriterData.(int32)) }),
	}
}

// create makes a topic whose records, old by their timestamps, are not deleted by age, and waits until it has leaders:
// the writer does not retry what comes too early.
func create(ctx context.Context, e *driver.Env, topic string, partitions int32) error {
	c := client(e)
	got, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{
		Topic: topic, NumPartitions: int(partitions), ReplicationFactor: driver.Replicas,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "-1"}},
	}}})
	if err != nil {
		return err
	}
	if err := got.Errors[topic]; err != nil {
		return err
	}
	for ctx.Err() == nil {
		ask := map[string][]kafka.OffsetRequest{}
		for p := range partitions {
			ask[topic] = append(ask[topic], kafka.LastOffsetOf(int(p)))
		}
		offsets, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: ask})
		if err == nil && allThere(offsets.Topics[topic], partitions) {
			return nil
		}
	}
	return ctx.Err()
}

func allThere(got []kafka.PartitionOffsets, partitions int32) bool {
	for _, p := range got {
		if p.Error != nil {
			return false
		}
	}
	return len(got) == int(partitions)
}

func produce(ctx context.Context, e *driver.Env, t dataset.Topic, w *kafka.Writer) error {
	if err := create(ctx, e, t.Name, t.Partitions); err != nil {
		return err
	}
	var messages []kafka.Message
	for i := range e.Records {
		messages = append(messages, toKafka(t.Record(i)))
	}
	return errors.Join(w.WriteMessages(ctx, messages...), w.Close())
}

func acksOne(ctx context.Context, e *driver.Env, name string, acks kafka.RequiredAcks) error {
	small := *e
	small.Records = 1000
	t := dataset.MustParse(dataset.Name(e.Client, "acks"+name, profile))
	w := writer(e, t.Name)
	w.RequiredAcks = acks
	if err := produce(ctx, &small, t, w); err != nil {
		return err
	}
	return read(ctx, &small, t)
}

func toKafka(r dataset.Record) kafka.Message {
	m := kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.TimestampMs), WriterData: r.Partition}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return m
}

func fromKafka(m kafka.Message) dataset.Record {
	r := dataset.Record{Partition: int32(m.Partition), Offset: m.Offset, TimestampMs: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, dataset.Header{Key: h.Key, Value: h.Value})
	}
	return r
}

func reader(e *driver.Env, topic string, p int32) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: e.Servers(), Topic: topic, Partition: int(p), MaxWait: 200 * time.Millisecond, MinBytes: 1, MaxBytes: 4 << 20,
	})
}

func read(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	v := dataset.NewVerifier(t, e.Records, alike)
	for p := range t.Partitions {
		if err := readPartition(ctx, e, t, p, v); err != nil {
			return err
		}
	}
	return v.Err()
}

func readPartition(ctx context.Context, e *driver.Env, t dataset.Topic, p int32, v *dataset.Verifier) error {
	r := reader(e, t.Name, p)
	defer r.Close()
	for range t.Count(p, e.Records) {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		v.Add(fromKafka(m))
	}
	return nil
}

func seekTimestamp(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	middle := dataset.TimestampMs(e.Records/2) - 1
	for p := range t.Partitions {
		r := reader(e, t.Name, p)
		defer r.Close()
		if err := r.SetOffsetAt(ctx, time.UnixMilli(middle)); err != nil {
			return err
		}
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		if err := driver.Want("first offset", m.Offset, t.FirstAtOrAfter(p, middle, e.Records)); err != nil {
			return err
		}
		if diff := t.Diff(fromKafka(m), alike); diff != "" {
			return fmt.Errorf("after the seek: %s", diff)
		}
	}
	return nil
}

func listOffsets(ctx context.Context, e *driver.Env, t dataset.Topic) error {
	for p := range t.Partitions {
		ask := []kafka.OffsetRequest{kafka.FirstOffsetOf(int(p)), kafka.LastOffsetOf(int(p))}
		got, err := client(e).ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{t.Name: ask}})
		if err != nil {
			return err
		}
		for _, o := range got.Topics[t.Name] {
			if o.Error != nil {
				return o.Error
			}
			if o.FirstOffset != 0 || o.LastOffset != t.Count(p, e.Records) {
				return fmt.Errorf("partition %d: %d to %d, want 0 to %d", p, o.FirstOffset, o.LastOffset, t.Count(p, e.Records))
			}
		}
	}
	return nil
}
